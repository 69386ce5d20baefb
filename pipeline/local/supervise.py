"""Keeps the roles of a stack running: starts them in order, restarts what dies, stops all in reverse order.

Rule: roles start in stages; a stage starts when every role of the one before is ready. A role that was ready and dies
is started again after a pause that doubles; `RestartLimit.count` deaths within `RestartLimit.window` end the stack.
A stop has one deadline for everything: the last stage is asked first (SIGTERM), each earlier stage keeps a reserve
of the time, and what still runs at its end is killed (SIGKILL), which loses nothing (invariant I3).
Fails with RoleFailedError from `start` (a role that was never ready is not tried again: the cause will not go away)
and from `wait`. Children cannot outlive the supervisor: see tether.py.
"""

import asyncio
import signal
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.local.role import Role, RoleFailedError, RoleProcess

STOP_WITHIN = 9.0  # seconds for all roles together; `up` promises 10
_RESERVE = 2.5  # seconds that every earlier stage is sure to have for its own stop


@dataclass(frozen=True, slots=True)
class RestartLimit:
    """`count` deaths within `window` seconds are too many; pauses between restarts grow from `pause`, in seconds."""

    count: int = 5
    window: float = 60.0
    pause: float = 0.5

    def pause_after(self, deaths: int) -> float:
        """Seconds to wait before the restart that follows the n-th death."""
        return self.pause * float(2 ** (deaths - 1))


class Supervisor:
    """Runs roles whose logs go to the folder `logs`. `tell` gets a line about everything worth knowing."""

    def __init__(
        self,
        logs: Path,
        *,
        limit: RestartLimit | None = None,
        stop_within: float = STOP_WITHIN,
        tell: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._logs = logs
        self._limit = limit or RestartLimit()
        self._stop_within = stop_within
        self._tell = tell
        self._stages: list[list[RoleProcess]] = []
        self._keepers: list[asyncio.Task[None]] = []
        self._hurry = asyncio.Event()
        logs.mkdir(parents=True, exist_ok=True)

    @property
    def roles(self) -> list[RoleProcess]:
        """All roles in the order of their start."""
        return [process for stage in self._stages for process in stage]

    async def start(self, *roles: Role) -> None:
        """Start `roles` together, as one stage, and wait until all are ready. Raises RoleFailedError."""
        stage = [RoleProcess(role, self._logs) for role in roles]
        self._stages.append(stage)  # before the first process exists, so that a stop in between finds it
        try:
            async with asyncio.TaskGroup() as group:
                for process in stage:
                    group.create_task(self._bring_up(process))
        except* RoleFailedError as failures:
            raise failures.exceptions[0] from None
        self._keepers += [asyncio.create_task(self._keep(process)) for process in stage]

    async def wait(self) -> None:
        """Return never; raises RoleFailedError when a role died too often."""
        done, _ = await asyncio.wait(self._keepers, return_when=asyncio.FIRST_COMPLETED)
        for keeper in done:
            keeper.result()

    async def stop(self) -> None:
        """Stop all roles, the last stage first, within the deadline. Safe to call at any moment, also twice."""
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)  # `wait` has already told what they failed with
        deadline = asyncio.get_running_loop().time() + self._stop_within
        for earlier in reversed(range(len(self._stages))):
            await self._stop_stage(self._stages[earlier], deadline - earlier * _RESERVE)

    def hurry(self) -> None:
        """End a stop that is under way: everything that still runs is killed at once."""
        self._hurry.set()

    async def _bring_up(self, process: RoleProcess) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        await process.spawn()
        await process.until_ready()
        self._tell(f"{process.role.name} is ready ({loop.time() - began:.1f} s)")

    async def _keep(self, process: RoleProcess) -> None:
        """Restart one role whenever it ends. Raises RoleFailedError at the limit."""
        loop = asyncio.get_running_loop()
        deaths: deque[float] = deque()
        while True:
            code = await process.until_ended()
            deaths.append(loop.time())
            while deaths[0] < loop.time() - self._limit.window:
                deaths.popleft()
            if len(deaths) >= self._limit.count:
                raise process.failure(
                    f"died {len(deaths)} times within {self._limit.window:g} s, last with code {code}"
                )
            pause = self._limit.pause_after(len(deaths))
            self._tell(f"{process.role.name} ended with exit code {code}; it is started again in {pause:g} s")
            await asyncio.sleep(pause)
            try:
                await self._bring_up(process)
            except RoleFailedError as error:
                self._tell(str(error))
                process.send(signal.SIGKILL)  # one that hangs counts as dead

    async def _stop_stage(self, stage: Sequence[RoleProcess], deadline: float) -> None:
        running = [process for process in stage if process.alive]
        for process in running:
            process.send(signal.SIGTERM)
        if not await self._all_ended(running, deadline):
            for process in running:
                if process.alive:
                    self._tell(f"{process.role.name} did not stop in time and is killed")
                    process.send(signal.SIGKILL)
            await _all_of(running)

    async def _all_ended(self, running: Sequence[RoleProcess], deadline: float) -> bool:
        """Wait until all have ended (True), or the deadline or `hurry` comes first (False)."""
        if not running:
            return True
        ended = asyncio.create_task(_all_of(running))
        hurried = asyncio.create_task(self._hurry_wanted())
        left = max(0.0, deadline - asyncio.get_running_loop().time())
        done, pending = await asyncio.wait({ended, hurried}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        return ended in done

    async def _hurry_wanted(self) -> None:
        await self._hurry.wait()


async def _all_of(processes: Sequence[RoleProcess]) -> None:
    """Return when all have ended."""
    for process in processes:
        await process.until_ended()
