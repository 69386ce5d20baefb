"""One process of the stack under test, and the keeper that starts it again when it ended, as a supervisor does."""

import os
import signal
import threading
import time
from collections.abc import Callable

from pipeline.errors import SpanfoldError

PAUSE = 0.5  # seconds before a process that ended is started again, as in `spanfold up`
_LOOK = 0.05
_END_SECONDS = 30.0


class Kept:
    """A process by its name. `begin` starts it, `ready` waits until it does its work, `pid` tells whether it runs."""

    def __init__(
        self, name: str, begin: Callable[[], None], ready: Callable[[], None], pid: Callable[[], int | None]
    ) -> None:
        self.name = name
        self.ended = 0  # times that it ended though nobody killed or stopped it
        self.troubles: list[str] = []  # starts that failed
        self.begin, self.ready, self._pid = begin, ready, pid
        self.wanted = False  # the keeper starts it when it has ended
        self._blamed = False  # the harness itself ended it
        self._closed = threading.Event()
        self._back = threading.Event()
        self._thread = threading.Thread(target=self._keep, name=f"keeper of {name}", daemon=True)

    def up(self) -> None:
        """Start it and wait until it is ready; it is kept running from now on."""
        self._back.clear()
        self.begin()
        self.keep()
        try:
            self.ready()
        except AssertionError:
            self.wait_back()  # it ended while it started, as it may when what it needs is down: the keeper tries again

    def keep(self) -> None:
        """It was started already: keep it running from now on."""
        self.wanted = True
        if not self._thread.is_alive():
            self._thread.start()

    def kill(self) -> None:
        """SIGKILL; the keeper starts it again."""
        self._back.clear()
        self._blamed = True
        self.signal(signal.SIGKILL)

    def wait_back(self) -> None:
        """Return once it is ready again after a kill."""
        assert self._back.wait(_END_SECONDS), f"{self.name} did not come back"

    def down(self, number: signal.Signals) -> None:
        """End it by a signal and wait for that; it stays down until `up`."""
        self.wanted = False
        self.signal(number)
        deadline = time.monotonic() + _END_SECONDS
        while self._pid() is not None:
            if time.monotonic() > deadline:
                self.signal(signal.SIGKILL)
            time.sleep(_LOOK)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, if it runs."""
        if (pid := self._pid()) is not None:
            os.kill(pid, number)

    @property
    def pid(self) -> int | None:
        """Its process id while it runs."""
        return self._pid()

    def let_go(self) -> None:
        """Nobody keeps it any more."""
        self.wanted = False
        self._closed.set()
        if self._thread.is_alive():
            self._thread.join()

    def close(self) -> None:
        """Nobody keeps it any more, and it ends."""
        self.let_go()
        self.signal(signal.SIGCONT)
        self.down(signal.SIGKILL)

    def _keep(self) -> None:
        while not self._closed.wait(_LOOK):
            if not self.wanted or self._pid() is not None:
                continue
            self.ended += not self._blamed
            self._blamed = False
            if self._closed.wait(PAUSE) or not self.wanted:
                continue
            try:
                self.begin()
                self.ready()
                self._back.set()
            except (AssertionError, SpanfoldError, OSError) as error:
                self.troubles.append(f"{self.name}: {str(error)[:500]}")
