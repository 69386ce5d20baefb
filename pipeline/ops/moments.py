"""Times as people type them on the command line."""

from datetime import UTC, date, datetime

from pipeline.errors import SettingError


def moment(option: str, text: str) -> datetime:
    """A day (its first moment) or a time; UTC without an offset. Raises SettingError that names the option."""
    try:
        if len(text) == len("2026-11-25"):
            day = date.fromisoformat(text)
            return datetime(day.year, day.month, day.day, tzinfo=UTC)
        found = datetime.fromisoformat(text)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):  # the latter: it is outside of the calendar in UTC
        raise SettingError(
            f"{option} is {text!r}, which is no day and no time.", remedy="Write 2026-11-25 or 2026-11-25T13:00:00Z."
        ) from None
