"""One role of a stack: the command that runs it, how to tell that it is ready, and its process.

Rule: a role runs in a session of its own, so that Ctrl-C reaches only the supervisor, which knows the order to stop in.
What it prints goes to LOGS/NAME.log, appended; a log past 20 MB is put aside as NAME.log.1 at the next start.
Fails with RoleFailedError, which quotes the role's last lines.
"""

import asyncio
import contextlib
import os
import signal
import sys
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from pipeline.errors import SpanfoldError
from pipeline.local import tether
from pipeline.local.kafka_probe import last_words

_LONGEST_LOG = 20 * 2**20  # bytes
_QUOTED = 16 * 2**10  # bytes
_POLL = 0.1  # seconds between two looks at the readiness probe


class RoleFailedError(SpanfoldError):
    """A role did not start, or died more often than is allowed."""


class ReadyProbe(Protocol):
    """Tells whether a role does its work."""

    def reset(self) -> None:
        """Forget what an earlier process of the role left behind; called before each start."""

    async def ready(self) -> bool:
        """Whether the role is ready now; must not raise and must not take long."""


@dataclass(frozen=True, slots=True)
class Role:
    """What to run. `env` is added to the supervisor's environment; `ready_within` in seconds.

    `own_log` is where the program logs by itself, with an errors-first summary (`last_words`) in a failure.
    """

    name: str
    command: tuple[str, ...]
    probe: ReadyProbe
    env: Mapping[str, str] = field(default_factory=dict)
    ready_within: float = 60.0
    own_log: Path | None = None


class RoleProcess:
    """The process of a role: started, watched until ready, stopped. It can be started again when it has ended."""

    def __init__(self, role: Role, logs: Path) -> None:
        self.role = role
        self.log = logs / f"{role.name}.log"
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self._process.pid if self.alive and self._process else None

    @property
    def alive(self) -> bool:
        """Whether the process has been started and has not ended."""
        return self._process is not None and self._process.returncode is None

    async def spawn(self) -> None:
        """Start the process; it is not ready yet."""
        self.role.probe.reset()
        self._put_long_log_aside()
        with self.log.open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", tether.__file__, str(os.getpid())),
                *self.role.command,
                env={**os.environ, **self.role.env},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    async def until_ready(self) -> None:
        """Wait for the probe. Raises RoleFailedError when the process ends before, or takes too long."""
        deadline = asyncio.get_running_loop().time() + self.role.ready_within
        while self.alive:
            if await self.role.probe.ready():
                return
            if asyncio.get_running_loop().time() > deadline:
                raise self.failure(f"was not ready within {self.role.ready_within:g} s")
            await asyncio.sleep(_POLL)
        raise self.failure(f"ended with exit code {await self.until_ended()} before it was ready")

    async def until_ended(self) -> int:
        """Wait for the process to end; its exit code, negative for a signal. 0 for one that was never started."""
        return await self._process.wait() if self._process else 0

    def send(self, number: signal.Signals) -> None:
        """Send a signal; SIGKILL goes to the whole session, so that no child of the role stays. A dead role is fine."""
        if (pid := self.pid) is None:
            return
        with contextlib.suppress(ProcessLookupError):  # it ended a moment ago
            if number is signal.SIGKILL:
                os.killpg(pid, number)
            else:
                os.kill(pid, number)

    def failure(self, what: str) -> RoleFailedError:
        """The error that says what happened to this role, with its last lines."""
        own = self.role.own_log
        quoted = last_words(own, self.log) if own else last_lines(self.log)
        return RoleFailedError(
            f"The role {self.role.name} {what}. Its last lines:\n{textwrap.indent(quoted, '    ')}",
            remedy=f"The whole story is in {own or self.log}",
        )

    def _put_long_log_aside(self) -> None:
        if self.log.exists() and self.log.stat().st_size > _LONGEST_LOG:
            self.log.replace(self.log.with_suffix(".log.1"))


def last_lines(log: Path, count: int = 15) -> str:
    """The end of a log; says so when there is nothing to show."""
    if not log.exists():
        return "(no log)"
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _QUOTED))
        lines = file.read().decode(errors="replace").splitlines()[-count:]
    return "\n".join(lines) or "(the log is empty)"
