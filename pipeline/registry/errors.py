"""What the registry refuses."""

from pipeline.errors import SpanfoldError


class RegistryError(SpanfoldError):
    """A project, key or rule cannot be made or changed as asked; the message names its id."""
