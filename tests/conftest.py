"""Fixtures for all tests: the real broker and ClickHouse engine, started once a session when first asked for.

SPANFOLD_TEST_DEPTH=deep lets the property tests that are counted by fixtures/examples.py try 50 times as much; give
pytest `--timeout 0` with it.
"""

import os

from hypothesis import settings

pytest_plugins = ["tests.fixtures.kafka", "tests.fixtures.clickhouse", "tests.fixtures.worker"]

# A busy machine is no failure. In CI a change is judged by the same examples each time; elsewhere others are tried.
settings.register_profile("short", max_examples=100, deadline=None, derandomize="CI" in os.environ)
settings.register_profile("deep", max_examples=5_000, deadline=None)
settings.load_profile(os.environ.get("SPANFOLD_TEST_DEPTH", "short"))
