"""What costs time once must not count against the deadline of a single example."""

import pytest

from pipeline.cost.vocabulary import VOCABULARIES, encoding


@pytest.fixture(scope="session", autouse=True)
def vocabularies() -> None:
    """Load the tokenizers that pricing uses for calls without usage."""
    for name in VOCABULARIES:
        assert encoding(name) is not None
