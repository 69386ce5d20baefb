"""Logs of a role: one line per event on stderr, from structlog and from `logging` alike.

Rule: `time level logger event key=value …`, in UTC, so that the logs of several roles can be merged by sorting.
Libraries speak from `warning` on, whatever the level: at `debug` some of them tell headers, statements and parameters.
The secrets of the settings are masked in every line, tracebacks too, should anything ever say one.
Configured by `log_level`.
"""

import logging
import sys
from collections.abc import Sequence

import structlog

from pipeline.config import Settings
from pipeline.errors import SettingError
from pipeline.secret_files import masked, secrets_of

LEVELS = ("debug", "info", "warning", "error")
OURS = "pipeline"


class MaskingFormatter(logging.Formatter):
    """Another formatter's lines with every secret replaced."""

    def __init__(self, secrets: Sequence[str], inner: logging.Formatter) -> None:
        super().__init__()
        self._secrets, self._inner = secrets, inner

    def format(self, record: logging.LogRecord) -> str:
        """One line, or more with a traceback."""
        return masked(self._inner.format(record), self._secrets)


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
