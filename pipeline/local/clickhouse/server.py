"""The HTTP server: routes, authentication, bodies, and the life of one request.

Rule: a body is read whole before its statement starts, so a client that dies half-way leaves nothing behind.
A client that goes away stops its SELECT (if it set `cancel_http_readonly_queries_on_client_close`, as
clickhouse-connect does); an insert that has begun is finished. SIGTERM: no new requests, running ones may end.
Fails: every error is answered in ClickHouse's form; what is not a `ClickHouseError` is a bug, logged and 500.
Configured by: `ServerOptions`.
"""

import asyncio
import base64
import binascii
import contextlib
import hmac
import logging
import uuid
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from functools import partial

from aiohttp import BodyPartReader, web

from pipeline.local.clickhouse.answer import answer_headers, error_answer, send_answer
from pipeline.local.clickhouse.compression import choose_encoding, decompressed
from pipeline.local.clickhouse.engine import Engine
from pipeline.local.clickhouse.errors import ClickHouseError, Code
from pipeline.local.clickhouse.execution import Execution
from pipeline.local.clickhouse.lanes import Lane
from pipeline.local.clickhouse.protocol import Request, read_request
from pipeline.local.clickhouse.session import Sessions

log = logging.getLogger(__name__)
_SESSION_SWEEP_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """Bounds and the optional login."""

    queries: int = 16
    """Statements at once that may take long and bring no rows."""
    inserts: int = 8
    """Inserts at once that bring their rows."""
    light: int = 4
    """Statements at once that take no time: KILL, SHOW, DESCRIBE …"""
    max_body_bytes: int = 512 * 2**20
    """Largest request body, as it is sent."""
    user: str = "default"
    password: str = ""
    """Empty: everybody may enter."""


class Server:
    """ClickHouse's HTTP interface on one engine; `application()` is what aiohttp runs."""

    def __init__(self, engine: Engine, options: ServerOptions) -> None:
        self._engine = engine
        self._options = options
        self._sessions = Sessions(engine)
        self._running: set[str] = set()

    def application(self) -> web.Application:
        """The aiohttp application. The engine is closed by its owner, after the application has ended."""
        app = web.Application(client_max_size=self._options.max_body_bytes)
        app.cleanup_ctx.append(self._lifetime)
        app.router.add_get("/ping", _ok)
        app.router.add_get("/replicas_status", _ok)
        app.router.add_route("*", "/", self._root)
        return app

    async def _lifetime(self, app: web.Application) -> AsyncIterator[None]:
        """Lanes and the session sweep live as long as the application."""
        self._reading = Lane("requests", 2)
        self._light = Lane("light", self._options.light)
        self._queries = Lane("queries", self._options.queries)
        self._inserts = Lane("inserts", self._options.inserts)
        sweep = asyncio.create_task(self._sweep_sessions())
        yield
        sweep.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await sweep
        for lane in (self._queries, self._inserts, self._light, self._reading):
            lane.close()
        self._sessions.close()

    async def _root(self, http: web.Request) -> web.StreamResponse:
        query_id = http.query.get("query_id") or str(uuid.uuid4())
        try:
            self._authenticate(http)
            if http.method in ("GET", "HEAD") and "query" not in http.query:
                return await _ok(http)
            return await self._statement(http, query_id)
        except ClickHouseError as error:
            log.info("query %s failed: code %s %.300s", query_id, error.code, error)
            return error_answer(error, self._engine.version, query_id)
        except (RuntimeError, TypeError, ValueError, KeyError, OSError) as error:
            if http.transport is None or http.transport.is_closing():
                raise
            log.exception("query %s met a bug", query_id)
            return error_answer(ClickHouseError.from_engine(repr(error)), self._engine.version, query_id)

    async def _statement(self, http: web.Request, query_id: str) -> web.StreamResponse:
        fields, body = await self._read_body(http)
        encoding = http.headers.get("Content-Encoding", "")
        read = partial(
            read_request,
            {**http.query, **fields},
            http.headers,
            decompressed(encoding, body),
            query_id=query_id,
            read_only=http.method == "GET",
        )
        async with self._reading.turn() as turn:
            request = await turn.run(read)
        if query_id in self._running:
            message = f"Query with id = {query_id} is already running."
            raise ClickHouseError.raised(Code.QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING, message)
        self._running.add(query_id)
        try:
            return await self._run(http, request)
        finally:
            self._running.discard(query_id)

    async def _run(self, http: web.Request, request: Request) -> web.StreamResponse:
        execution = Execution(self._engine, self._sessions, request)
        async with self._lane(request).turn() as turn:
            try:
                opening = await turn.run(execution.start)
                headers = answer_headers(self._engine, request, opening, _encoding(http))
                return await send_answer(http, turn, execution, request, opening, headers)
            except asyncio.CancelledError:
                if request.stops_with_client:
                    await asyncio.to_thread(execution.stop)
                raise
            finally:
                await turn.settle()
                await turn.run(execution.finish)

    def _lane(self, request: Request) -> Lane:
        if request.brings_rows:
            return self._inserts
        return self._light if request.light else self._queries

    async def _read_body(self, http: web.Request) -> tuple[Mapping[str, str], bytes]:
        """The form's fields, if the body is a form, or the body's bytes."""
        if http.content_type == "multipart/form-data":
            return await _form_fields(http), b""
        try:
            return {}, await http.read()
        except web.HTTPRequestEntityTooLarge as error:
            message = f"The request's body is larger than {self._options.max_body_bytes} bytes"
            raise ClickHouseError.raised(Code.QUERY_IS_TOO_LARGE, message) from error

    async def _sweep_sessions(self) -> None:
        while True:
            await asyncio.sleep(_SESSION_SWEEP_SECONDS)
            await asyncio.to_thread(self._sessions.close_expired)

    def _authenticate(self, http: web.Request) -> None:
        if not self._options.password:
            return
        user, password = _login(http)
        right = hmac.compare_digest(password.encode(), self._options.password.encode())
        if user != self._options.user or not right:
            message = f"{user}: Authentication failed: password is incorrect, or there is no user with such name."
            raise ClickHouseError.raised(Code.AUTHENTICATION_FAILED, message)


async def _ok(_http: web.Request) -> web.Response:
    return web.Response(text="Ok.\n")


def _encoding(http: web.Request) -> str:
    wanted = http.query.get("enable_http_compression", "0") in ("1", "true")
    return choose_encoding(http.headers.get("Accept-Encoding", "")) if wanted else ""


async def _form_fields(http: web.Request) -> dict[str, str]:
    fields: dict[str, str] = {}
    async for part in await http.multipart():
        if not isinstance(part, BodyPartReader) or part.name is None:
            raise ClickHouseError.raised(Code.BAD_ARGUMENTS, "A part of the form has no name")
        if part.filename is not None:
            raise ClickHouseError.raised(Code.NOT_IMPLEMENTED, "External tables are not supported here")
        fields[part.name] = await part.text()
    return fields


def _login(http: web.Request) -> tuple[str, str]:
    """User and password from where ClickHouse looks for them: headers, Basic, URL."""
    if "X-ClickHouse-User" in http.headers:
        return http.headers["X-ClickHouse-User"], http.headers.get("X-ClickHouse-Key", "")
    scheme, _, credentials = http.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            user, _, password = base64.b64decode(credentials, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError) as error:
            raise ClickHouseError.raised(Code.AUTHENTICATION_FAILED, "Invalid HTTP Basic credentials") from error
        return user, password
    return http.query.get("user", "default"), http.query.get("password", "")
