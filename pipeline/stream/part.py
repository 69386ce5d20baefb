"""What of a partition is committed together: the chunks of one batch, once every row of their events is durable (I2).

A flush does not write every row that is out of date: what is still open may wait a moment (fold/build.py). A trace that
has anything unwritten holds the part in which that began. A part is done when nothing holds it and every earlier
part of its partition is done.
"""

from dataclasses import dataclass, field

from pipeline.stream.chunk import ChunkCount, Span


@dataclass(slots=True, eq=False)
class Part:
    """Chunks of one partition in one batch. `holders` counts traces with unwritten rows, since this part."""

    chunks: list[tuple[Span, ChunkCount]] = field(default_factory=list)
    holders: int = 0
    flushed: bool = False  # its batch was written, but for what its holders have

    def release(self) -> None:
        """One of the traces that held it has all its rows in the store."""
        self.holders -= 1


class Parts:
    """The parts of one partition that are not done, in order."""

    def __init__(self) -> None:
        self._parts: list[Part] = []

    def __len__(self) -> int:
        return len(self._parts)

    def add(self, part: Part) -> None:
        """Of the newest batch."""
        self._parts.append(part)

    def done(self) -> list[Part]:
        """Those that may be committed now, in order; they leave."""
        count = 0
        for part in self._parts:
            if part.holders or not part.flushed:
                break
            count += 1
        done, self._parts = self._parts[:count], self._parts[count:]
        return done

    def chunks(self) -> list[Span]:
        """All that is waiting."""
        return [chunk for part in self._parts for chunk, _ in part.chunks]
