"""What people said to a model is never in a log, not even when a decoder breaks on it."""

import pytest
from structlog.testing import capture_logs

from pipeline.events.model import Micros, Record
from pipeline.events.reasons import Reason
from pipeline.stream import intake
from pipeline.stream.chunk import Chunk
from pipeline.stream.offsets import TopicPartition
from pipeline.stream.stages import Stages

PRIVATE = "a private sentence"


def test_a_decoder_s_mistake_is_logged_with_its_place_and_without_the_event(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(record: Record, _most: int) -> None:
        raise ValueError(f"cannot read {record.value!r}")

    monkeypatch.setattr(intake, "decode_record", broken)
    record = Record("events", 3, 7, Micros(1), b"p/t", PRIVATE.encode(), ())
    with capture_logs() as logs:
        taken = intake.Intake(10**6, Stages(None)).decode(Chunk(TopicPartition("events", 3), [record], lambda: None))
    (line,) = logs
    assert (line["event"], line["error"], line["offset"]) == ("decoder_failed", "ValueError", 7)
    assert "in broken" in line["where"]
    assert PRIVATE not in str(line)
    (letter,) = taken.dead
    assert letter.reason is Reason.DECODER_FAILED
    assert PRIVATE in letter.detail  # whoever may read dead letters may read the event
