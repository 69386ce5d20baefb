"""What the demo is doing, on stderr: a spinner or a bar per step on a terminal, plain lines elsewhere.

Rule: stdout is for what came out. A finished step leaves one line with the time that it took.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn


class Step:
    """A step that is under way."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress, self._task = progress, task

    def advance(self, by: int) -> None:
        """So many more units of the total are done."""
        self._progress.advance(self._task, by)

    def reached(self, done: int, total: int) -> None:
        """So many units of a total that may change are done."""
        self._progress.update(self._task, completed=done, total=total)

    def note(self, line: str) -> None:
        """News beside the spinner."""
        self._progress.update(self._task, note=escape(line))


class Steps:
    """Shows steps one after the other."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._current: Step | None = None

    def line(self, text: str, *, mark: str = "·") -> None:
        """A line that stays."""
        prefix = f"[green]{mark}[/] " if self._console.is_terminal else "spanfold: "
        self._console.print(prefix + escape(text), highlight=False, soft_wrap=True)

    def tell(self, line: str) -> None:
        """News of what is under way: beside the spinner of the current step, else a line."""
        if self._current and self._console.is_terminal:
            self._current.note(line)
        else:
            self.line(line)

    @contextmanager
    def step(self, what: str, total: int | None = None) -> Iterator[Step]:
        """Show a step for as long as the block takes; without a total there is a spinner and no bar."""
        began = time.monotonic()
        columns = [SpinnerColumn(), TextColumn("{task.description}"), TextColumn("[dim]{task.fields[note]}")]
        bar = [] if total is None else [BarColumn(bar_width=24), TextColumn("{task.completed:,.0f}/{task.total:,.0f}")]
        progress = Progress(
            *columns, *bar, TimeElapsedColumn(),
            console=self._console, transient=True, disable=not self._console.is_terminal,
        )  # fmt: skip
        with progress:
            self._current = Step(progress, progress.add_task(escape(what), total=total, note=""))
            try:
                yield self._current
            finally:
                self._current = None
        self.line(f"{what} ({time.monotonic() - began:.1f} s)", mark="✓")
