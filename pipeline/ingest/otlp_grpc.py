"""OTLP over gRPC: the service TraceService of OpenTelemetry on a port of its own, beside HTTP in one event loop.

Rule: the key is checked before the message is read (the method is served as a stream of one message, which is the same
on the wire), and so many messages are read at once as the budget for held bytes allows, half of them of one project;
more wait. A message must come within a minute: who opens streams and sends nothing keeps nobody out.
Failure: google.rpc.Code by `otlp_answers`; UNAVAILABLE and RESOURCE_EXHAUSTED carry RetryInfo, so exporters send again.
Configured by SPANFOLD_GRPC_PORT, SPANFOLD_HTTP_HOST, SPANFOLD_MAX_EXPORT_BYTES and SPANFOLD_HTTP_CERTIFICATE_PATH.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NoReturn
from weakref import WeakValueDictionary

import grpc
import grpc.aio
import structlog

from pipeline.config import Settings
from pipeline.errors import SettingError
from pipeline.events import headers
from pipeline.ingest.admit import within_limits
from pipeline.ingest.answers import ApiError
from pipeline.ingest.auth import authenticate_header_fully
from pipeline.ingest.front import FrontDoor
from pipeline.ingest.otlp_answers import code_of, status_message, taken_message
from pipeline.ingest.otlp_export import Taken, take_export

log = structlog.get_logger(__name__)

OFF = -1  # of SPANFOLD_GRPC_PORT
_COLLECTOR = "opentelemetry.proto.collector"
_NOT_STORED = (f"{_COLLECTOR}.logs.v1.LogsService", f"{_COLLECTOR}.metrics.v1.MetricsService")
ROUTE = "grpc"  # label of metrics
_GRACE_SECONDS = 5
_PATIENCE = 60.0  # seconds for a message; the largest comes in time at 2.3 Mbit/s
_CODES = {code.value[0]: code for code in grpc.StatusCode}

Context = grpc.aio.ServicerContext[Any, Any]


class GrpcDoor:
    """The gRPC server of a front door: `start`, then `port`, at last `stop`."""

    def __init__(self, front: FrontDoor) -> None:
        self._front = front
        self._settings = front.settings
        self._server: Any = None
        self._places = max(1, front.settings.held_bytes // front.settings.max_export_bytes)
        self._reading = asyncio.Semaphore(self._places)
        self._of: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()  # by project
        self.port = 0

    async def start(self) -> None:
        """Listen. Raises SettingError where the port cannot be had."""
        limit = self._settings.max_export_bytes
        options = [("grpc.max_receive_message_length", limit), ("grpc.so_reuseport", 0)]
        self._server = grpc.aio.server(options=options)
        self._server.add_generic_rpc_handlers(_handlers(self._export))
        address = _address(self._settings)
        try:
            self.port = _add_port(self._server, address, self._settings)
        except RuntimeError as error:
            raise SettingError(f"Cannot listen on {address}.", remedy="Set SPANFOLD_GRPC_PORT.") from error
        await self._server.start()
        log.info("listening", url=f"grpc://{self._settings.http_host}:{self.port}")

    async def stop(self) -> None:
        """Answer what is under way, then close."""
        if self._server is not None:
            await self._server.stop(_GRACE_SECONDS)

    async def _export(self, messages: AsyncIterator[bytes], context: Context) -> bytes:
        try:
            return taken_message(await self._take(messages, context))
        except ApiError as error:
            await _fail(context, error)

    async def _take(self, messages: AsyncIterator[bytes], context: Context) -> Taken:
        front = self._front
        principal = within_limits(front, await authenticate_header_fully(_authorization(context), front.directory))
        body = await self._read(principal.project.id, messages)
        front.limiter.charge_bytes(principal.project.id, len(body))
        front.held.take(len(body))
        try:
            with front.waiting.answering():
                return await take_export(front, principal.project.id, headers.OTLP_PROTOBUF, body, ROUTE)
        finally:
            front.held.give_back(len(body))

    async def _read(self, project_id: str, messages: AsyncIterator[bytes]) -> bytes:
        """The message. Raises ApiError (408) where it does not come: else who sends nothing keeps everybody out."""
        of_project = self._of.setdefault(project_id, asyncio.Semaphore(max(1, self._places // 2)))
        async with of_project, self._reading:
            try:
                async with asyncio.timeout(_PATIENCE):
                    return await anext(messages, b"")
            except TimeoutError:
                raise ApiError(408, "RequestTimeoutError", "The message comes too slowly.") from None


def _add_port(server: Any, address: str, settings: Settings) -> int:
    """With TLS where the front door has a certificate, the same for both protocols."""
    if not settings.http_certificate_path:
        return int(server.add_insecure_port(address))
    chain = Path(settings.http_certificate_path).read_bytes()
    key = Path(settings.http_key_path or settings.http_certificate_path).read_bytes()
    return int(server.add_secure_port(address, grpc.ssl_server_credentials([(key, chain)])))


def _address(settings: Settings) -> str:
    host = settings.http_host
    return f"{f'[{host}]' if ':' in host else host}:{settings.grpc_port}"


def _handlers(export: Any) -> tuple[Any, ...]:
    """Bytes in, bytes out: messages are cut by ourselves."""
    methods = {f"{_COLLECTOR}.trace.v1.TraceService": export, **dict.fromkeys(_NOT_STORED, _not_stored)}
    return tuple(
        grpc.method_handlers_generic_handler(service, {"Export": grpc.stream_unary_rpc_method_handler(method)})
        for service, method in methods.items()
    )


async def _not_stored(_messages: AsyncIterator[bytes], context: Context) -> bytes:
    await _fail(context, ApiError(501, "NotImplementedError", "Logs and metrics are not stored, only traces are."))


async def _fail(context: Context, error: ApiError) -> NoReturn:
    details = (("grpc-status-details-bin", status_message(error)),)
    await context.abort(_CODES[code_of(error)], str(error), details)
    raise AssertionError("abort always raises")


def _authorization(context: Context) -> str | None:
    for key, value in context.invocation_metadata() or ():
        if key == "authorization":
            return value if isinstance(value, str) else value.decode(errors="replace")
    return None
