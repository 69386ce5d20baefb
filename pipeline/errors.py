"""The errors that Spanfold shows to people: what happened, to which id, and what to do about it."""


class SpanfoldError(Exception):
    """Base of every error that is meant to be read by a person; `remedy` says what to do next."""

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy

    def __str__(self) -> str:
        message = super().__str__()
        return f"{message} {self.remedy}" if self.remedy else message


class SettingError(SpanfoldError):
    """A setting is missing, malformed or contradicts another."""


class AbsentError(SpanfoldError):
    """Something that this process needs does not answer: it may be starting. `unknown`: its name leads nowhere."""

    def __init__(self, message: str, *, remedy: str = "", unknown: bool = False) -> None:
        super().__init__(message, remedy=remedy)
        self.unknown = unknown


class MissingPrerequisiteError(SpanfoldError):
    """Something this machine needs is not there (Java, a jar, a port)."""
