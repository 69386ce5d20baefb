"""Where schemas are looked up by their id: a schema registry over HTTP, or a folder that stands for one.

Rule: a folder holds `ID.avsc` (Avro) or `ID.json` (JSON Schema) for each id; a registry is asked for
`/schemas/ids/ID`, with the user and password of its URL where it has them. A request is given up after 2 s and tried
once more.
Failure: LookupError for an id that is not there, RegistryUnavailableError for a registry that does not answer.
"""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple
from urllib.error import HTTPError, URLError
from urllib.parse import unquote, urlsplit, urlunsplit
from urllib.request import Request, urlopen

from pipeline.errors import SettingError

_SECONDS = 2.0
_TRIES = 2
_LARGEST_ANSWER = 2**20


class RegistryUnavailableError(Exception):
    """The registry did not answer, or with an error of its own."""


class Registered(NamedTuple):
    """A schema as it was registered; `type` is AVRO, JSON or PROTOBUF."""

    type: str
    text: str


Source = Callable[[int], Registered]
"""Raises LookupError, RegistryUnavailableError, and ValueError for an answer that makes no sense."""


def open_source(location: str) -> Source:
    """The registry at a URL (http, https, file) or the folder at a path. Raises SettingError."""
    url = urlsplit(location)
    if url.scheme in ("http", "https") and url.hostname:
        return HttpSource(location)
    folder = Path(unquote(url.path) if url.scheme == "file" else location)
    if not folder.is_dir():
        raise SettingError(
            f"SPANFOLD_SCHEMA_REGISTRY is {location!r}, neither an http URL nor a folder.",
            remedy="Give http://HOST:8081, or a folder with files like 1.avsc.",
        )
    return FolderSource(folder)


class FolderSource:
    """Files named by id."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, schema_id: int) -> Registered:
        """The schema `schema_id`."""
        for suffix, kind in ((".avsc", "AVRO"), (".json", "JSON")):
            path = self._folder / f"{schema_id}{suffix}"
            if path.is_file():
                return Registered(kind, path.read_text("utf-8"))
        raise LookupError(schema_id)


class HttpSource:
    """A registry that speaks Confluent's REST interface."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
        self._base = urlunsplit((parts.scheme, host, parts.path.rstrip("/"), "", ""))
        self._headers = {"Accept": "application/vnd.schemaregistry.v1+json"}
        if parts.username:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            self._headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()

    def __call__(self, schema_id: int) -> Registered:
        """The schema `schema_id`."""
        request = Request(f"{self._base}/schemas/ids/{schema_id}", headers=self._headers)  # noqa: S310  # http, checked
        for tried in range(1, _TRIES + 1):
            try:
                return _registered(_answer(request))
            except HTTPError as error:
                if error.code == 404:
                    raise LookupError(schema_id) from None
                if error.code < 500 or tried == _TRIES:
                    raise RegistryUnavailableError(f"the registry answers {error.code}") from None
            except (URLError, OSError) as error:
                if tried == _TRIES:
                    raise RegistryUnavailableError(f"the registry does not answer: {error}") from None
        raise AssertionError("the last try returns or raises")


def _answer(request: Request) -> bytes:
    with urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310  # the scheme was checked by open_source
        body: bytes = answer.read(_LARGEST_ANSWER)
        return body


def _registered(body: bytes) -> Registered:
    """Raises ValueError."""
    answer = json.loads(body)
    if not isinstance(answer, dict) or not isinstance(answer.get("schema"), str):
        raise ValueError("the registry's answer holds no schema")
    if answer.get("references"):
        raise ValueError("schemas that refer to others are not read here")
    return Registered(str(answer.get("schemaType") or "AVRO"), answer["schema"])
