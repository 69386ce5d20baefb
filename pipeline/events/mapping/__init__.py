"""What spans mean: one table of rules per convention, and the one way in which they are applied.

`resolve(span)` gives the fields of a span and which rule of which mapper set each. docs/mapping.md is made from the
tables. A new convention is a module with a `MAPPER`, entered into `table.MAPPERS`.
"""

from pipeline.events.mapping.resolve import Resolved, resolve

__all__ = ["Resolved", "resolve"]
