"""The shadow tables: the same tables and views in a database of their own, `DATABASE_shadow`, one set at a time.

They are made by the migrations that made the live ones, so partitions can move from one to the other, and analysts can
ask `DATABASE_shadow.traces` what they ask `traces`.
"""

from clickhouse_connect.driver.client import Client

from pipeline.config import Settings
from pipeline.store.client import connect
from pipeline.store.migrate import migrate


def shadow_settings(settings: Settings) -> Settings:
    """Settings by which everything that knows the store finds the shadow tables."""
    return settings.model_copy(update={"clickhouse_database": f"{settings.clickhouse_database}_shadow"})


def open_shadow(settings: Settings, timeout: float) -> Client:
    """A client of the shadow tables, which are made where they are missing."""
    there = shadow_settings(settings)
    migrate(there)
    return connect(there, deadline=5.0, timeout=timeout)


def drop_shadow(client: Client, settings: Settings) -> None:
    """Remove them, if there are any. The names are those that migrations were checked for."""
    cluster = f"ON CLUSTER {settings.clickhouse_cluster}" if settings.clickhouse_cluster else ""
    client.command(f"DROP DATABASE IF EXISTS {shadow_settings(settings).clickhouse_database} {cluster} SYNC")
