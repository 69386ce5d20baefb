"""Fixtures for all tests: the real broker and ClickHouse engine, started once a session when first asked for."""

pytest_plugins = ["tests.fixtures.kafka", "tests.fixtures.clickhouse", "tests.fixtures.worker"]
