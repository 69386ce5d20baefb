"""Folders that a setting names: made with what is above them, or an error that says who named them."""

from pathlib import Path

import pytest

from pipeline.errors import SettingError
from pipeline.folders import make_folder
from pipeline.local.up import UpOptions, run_up
from pipeline.registry import open_registry
from pipeline.replay.folder import write_folder


def test_a_folder_is_made_with_what_is_above_it_and_again_is_fine(tmp_path: Path) -> None:
    for _ in range(2):
        make_folder(tmp_path / "a" / "b", "--data", 0o700)
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700


def test_commands_say_which_folder_cannot_be_made_and_who_named_it(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(SettingError, match=r"cannot be made: File exists\. Let --data or SPANFOLD_DATA_DIR"):
        run_up(UpOptions(data=file), lambda *_: None, lambda *_: None, lambda *_: None)  # type: ignore[arg-type]
    with pytest.raises(SettingError, match=r"Not a directory\. Let SPANFOLD_DATA_DIR or SPANFOLD_REGISTRY_URL"):
        open_registry(f"sqlite:///{file}/below/registry.sqlite")
    with pytest.raises(SettingError, match="Let --export"):
        write_folder(file, [])
