"""The supervisor, with small real processes as roles: order, restarts, deadlines, and no orphan whatever happens."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from pipeline.local.probes import FileAppears
from pipeline.local.role import Role, RoleFailedError
from pipeline.local.stack import is_alive
from pipeline.local.supervise import RestartLimit, Supervisor

PATIENCE = 20.0  # seconds; far more than any of this takes
QUICK = RestartLimit(count=3, window=60.0, pause=0.01)

READY = "import os, pathlib, signal, sys, time; pathlib.Path(os.environ['READY']).touch(); "
SLEEPS = READY + "time.sleep(600)"
DEAF = READY + "signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
TELLS_ITS_END = (
    READY + "stop = lambda *_: (open(os.environ['ENDS'], 'a').write(os.environ['NAME'] + ' '), sys.exit(0)); "
    "signal.signal(signal.SIGTERM, stop); print('listening', flush=True); time.sleep(600)"
)


@pytest.fixture
async def supervisor(tmp_path: Path) -> AsyncIterator[Supervisor]:
    made = Supervisor(tmp_path / "logs", limit=QUICK, stop_within=PATIENCE)
    yield made
    made.hurry()
    await made.stop()


def role(folder: Path, name: str, code: str, **options: float) -> Role:
    ready = folder / f"{name}.ready"
    env = {"READY": str(ready), "ENDS": str(folder / "ends"), "NAME": name}
    return Role(name, (sys.executable, "-c", code), FileAppears(ready), env, **options)  # type: ignore[arg-type]  # floats


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.02)


def prints(log: Path, text: str) -> Callable[[], bool]:
    return lambda: log.exists() and text in log.read_text()


async def duration(work: Awaitable[None]) -> float:
    began = time.monotonic()
    await work
    return time.monotonic() - began


async def test_a_stage_is_ready_when_all_its_roles_are_and_its_output_is_in_the_logs(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    await supervisor.start(role(tmp_path, "one", DEAF), role(tmp_path, "two", SLEEPS))
    assert [process.role.name for process in supervisor.roles] == ["one", "two"]
    assert all(process.pid and is_alive(process.pid) for process in supervisor.roles)
    await until(prints(tmp_path / "logs" / "one.log", "deaf"))


async def test_roles_stop_in_the_reverse_order_of_their_start(supervisor: Supervisor, tmp_path: Path) -> None:
    for name in ("store", "worker", "door"):
        await supervisor.start(role(tmp_path, name, TELLS_ITS_END))
        await until(prints(tmp_path / "logs" / f"{name}.log", "listening"))
    await supervisor.stop()
    assert (tmp_path / "ends").read_text().split() == ["door", "worker", "store"]
    assert not any(process.alive for process in supervisor.roles)


async def test_a_role_that_dies_before_it_is_ready_fails_the_start_with_its_last_lines(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    with pytest.raises(RoleFailedError, match=r"broken ended with exit code 4(.|\n)*no such luck(.|\n)*broken\.log"):
        await supervisor.start(role(tmp_path, "broken", "print('no such luck'); raise SystemExit(4)"))


async def test_a_program_that_does_not_exist_is_named(supervisor: Supervisor, tmp_path: Path) -> None:
    missing = Role("ghost", ("/does/not/exist",), FileAppears(tmp_path / "never"))
    with pytest.raises(RoleFailedError, match="/does/not/exist: No such file"):
        await supervisor.start(missing)


async def test_a_role_that_is_not_ready_in_time_fails_the_start(supervisor: Supervisor, tmp_path: Path) -> None:
    with pytest.raises(RoleFailedError, match=r"slow was not ready within 0\.3 s"):
        await supervisor.start(role(tmp_path, "slow", "import time; time.sleep(600)", ready_within=0.3))


async def test_a_ready_file_of_an_earlier_run_does_not_count(supervisor: Supervisor, tmp_path: Path) -> None:
    (tmp_path / "slow.ready").touch()
    with pytest.raises(RoleFailedError, match="not ready"):
        await supervisor.start(role(tmp_path, "slow", "import time; time.sleep(600)", ready_within=0.3))


async def test_a_role_that_dies_is_started_again(supervisor: Supervisor, tmp_path: Path) -> None:
    await supervisor.start(role(tmp_path, "worker", SLEEPS))
    (process,) = supervisor.roles
    first = process.pid
    assert first
    os.kill(first, signal.SIGKILL)
    await until(lambda: process.pid not in (None, first) and (tmp_path / "worker.ready").exists())


async def test_a_role_that_keeps_dying_ends_the_stack_with_its_last_lines(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    await supervisor.start(role(tmp_path, "fine", SLEEPS))
    dies_later = f"{READY} time.sleep(0.3); print('my last words', flush=True); sys.exit(3)"
    await supervisor.start(role(tmp_path, "dying", dies_later))
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(RoleFailedError, match=r"dying died 3 times(.|\n)*code 3(.|\n)*my last words"):
            await supervisor.wait()
    await supervisor.stop()
    assert not any(process.alive for process in supervisor.roles)


async def test_a_role_that_ignores_sigterm_is_killed_at_the_deadline(tmp_path: Path) -> None:
    told: list[str] = []
    supervisor = Supervisor(tmp_path / "logs", stop_within=0.5, tell=told.append)
    await supervisor.start(role(tmp_path, "deaf", DEAF))
    await until(prints(tmp_path / "logs" / "deaf.log", "deaf"))
    assert await duration(supervisor.stop()) < PATIENCE
    assert not supervisor.roles[0].alive
    assert "deaf did not stop in time and is killed" in told


async def test_hurry_ends_a_stop_that_waits(supervisor: Supervisor, tmp_path: Path) -> None:
    await supervisor.start(role(tmp_path, "deaf", DEAF))
    await until(prints(tmp_path / "logs" / "deaf.log", "deaf"))
    stopping = asyncio.create_task(duration(supervisor.stop()))
    await asyncio.sleep(0)
    supervisor.hurry()
    assert await stopping < PATIENCE / 2
    assert not supervisor.roles[0].alive


async def test_killing_a_role_kills_what_it_started(supervisor: Supervisor, tmp_path: Path) -> None:
    child = "import subprocess; child = subprocess.Popen(['sleep', '600']); print(child.pid, flush=True); "
    await supervisor.start(role(tmp_path, "parent", child + DEAF))
    log = tmp_path / "logs" / "parent.log"
    await until(prints(log, "deaf"))
    grandchild = int(log.read_text().split()[0])
    supervisor.hurry()
    await supervisor.stop()
    await until(lambda: not runs(grandchild))


async def test_no_role_outlives_a_supervisor_that_was_killed(tmp_path: Path) -> None:
    program = (
        "import asyncio, sys\nfrom pathlib import Path\n"
        "from pipeline.local.probes import FileAppears\nfrom pipeline.local.role import Role\n"
        "from pipeline.local.supervise import Supervisor\n"
        "async def main():\n"
        "    supervisor = Supervisor(Path(sys.argv[1]) / 'logs')\n"
        "    ready = Path(sys.argv[1]) / 'deaf.ready'\n"
        "    command = (sys.executable, '-c', sys.argv[2])\n"
        "    await supervisor.start(Role('deaf', command, FileAppears(ready), {'READY': str(ready)}))\n"
        "    print(supervisor.roles[0].pid, flush=True)\n"
        "    await supervisor.wait()\n"
        "asyncio.run(main())\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path), DEAF]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path.cwd()) as killed:
        assert killed.stdout
        orphan = int(await asyncio.to_thread(killed.stdout.readline))
        assert runs(orphan)
        killed.kill()
    await until(lambda: not runs(orphan))


def runs(pid: int) -> bool:
    """Whether a process runs; a zombie that its new parent has yet to bury does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
