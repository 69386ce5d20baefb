"""Logs of a role: one line per event on stderr, from structlog and from `logging` alike.

Rule: `time level logger event key=value …`, in UTC, so that the logs of several roles can be merged by sorting.
Configured by `log_level`. Libraries that are chatty at `info` speak from `warning` on.
"""

import logging
import sys

import structlog

from pipeline.config import Settings
from pipeline.errors import SettingError

LEVELS = ("debug", "info", "warning", "error")
_CHATTY = ("aiokafka", "faust", "mode", "httpx", "alembic", "uvicorn.error")


def configure_logs(settings: Settings) -> None:
    """Set up both logging systems of this process. Raises SettingError for an unknown level."""
    if settings.log_level.lower() not in LEVELS:
        raise SettingError(f"SPANFOLD_LOG_LEVEL is {settings.log_level!r}.", remedy=f"Use one of {', '.join(LEVELS)}.")
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    line = structlog.processors.KeyValueRenderer(
        key_order=["timestamp", "level", "logger", "event"], drop_missing=True, repr_native_str=False
    )
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
