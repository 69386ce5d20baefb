"""docs/dead-letters.md knows every reason, every header and the settings of the guard."""

import re
from pathlib import Path

from pipeline.config import Settings
from pipeline.events import headers
from pipeline.events.reasons import Reason

PAGE = (Path(__file__).parents[2] / "docs" / "dead-letters.md").read_text("utf-8")


def test_every_reason_has_a_line_and_no_other() -> None:
    section = PAGE.partition("## Reasons")[2].partition("\n## ")[0]
    assert sorted(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == sorted(Reason)


def test_every_header_is_named() -> None:
    names = [getattr(headers, name) for name in dir(headers) if name.startswith("DEAD_") and name != "DEAD_PREFIX"]
    assert len(names) > 10
    for name in names:
        assert f"`{name}`" in PAGE or f"`{name.removeprefix('spanfold-dead')}`" in PAGE
    for name in headers.REPLAY:
        assert f"`{name}`" in PAGE


def test_settings_are_named_with_their_defaults() -> None:
    for name in ("guard_share", "guard_count", "guard_window"):
        default = Settings.model_fields[name].default
        assert re.search(rf"`SPANFOLD_{name.upper()}` \({default:g}\b", PAGE)
