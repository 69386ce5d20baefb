"""The statements of docs/operations.md: a store that is lost comes back from its backup and from Kafka, row for row."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from pipeline.config import Settings
from pipeline.local.kafka import LocalKafka
from tests.fixtures.captures import produce
from tests.fixtures.clickhouse import ClickHouseProcess
from tests.fixtures.traffic import create_update_traffic
from tests.fixtures.views import digest, wait_for, wait_until_settled, wait_until_stored
from tests.fixtures.worker import Stack, new_stack

pytestmark = pytest.mark.stack

PAGE = (Path(__file__).parents[2] / "docs" / "operations.md").read_text("utf-8")
SECTION = PAGE.partition("\n## Backup and restore\n")[2].partition("\n## ")[0]
BLOCKS = re.findall(r"```sql\n(.*?)```", SECTION, re.DOTALL)
QUICK = {"settle_quiet": 0.2, "settle_idle": 0.5}


def statements(block: str, database: str, folder: Path) -> list[str]:
    """Those of one block of the page, for this database and a folder."""
    text = re.sub(r"S3\('https://…/(\w+)'\)", rf"File('{folder}/\1')", block)
    text = re.sub(r"\bspanfold(?=[.; ])", database, text)
    return [statement.strip() for statement in text.split(";") if statement.strip()]


@pytest.fixture
def stack_with_backups(kafka: LocalKafka, tmp_path: Path) -> Iterator[tuple[Stack, Path]]:
    """On a store of its own that may write backups to a folder."""
    folder = tmp_path / "backups"
    folder.mkdir()
    config = tmp_path / "config.xml"
    config.write_text(f"<clickhouse><backups><allowed_path>{folder}/</allowed_path></backups></clickhouse>")
    server = ClickHouseProcess(tmp_path, "--config", str(config))
    server.start()
    stack = new_stack(kafka, server, tmp_path / "stack")
    yield stack, folder
    stack.close()
    server.stop()


async def set_back(settings: Settings) -> None:
    """The workers' group, to the beginning."""
    places = [TopicPartition(settings.events_topic, number) for number in range(settings.topic_partitions)]
    group = settings.fold_group
    async with AIOKafkaConsumer(bootstrap_servers=settings.kafka_bootstrap, group_id=group) as consumer:
        consumer.assign(places)
        await consumer.commit(dict.fromkeys(places, 0))


def test_a_lost_store_comes_back_from_its_backup_and_from_kafka(stack_with_backups: tuple[Stack, Path]) -> None:
    stack, folder = stack_with_backups
    database = stack.settings.clickhouse_database
    records = list(create_update_traffic(8 * 17))
    before, after = records[: len(records) // 2 + 5], records[len(records) // 2 + 5 :]  # a trace is in both
    worker = stack.worker("first", **QUICK)
    produce(stack.settings, before)
    wait_until_stored(stack, len(before))
    backup, restore = (statements(block, database, folder) for block in BLOCKS)
    assert [len(backup), len(restore)] == [2, 3]
    for statement in backup:
        stack.client.command(statement)
    produce(stack.settings, after)
    wait_until_stored(stack, len(records))
    wait_until_settled(stack)
    was = digest(stack)
    worker.stop()

    stack.client.command(f"DROP DATABASE {database} SYNC")
    for statement in restore:
        stack.client.command(statement, use_database=False)
    assert stack.count("SELECT count() FROM raw_events") == len(before)
    asyncio.run(set_back(stack.settings))
    stack.worker("second", **QUICK)
    wait_for(stack, "SELECT uniqExact(project_id, trace_id, event_id) FROM raw_events", len(records))
    wait_until_stored(stack, len(records))
    wait_until_settled(stack)
    assert stack.count("SELECT count() FROM raw_events") == len(records)
    assert digest(stack) == was
