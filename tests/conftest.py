"""Fixtures for all tests: the real broker and the real ClickHouse engine, started once per session when first asked for."""

pytest_plugins = ["tests.fixtures.kafka", "tests.fixtures.clickhouse", "tests.fixtures.worker"]
