"""The rooms of docs/architecture.md: an import points down the list, or to what everybody may know."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "pipeline"
FOR_ALL = {"errors", "config", "secret_files", "patience", "kafka_client", "kafka_records", "events", "metrics"}
FOR_ALL |= {"topic_limits", "folders", "pipeline"}

# Who may know whom, beside FOR_ALL. "top" is what composes the program: cli.py and its neighbours.
MAY_KNOW: dict[str, set[str]] = {
    "events": set(),
    "metrics": set(),
    "fold": set(),
    "cost": set(),
    "registry": set(),
    "store": set(),
    "local": set(),
    "evaluate": {"store"},
    # re-pricing computes with the books that the registry has; media leave with the rows that refer to them
    "ops": {"store", "local", "cost", "registry", "blobs"},
    "audit": {"stream", "store", "cost", "registry", "local", "ops"},  # folds as the worker does, to compare
    "replay": {"stream", "store", "local", "cost", "registry", "ops", "blobs"},  # folds as the worker does, to rows
    "blobs": set(),
    "ingest": {"registry", "blobs"},
    "stream": {"fold", "cost", "evaluate", "store", "registry", "blobs"},  # media in events are stored as blobs
}
TOP = {"cli", "__main__", "prepare", "score_lookup", "demo", "bench"}


def _room(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "pipeline"


def _imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "pipeline":
            found |= {f"{node.module}.{name.name}" if node.module == "pipeline" else node.module for name in node.names}
        elif isinstance(node, ast.Import):
            found |= {name.name for name in node.names if name.name.split(".")[0] == "pipeline"}
    return found


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path: Path) -> None:
    room = path.relative_to(PACKAGE).with_suffix("").parts[0]
    if room in TOP or room == "__init__" or room in FOR_ALL - {"events", "metrics"}:
        return
    known = FOR_ALL | MAY_KNOW[room] | {room, "__version__"}
    wrong = {module for module in _imports(path) if _room(module) not in known}
    assert not wrong, f"{room} must not know {sorted(wrong)}"
