"""Logs of a role: one line per event on stderr, from structlog and from `logging` alike.

Rule: `time level logger event role=… instance=… key=value …`, in UTC, so that the logs of several processes can be
merged by sorting and told apart again; or a JSON object with the same keys. A line about a trace names `project` and
`trace`. Libraries speak from `warning` on, whatever the level: at `debug` some of them tell headers, statements and
parameters. The secrets of the settings are masked in every line, tracebacks too, should anything ever say one.
Configured by `log_level` and `log_format`.
"""

import logging
import socket
import sys
from collections.abc import Sequence

import structlog

from pipeline.config import Settings
from pipeline.errors import SettingError
from pipeline.secret_files import masked, secrets_of

LEVELS = ("debug", "info", "warning", "error")
FIRST = ("timestamp", "level", "logger", "event", "role", "instance")
OURS = "pipeline"


class MaskingFormatter(logging.Formatter):
    """Another formatter's lines with every secret replaced."""

    def __init__(self, secrets: Sequence[str], inner: logging.Formatter) -> None:
        super().__init__()
        self._secrets, self._inner = secrets, inner

    def format(self, record: logging.LogRecord) -> str:
        """One line, or more with a traceback."""
        return masked(self._inner.format(record), self._secrets)


RENDERERS: dict[str, structlog.typing.Processor] = {
    "text": structlog.processors.KeyValueRenderer(key_order=list(FIRST), drop_missing=True, repr_native_str=False),
    "json": structlog.processors.JSONRenderer(),
}


def configure_logs(settings: Settings, role: str) -> None:
    """Set up both logging systems of this process. Raises SettingError for an unknown level or format.

    The instance is its static id in its group, else the machine's name.
    """
    if settings.log_format not in RENDERERS:
        raise SettingError(f"SPANFOLD_LOG_FORMAT is {settings.log_format!r}.", remedy=f"Use {' or '.join(RENDERERS)}.")
    if settings.log_level.lower() not in LEVELS:
        raise SettingError(f"SPANFOLD_LOG_LEVEL is {settings.log_level!r}.", remedy=f"Use one of {', '.join(LEVELS)}.")
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _bound(role=role, instance=settings.instance_id or socket.gethostname()),
    ]
    line = RENDERERS[settings.log_format]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        MaskingFormatter(
            secrets_of(settings),
            structlog.stdlib.ProcessorFormatter(
                foreign_pre_chain=shared,
                processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, line],
            ),
        )
    )
    logging.basicConfig(level=max(level, logging.WARNING), handlers=[handler], force=True)
    logging.getLogger(OURS).setLevel(level)


def _bound(**ids: str) -> structlog.typing.Processor:
    """Puts these on every line; a line that has one of them itself keeps it."""

    def bind(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        for name, value in ids.items():
            event.setdefault(name, value)
        return event

    return bind
