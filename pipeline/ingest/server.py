"""Run the front door as a process: one event loop, stopped by SIGTERM.

A stop goes in this order: 1 no new connections, 2 running requests are answered (5 s at most), 3 the producer flushes.
Scale by running more of these processes behind a load balancer; they share nothing but the registry and Kafka.
"""

import asyncio
import gc
import logging
import signal
import socket
import ssl
import sys
from types import FrameType

import uvicorn

from pipeline.config import Settings
from pipeline.errors import SettingError
from pipeline.ingest.app import create_app
from pipeline.ingest.connection import bounded
from pipeline.ingest.front import FindScore
from pipeline.kafka_client import check_access
from pipeline.metrics import heap
from pipeline.patience import until
from pipeline.registry import InitialProject, Registry, open_registry

log = logging.getLogger(__name__)

_GRACE_SECONDS = 5


def serve(settings: Settings, find_score: FindScore | None = None) -> None:
    """Serve until SIGTERM or SIGINT; `find_score` tells what a score belongs to, see `create_app`.

    The registry's database is waited for; Kafka, too, by what needs it.

    Raises SettingError for a taken port, for a certificate that cannot be used and where Kafka does not let us in,
    RegistryError for an unusable registry.
    """
    heap.keep_little()
    registry = until("The registry", lambda: open_registry(settings.registry))
    try:
        asyncio.run(check_access(settings))
        prepare_project(registry, settings)
        listener = listen(settings)
        check_grpc_port(settings)
        check_certificate(settings)
        scheme = "https" if settings.http_certificate_path else "http"
        log.info("listening on %s://%s:%d", scheme, *listener.getsockname()[:2])
        _end_well_after_signals()
        _collect_garbage_rarely()
        uvicorn.Server(server_config(settings, registry, find_score, warm=True)).run(sockets=[listener])
    finally:
        registry.close()


def prepare_project(registry: Registry, settings: Settings) -> None:
    """Make the project that the settings ask for; without any, say how to get one (keys must not end up in a log)."""
    initial = initial_project(settings)
    if initial.given:
        registry.ensure_initial_project(initial)
    elif not registry.has_projects():
        log.warning("The registry has no project yet, every request will be refused. Set SPANFOLD_INIT_PROJECT_*.")


def initial_project(settings: Settings) -> InitialProject:
    """The settings' initial project, as the registry wants it."""
    return InitialProject(
        project_id=settings.init_project_id,
        project_name=settings.init_project_name,
        org_id=settings.init_org_id,
        org_name=settings.init_org_name,
        public_key=settings.init_project_public_key,
        secret_key=settings.init_project_secret_key.get_secret_value(),
    )


def listen(settings: Settings) -> socket.socket:
    """A bound socket for HTTP. Raises SettingError where the address cannot be had."""
    return _bound(settings.http_host, settings.http_port, "SPANFOLD_HTTP_PORT")


def check_grpc_port(settings: Settings) -> None:
    """Raises SettingError where the port of gRPC is taken: said here, before anything was started."""
    if settings.grpc_port > 0:
        _bound(settings.http_host, settings.grpc_port, "SPANFOLD_GRPC_PORT").close()


def check_certificate(settings: Settings) -> None:
    """Raises SettingError where the front door's certificate and key cannot be used: said before anything starts."""
    if settings.http_certificate_path:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(
                settings.http_certificate_path,
                settings.http_key_path or None,
                "",  # a key with a password is refused, not asked about on a terminal
            )
        except (OSError, ssl.SSLError) as error:
            raise SettingError(
                f"The front door's certificate cannot be used: {error}.",
                remedy="Check SPANFOLD_HTTP_CERTIFICATE_PATH and SPANFOLD_HTTP_KEY_PATH (PEM, no password).",
            ) from error


def _bound(host: str, port: int, variable: str) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise SettingError(
            f"Cannot listen on {host}:{port}: {error.strerror}.",
            remedy=f"Set SPANFOLD_HTTP_HOST and {variable} to a free address.",
        ) from error
    return listener


def server_config(
    settings: Settings, registry: Registry, find_score: FindScore | None = None, *, warm: bool = False
) -> uvicorn.Config:
    """uvicorn's settings: the fast loop and parser, logs through `logging` as the caller set it up, no access log."""
    return uvicorn.Config(
        create_app(settings, registry, find_score, warm=warm),
        loop="asyncio" if sys.platform == "win32" else "uvloop",
        http=bounded(settings.max_header_bytes, settings.header_timeout),
        ws="none",
        lifespan="on",
        log_config=None,
        log_level=settings.log_level.lower(),
        access_log=False,
        server_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=_GRACE_SECONDS,
        ssl_certfile=settings.http_certificate_path or None,
        ssl_keyfile=settings.http_key_path or None,
    )


def _collect_garbage_rarely() -> None:
    """A batch makes thousands of objects that soon go by themselves; looking for cycles among them is wasted time."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def _end_well_after_signals() -> None:
    """uvicorn raises a signal again after it has stopped for it; that second one shall not make the exit a failure."""

    def ignore(_signal: int, _frame: FrameType | None) -> None:
        """Called after everything was stopped."""

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, ignore)
