"""`python -m pipeline.local.clickhouse --data DIR --port N`: ClickHouse's engine as a process of its own.

It writes one line "ready" with its URL to standard error when it accepts requests. SIGTERM ends it: running
requests get `--grace` seconds, exit code 0. SIGKILL is safe: what was acknowledged is there at the next start.
"""

import argparse
import asyncio
import logging
import os
import signal
import sys
from pathlib import Path

import uvloop
from aiohttp import web

from pipeline.errors import SpanfoldError
from pipeline.local.clickhouse.engine import Engine, EngineOptions
from pipeline.local.clickhouse.server import Server, ServerOptions
from pipeline.local.ports import LOOPBACK

log = logging.getLogger("pipeline.local.clickhouse")


def main() -> int:
    """Run until SIGTERM or SIGINT; returns the exit code."""
    arguments = _arguments().parse_args()
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        options = EngineOptions(memory_ratio=arguments.memory_ratio, config=arguments.config)
        engine = Engine(arguments.data.resolve(), options)
    except SpanfoldError as error:
        log.error("%s", error)
        return 1
    try:
        access = ServerOptions(user=arguments.user, password=arguments.password)
        uvloop.run(_serve(engine, access, arguments.host, arguments.port, arguments.grace))
    finally:
        engine.close()
    return 0


async def _serve(engine: Engine, options: ServerOptions, host: str, port: int, grace: float) -> None:
    """Serve until a signal comes; then stop listening, let requests end for `grace` seconds, cancel the rest."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    runner = web.AppRunner(
        Server(engine, options).application(),
        access_log=None,
        handler_cancellation=True,  # a client that goes away cancels its handler
        auto_decompress=False,  # Content-Encoding is ours: aiohttp knows no lz4
        shutdown_timeout=grace,
        keepalive_timeout=3600.0,  # clients keep connections between flushes and must not find them closed
    )
    await runner.setup()
    site = web.TCPSite(runner, host, port)
    await site.start()
    address = runner.addresses[0]
    log.info("ready url=http://%s:%s engine=%s", address[0], address[1], engine.version)
    await stopping.wait()
    log.info("stopping, requests may take %s more seconds", grace)
    killer = asyncio.get_running_loop().call_later(grace, engine.kill, "")
    try:
        await runner.cleanup()
    finally:
        killer.cancel()


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pipeline.local.clickhouse", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="directory of the engine's data")
    parser.add_argument("--host", default=LOOPBACK, help="address to listen on")
    parser.add_argument("--port", type=int, default=8123, help="port to listen on; 0 takes a free one")
    parser.add_argument("--user", default="default", help="the one user, if there is a password")
    parser.add_argument(
        "--password",
        default=os.environ.get("SPANFOLD_CLICKHOUSE_PASSWORD", ""),
        help="ask for this password (default: SPANFOLD_CLICKHOUSE_PASSWORD); empty asks for none",
    )
    parser.add_argument("--grace", type=float, default=8.0, help="seconds that running requests get at SIGTERM")
    parser.add_argument("--config", type=Path, help="a configuration file of ClickHouse's own, such as for backups")
    parser.add_argument("--memory-ratio", type=float, default=0.4, help="part of the memory that queries may take")
    return parser


if __name__ == "__main__":
    sys.exit(main())
