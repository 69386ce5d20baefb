"""What the commands about cost refuse before they touch anything."""

import pytest
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.errors import SettingError
from pipeline.ops.reprice import run


@pytest.mark.parametrize("arguments", [("--from", "2026-12-01", "--to", "2026-11-01"), ("--from", "2200-01-01")])
def test_a_range_without_time_in_it_publishes_no_book(
    arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def publish(*_: object, **__: object) -> None:
        raise AssertionError("a book would be published, and the next epoch begun")

    monkeypatch.setattr(run, "reprice", publish)
    with pytest.raises(SettingError, match="is not before --to"):
        CliRunner().invoke(app, ["reprice", *arguments], catch_exceptions=False)
