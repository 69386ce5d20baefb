"""`python -m pipeline.metrics > docs/metrics.md`."""

from pipeline.metrics.page import page

print(page(), end="")
