"""An event loop for tests that must not wait."""

import asyncio
import selectors
from typing import Any


class _NothingHappens(selectors.SelectSelector):
    """No file is ever ready, and waiting takes no time: it only moves the clock of the loop."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        """Nothing, at once."""
        assert timeout is not None, "everything waits for something that will never happen"
        self.now += max(timeout, 0.0)
        return []


class QuickLoop(asyncio.SelectorEventLoop):
    """An event loop without input and output: no system calls, no waiting, and the same run every time."""

    def __init__(self) -> None:
        self._selector_alone = _NothingHappens()
        super().__init__(self._selector_alone)

    def time(self) -> float:
        """Seconds that the loop has waited."""
        return self._selector_alone.now
