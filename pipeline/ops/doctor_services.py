"""The checks of `spanfold doctor` that talk to Kafka, ClickHouse and the registry. None changes anything."""

from pathlib import Path

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.exc import NoSuchModuleError, SQLAlchemyError

from pipeline.config import Settings
from pipeline.errors import SpanfoldError
from pipeline.ops.finding import Finding
from pipeline.ops.kafka_admin import looking
from pipeline.ops.topics import topic_specs
from pipeline.store.client import connect
from pipeline.store.migrate import read_migrations
from pipeline.topic_limits import LARGEST, TIMESTAMPS, read_configs, too_small, untold

_ARRIVAL = "LogAppendTime"
_PATIENCE = 5.0  # seconds for each service


async def check_broker(settings: Settings) -> Finding:
    """A broker answers."""
    try:
        async with looking(settings, _PATIENCE) as admin:
            cluster = await admin.describe_cluster()
    except SpanfoldError as error:
        return _failed("kafka", error)
    return Finding("kafka", True, f"{len(cluster['brokers'])} brokers at {settings.kafka_bootstrap}")


async def check_topics(settings: Settings) -> Finding:
    """Every topic exists, takes its time of arrival from the broker (LogAppendTime), and takes what it may be sent."""
    names = [spec.name for spec in topic_specs(settings)]
    try:
        async with looking(settings, _PATIENCE) as admin:
            missing = sorted(set(names) - set(await admin.list_topics()))
            configs = {} if missing else await read_configs(admin, names, [TIMESTAMPS, LARGEST])
    except SpanfoldError as error:
        return _failed("topics", error)
    if missing:
        return Finding("topics", False, f"missing: {', '.join(missing)}", "Run `spanfold topics`.")
    clocks = {name: configs.get(name, {}).get(TIMESTAMPS) for name in names}
    wrong = [name for name, clock in clocks.items() if clock not in (None, _ARRIVAL)]
    if wrong:
        remedy = f"Run kafka-configs --alter --topic NAME --add-config {TIMESTAMPS}={_ARRIVAL} for each."
        return Finding("topics", False, f"{TIMESTAMPS} is not {_ARRIVAL}: {', '.join(wrong)}", remedy)
    if small := too_small(settings, configs):
        return Finding("topics", False, f"{LARGEST} is too small: {', '.join(small)}", " ".join(small.values()))
    found, silent = ", ".join(names), [name for name, clock in clocks.items() if clock is None]
    return Finding("topics", True, f"{found}. {untold(silent, TIMESTAMPS)}" if silent else found)


def check_store(settings: Settings) -> Finding:
    """ClickHouse answers, the database is there and has all migrations of this version."""
    try:
        client = connect(settings, database="default", deadline=_PATIENCE, timeout=_PATIENCE)
    except SpanfoldError as error:
        return _failed("clickhouse", error)
    try:
        applied = _applied(client, settings.clickhouse_database)
    except ClickHouseError as error:
        return Finding("clickhouse", False, str(error), "Check the rights of SPANFOLD_CLICKHOUSE_USER.")
    finally:
        version = client.server_version
        client.close()
    missing = [migration.name for migration in read_migrations() if migration.name not in applied]
    found = f"version {version} at {settings.clickhouse_url}, {len(applied)} migrations"
    if missing:
        return Finding("clickhouse", False, f"{found}, missing: {missing[0]} and on", "Run `spanfold migrate`.")
    return Finding("clickhouse", True, found)


def check_registry(settings: Settings) -> Finding:
    """The registry answers; a SQLite file that is not there yet is made at the first start."""
    url = make_url(settings.registry)
    shown = url.render_as_string(hide_password=True)
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").exists():
        return Finding("registry", True, f"{shown} is made at the first start")
    try:
        engine = create_engine(url)
        with engine.connect() as connection:
            connection.execute(text("SELECT 1"))
        engine.dispose()
    except (SQLAlchemyError, NoSuchModuleError, ModuleNotFoundError) as error:
        return Finding("registry", False, f"{shown}: {error}", "Check SPANFOLD_REGISTRY_URL and its driver.")
    return Finding("registry", True, shown)


def _applied(client: Client, database: str) -> set[str]:
    """The names of the migrations that were applied; none where the table of records is missing."""
    if not client.command(
        "SELECT count() FROM system.tables WHERE database = {database:String} AND name = 'schema_migrations'",
        parameters={"database": database},
    ):
        return set()
    rows = client.query(
        "SELECT DISTINCT name FROM {database:Identifier}.schema_migrations", parameters={"database": database}
    ).result_rows
    return {str(name) for (name,) in rows}


def _failed(check: str, error: SpanfoldError) -> Finding:
    return Finding(check, False, str(error.args[0]), error.remedy)
