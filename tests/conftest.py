"""Fixtures for all tests: the real broker and ClickHouse engine, started once a session when first asked for.

SPANFOLD_TEST_DEPTH=deep lets the property tests that are counted by fixtures/examples.py try 50 times as much.
"""

import os

from hypothesis import settings

pytest_plugins = ["tests.fixtures.kafka", "tests.fixtures.clickhouse", "tests.fixtures.worker"]

settings.register_profile("short", max_examples=100, deadline=None)  # a busy machine is no failure
settings.register_profile("deep", max_examples=5_000, deadline=None)
settings.load_profile(os.environ.get("SPANFOLD_TEST_DEPTH", "short"))
