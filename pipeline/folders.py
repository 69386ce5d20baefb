"""Folders that a setting or an option names."""

from pathlib import Path

from pipeline.errors import SettingError


def make_folder(folder: Path, named_by: str, mode: int = 0o777) -> None:
    """Make it and what is above it, where they are missing. Raises SettingError that says who named it."""
    try:
        folder.mkdir(mode=mode, parents=True, exist_ok=True)
    except OSError as error:
        raise SettingError(
            f"The folder {folder} cannot be made: {error.strerror}.",
            remedy=f"Let {named_by} name one that this user may write.",
        ) from error
