"""What the registry refuses."""

from pipeline.errors import AbsentError, SpanfoldError


class RegistryError(SpanfoldError):
    """A project, key or rule cannot be made or changed as asked; the message names its id."""


class RegistryAbsentError(RegistryError, AbsentError):
    """The registry's database does not answer, and may be starting."""
