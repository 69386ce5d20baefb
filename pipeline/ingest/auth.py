"""From the Authorization header to a project.

`Basic public:secret` gives access to everything of the project; `Bearer public` only to sending scores (browsers, which
cannot keep a secret, do that). Failure: 401 with one text for every wrong key, 503 where the registry cannot be asked.
"""

import base64
import binascii
from typing import Literal, NamedTuple

from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import Request

from pipeline.ingest.answers import unauthorized, unavailable
from pipeline.ingest.directory import Directory
from pipeline.registry import Project

Access = Literal["project", "scores"]


class Principal(NamedTuple):
    """Who sends, and what they may send."""

    project: Project
    access: Access


class Credentials(NamedTuple):
    """What the header says; `secret` is None for a Bearer."""

    public_key: str
    secret: str | None


def parse_credentials(header: str | None) -> Credentials:
    """Read an Authorization header. Raises ApiError (401) for one that is missing or malformed."""
    scheme, _, value = (header or "").partition(" ")
    value = value.strip()
    if scheme.lower() == "bearer" and value.isprintable() and value:
        return Credentials(value, None)
    if scheme.lower() == "basic":
        try:
            public_key, colon, secret = base64.b64decode(value, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError, ValueError):
            raise unauthorized("The Authorization header is malformed.") from None
        if colon and public_key and public_key.isprintable():
            return Credentials(public_key, secret)
    raise unauthorized("An Authorization header is required: Basic base64(public key:secret key).")


async def authenticate_header(header: str | None, directory: Directory) -> Principal:
    """The sender that an Authorization header names. Raises ApiError: 401 or 503."""
    credentials = parse_credentials(header)
    try:
        project = await directory.project_of(*credentials)
    except SQLAlchemyError as error:
        raise unavailable("Keys cannot be checked at the moment.") from error
    if project is None:
        raise unauthorized("Invalid credentials. Check the public key, the secret key and the host.")
    return Principal(project, "scores" if credentials.secret is None else "project")


async def authenticate_header_fully(header: str | None, directory: Directory) -> Principal:
    """As `authenticate_header`, for what a public key alone must not see or do."""
    principal = await authenticate_header(header, directory)
    if principal.access != "project":
        raise unauthorized("Access denied: this needs the secret key too.")
    return principal


async def authenticate(request: Request, directory: Directory) -> Principal:
    """The sender of a request. Raises ApiError: 401 or 503."""
    return await authenticate_header(request.headers.get("authorization"), directory)


async def authenticate_fully(request: Request, directory: Directory) -> Principal:
    """As `authenticate`, for what a public key alone must not see or do."""
    return await authenticate_header_fully(request.headers.get("authorization"), directory)
