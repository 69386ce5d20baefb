"""API keys: how they are made, and how a secret is kept so that the database does not reveal it.

A secret is stored as SHA-256 over a salt of its own and the secret. A slow hash (scrypt, bcrypt) protects secrets that
can be guessed, at 50 ms of CPU a check. Secrets made here have 122 random bits: nobody guesses them at any speed. And a
check runs for every guess of a stranger, where 50 ms would be a way to overload us.
A secret chosen by a person (SPANFOLD_INIT_PROJECT_SECRET_KEY) is as strong as that person made it. The stored text
names its scheme, so that another one can stand beside it later.
"""

import hashlib
import hmac
import secrets
from uuid import uuid4

_SCHEME = "sha256"
_SALT_BYTES = 16


def new_public_key() -> str:
    """`pk-lf-` and a random UUID."""
    return f"pk-lf-{uuid4()}"


def new_secret_key() -> str:
    """`sk-lf-` and a random UUID."""
    return f"sk-lf-{uuid4()}"


def hash_secret(secret: str) -> str:
    """`scheme$salt$digest`, both in hex; another salt each time."""
    salt = secrets.token_bytes(_SALT_BYTES)
    return f"{_SCHEME}${salt.hex()}${_digest(salt, secret)}"


def secret_matches(secret: str, stored: str) -> bool:
    """Compared in constant time; False too for a scheme that this version does not know."""
    scheme, salt, digest = stored.split("$")
    return scheme == _SCHEME and hmac.compare_digest(digest, _digest(bytes.fromhex(salt), secret))


def _digest(salt: bytes, secret: str) -> str:
    return hashlib.sha256(salt + secret.encode()).hexdigest()
