"""What a running stack is and where its parts are: DIR/stack.json, by which every other command finds it.

Rule: `up` writes the file when all is ready and removes it when it has stopped; only its owner may read it, since
it holds a secret key. A file whose process is gone, or whose lock nobody holds (another program may have the process id
by now), was left by a killed stack and counts as none.
A command uses the running stack of the data directory, unless the environment names a broker, a store or a registry:
then it means that installation, and mixing the two would be worse than failing.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pipeline.config import Settings
from pipeline.errors import SettingError, SpanfoldError
from pipeline.local.lock import is_released

FILE = "stack.json"
CONNECTIONS = frozenset({"kafka_bootstrap", "clickhouse_url", "registry_url"})


@dataclass(frozen=True, slots=True)
class Stack:
    """A stack that is ready. `settings` are the fields of Settings by which a command of its own reaches it."""

    http: str
    clickhouse: str
    kafka: str
    data: str
    project_id: str
    public_key: str
    secret_key: str
    pid: int
    settings: Mapping[str, str]
    grpc: str | None = None  # host:port of OTLP over gRPC; None where it is switched off
    metrics: Mapping[str, str] = field(default_factory=dict)  # role -> URL of its metrics

    def announcement(self) -> dict[str, Any]:
        """The object that `up --json` prints; programs rely on its names."""
        names = ("http", "grpc", "clickhouse", "kafka", "data", "project_id", "public_key", "secret_key", "metrics")
        return {"event": "ready", **{name: getattr(self, name) for name in names}}


def write_private(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON that only its owner may read; a reader sees the old file or the new one, never half of it."""
    scratch = path.with_suffix(".new")
    scratch.unlink(missing_ok=True)
    with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(content, file)
    scratch.replace(path)


def write_stack(stack: Stack) -> None:
    """Publish a stack that is ready."""
    write_private(Path(stack.data) / FILE, {"event": "ready", **asdict(stack)})


def running_stack(data: Path) -> Stack | None:
    """The stack that runs on `data` now, or None. Raises SpanfoldError when its file cannot be understood."""
    path = data / FILE
    try:
        content = json.loads(path.read_text())
        stack = Stack(**{name: value for name, value in content.items() if name != "event"})
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise SpanfoldError(
            f"{path} cannot be read ({error}).", remedy="Stop the stack and remove the file."
        ) from error
    return stack if is_alive(stack.pid) and not is_released(data) else None


def is_alive(pid: int) -> bool:
    """Whether a process with this id exists, of whichever user."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def load_settings(**fields: Any) -> Settings:
    """Settings() with the errors of all wrong settings in one SettingError; `fields` win over the environment."""
    try:
        return Settings(**fields)
    except ValidationError as error:
        wrong = [f"{variable_of(str(problem['loc'][0]))}: {problem['msg']}" for problem in error.errors()]
        raise SettingError("; ".join(wrong) + ".", remedy="`spanfold check-config` shows every setting.") from error


def variable_of(field: str) -> str:
    """The environment variable of a field; pydantic names a field that has two by the variable itself."""
    return field if field.isupper() else f"SPANFOLD_{field.upper()}"


def find_settings(data: Path | None, *, must_run: bool = True) -> Settings:
    """The settings of a command: of the stack that runs in `data` (default: SPANFOLD_DATA_DIR), else the environment's.

    Raises SpanfoldError when `data` was given, nothing runs there and `must_run`; SettingError for wrong settings.
    """
    own = load_settings()
    folder = (data or own.data_dir).expanduser().resolve()
    if data is None and own.model_fields_set & CONNECTIONS:
        return own
    if stack := running_stack(folder):
        return load_settings(**stack.settings)
    if data is not None and must_run:
        raise SpanfoldError(f"No stack is running in {folder}.", remedy=f"Start one: spanfold up --data {folder}")
    return load_settings(data_dir=folder)
