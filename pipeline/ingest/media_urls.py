"""URLs that let whoever holds them put or get one medium for an hour, without a key.

Rule: the path and the query say what may be done (method, project, medium, until when) and an HMAC-SHA-256 vouches for
it. The key is SPANFOLD_MEDIA_SECRET, which several front doors must share; without it, one is made once and kept in the
data directory, readable by its owner only.
Failure: ApiError, 403 for a URL that was altered or is too old.
"""

import hashlib
import hmac
import os
import secrets
import time
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlencode

from starlette.datastructures import QueryParams

from pipeline.config import Settings
from pipeline.folders import make_folder
from pipeline.ingest.answers import ApiError

VALID_SECONDS = 3600
_KEY_FILE = "media.key"
_LONGEST = 19  # digits


class Grant(NamedTuple):
    """What a URL permits; `expires` in seconds since the epoch."""

    method: str
    project_id: str
    media_id: str
    expires: int


def signing_key(settings: Settings) -> bytes:
    """The key in use, made at the first call where none is set."""
    given = settings.media_secret.get_secret_value()
    if given:
        return hashlib.sha256(given.encode()).digest()
    return _kept_key(settings.data_dir / _KEY_FILE)


def _kept_key(path: Path) -> bytes:
    make_folder(path.parent, "SPANFOLD_DATA_DIR")
    fresh = path.with_suffix(f".{secrets.token_hex(8)}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(secrets.token_bytes(32))
    try:
        os.link(fresh, path)  # whoever is first wins, and nobody reads half a key
    except FileExistsError:
        pass
    finally:
        fresh.unlink()
    return path.read_bytes()


def signed_query(key: bytes, grant: Grant) -> str:
    """The query of a URL for `grant`."""
    return urlencode({"project": grant.project_id, "expires": grant.expires, "signature": _signature(key, grant)})


def granted(key: bytes, method: str, media_id: str, query: QueryParams) -> Grant:
    """What a request's URL permits. Raises ApiError (403)."""
    expires = query.get("expires", "")
    grant = Grant(method, query.get("project", ""), media_id, _seconds(expires))
    if not hmac.compare_digest(_signature(key, grant).encode(), query.get("signature", "").encode()):
        raise ApiError(403, "ForbiddenError", "This URL was not made here.")
    if grant.expires < time.time():
        raise ApiError(403, "ForbiddenError", "This URL is no longer valid.", remedy="Ask for another one.")
    return grant


def _seconds(text: str) -> int:
    """0 for what is no time; Python reads no number of thousands of digits."""
    return int(text) if text.isdecimal() and len(text) <= _LONGEST else 0


def _signature(key: bytes, grant: Grant) -> str:
    return hmac.new(key, "\n".join(map(str, grant)).encode(), hashlib.sha256).hexdigest()
