"""Logs of a role: one line per event on stderr, from structlog and from `logging` alike.

Rule: `time level logger event role=… instance=… key=value …`, in UTC, so that the logs of several processes can be
merged by sorting and told apart again; or a JSON object with the same keys. A line about a trace names `project` and
`trace`. Configured by `log_level` and `log_format`. Libraries that are chatty at `info` speak from `warning` on.
"""

import logging
import socket
import sys

import structlog

from pipeline.config import Settings
from pipeline.errors import SettingError

LEVELS = ("debug", "info", "warning", "error")
FIRST = ("timestamp", "level", "logger", "event", "role", "instance")
_CHATTY = ("aiokafka", "faust", "mode", "httpx", "alembic", "uvicorn.error")


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
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, line],
        )
    )
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))


def _bound(**ids: str) -> structlog.typing.Processor:
    """Puts these on every line; a line that has one of them itself keeps it."""

    def bind(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        for name, value in ids.items():
            event.setdefault(name, value)
        return event

    return bind
