"""A stack of the demo's own: `spanfold up` on a scratch directory, as a child process.

Rule: the scratch stack never meets a real one. Ports are free ones, and the settings by which `up` could reach other
databases, brokers or projects are overridden, whatever the environment says. It stops with the demo, however the demo
ends: asked with SIGTERM, and killed by the kernel where the demo itself was killed (tether.py).
Fails with ScratchError, which quotes what `up` said last.
"""

import asyncio
import json
import os
import sys
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from pipeline.errors import SpanfoldError
from pipeline.local import tether
from pipeline.local.roles import environment
from pipeline.local.stack import Stack, running_stack

PROJECT = "demo"
UP = (sys.executable, "-P", "-m", "pipeline", "up")
STOP_WITHIN = 15.0  # seconds; `up` promises 10
_ENDING = 2.0  # seconds that `up` may take to end after its last words
_QUOTED = 25  # lines
_OWN = {
    "clickhouse_cluster": "",
    "clickhouse_database": "spanfold",
    "clickhouse_password": "",
    "clickhouse_user": "default",
    "init_org_id": "",
    "init_org_name": "",
    "init_project_id": PROJECT,
    "init_project_name": "Demo",
    "init_project_public_key": "",
    "init_project_secret_key": "",
    "instance_id": "",
    "topic_prefix": "spanfold",
    "topic_replication": "1",
}


class ScratchError(SpanfoldError):
    """The demo's stack did not start, or did not stay."""


class ScratchStack:
    """The running stack and the process that holds it."""

    def __init__(self, stack: Stack, process: asyncio.subprocess.Process) -> None:
        self.stack = stack
        self._process = process

    async def ended(self) -> None:
        """Return when `up` has ended."""
        await self._process.wait()


def registry_url(data: Path) -> str:
    """The registry of the stack in `data`, whatever SPANFOLD_REGISTRY_URL says."""
    return f"sqlite:///{data / 'registry.sqlite'}"


@asynccontextmanager
async def scratch_stack(
    data: Path, port: int, tell: Callable[[str], None], command: Sequence[str] = UP
) -> AsyncIterator[ScratchStack]:
    """A stack on the folder `data` that stops at the end of the block; `tell` gets what `up` says of its progress.

    Raises ScratchError where it does not start, or where it ended while the block was running.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-S", tether.__file__, str(os.getpid())),
        *(*command, "--data", str(data), "--port", str(port), "--clickhouse-port", "0", "--kafka-port", "0", "--json"),
        env={**os.environ, **environment({**_OWN, "registry_url": registry_url(data)})},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for the demo, which then stops the stack
    )
    said: deque[str] = deque(maxlen=_QUOTED)
    listening = asyncio.create_task(_listen(process, said, tell))
    try:
        yield ScratchStack(await _ready(process, data), process)
    except Exception as error:  # it is raised again, by its name or by the one that explains it
        if process.returncode is None and not isinstance(error, _NeverReadyError):
            raise
        await _stop(process)
        await listening
        quoted = "\n".join(f"    {line}" for line in said) or "    (nothing)"
        raise ScratchError(
            f"The demo's stack ended with exit code {process.returncode}. It said last:\n{quoted}",
            remedy="`spanfold doctor` looks for what is missing on this machine.",
        ) from error
    finally:
        await _stop(process)
        await listening


class _NeverReadyError(Exception):
    """`up` closed its output without a ready line."""


async def _ready(process: asyncio.subprocess.Process, data: Path) -> Stack:
    assert process.stdout is not None  # noqa: S101 - it is a pipe: see above
    line = await process.stdout.readline()
    stack = running_stack(data) if line and json.loads(line).get("event") == "ready" else None
    if stack is None:
        with suppress(TimeoutError):  # a signal to a process that is just ending would lose its exit code
            async with asyncio.timeout(_ENDING):
                await process.wait()
        raise _NeverReadyError
    return stack


async def _listen(process: asyncio.subprocess.Process, said: deque[str], tell: Callable[[str], None]) -> None:
    assert process.stderr is not None  # noqa: S101 - it is a pipe: see above
    async for line in process.stderr:
        text = line.decode(errors="replace").rstrip().removeprefix("spanfold: ")
        said.append(text)
        tell(text)


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(STOP_WITHIN):
            await process.wait()
    except (TimeoutError, asyncio.CancelledError):  # too slow for us, or for whoever presses Ctrl-C again
        process.kill()  # its roles die with it, and nobody needs what they hold
        await process.wait()
