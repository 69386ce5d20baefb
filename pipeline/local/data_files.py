"""Where the data files under infra/ are, in a checkout and in an installed wheel alike.

The files live once, in the repository's infra/ folder; the wheel carries a copy inside the package
(pyproject.toml, `force-include`). The checkout wins where both exist, so that an edit is seen at once.
"""

from pathlib import Path

from pipeline.errors import MissingPrerequisiteError

_PACKAGE = Path(__file__).resolve().parent.parent
CHECKOUT = _PACKAGE.parent / "infra"
INSTALLED = _PACKAGE / "_infra"


def infra_file(relative: str) -> Path:
    """The file `infra/<relative>`. Raises MissingPrerequisiteError when neither place has it."""
    for folder in (CHECKOUT, INSTALLED):
        if (path := folder / relative).is_file():
            return path
    raise MissingPrerequisiteError(
        f"Spanfold's data file {relative} is missing from this installation.", remedy="Install Spanfold again."
    )
