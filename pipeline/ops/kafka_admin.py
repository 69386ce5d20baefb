"""A short conversation with the broker, for the commands that look: never waits long, never changes anything."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from pipeline.config import Settings
from pipeline.errors import SpanfoldError
from pipeline.kafka_client import check_access, kafka_options

ANSWER_WITHIN = 10.0  # seconds for the whole conversation


class BrokerUnreachableError(SpanfoldError):
    """Kafka did not answer a command that looks."""


@asynccontextmanager
async def looking(settings: Settings, within: float = ANSWER_WITHIN) -> AsyncIterator[AIOKafkaAdminClient]:
    """An admin client for at most `within` seconds. Raises BrokerUnreachableError for whatever Kafka fails with.

    SettingError where brokers do not let us in.
    """
    admin = AIOKafkaAdminClient(**kafka_options(settings), request_timeout_ms=int(within * 1000))
    try:
        async with asyncio.timeout(within):
            await admin.start()
            yield admin
    except (KafkaError, OSError) as error:  # OSError covers TimeoutError
        await check_access(settings)  # says why, where it is us who are not let in
        raise BrokerUnreachableError(
            f"Kafka at {settings.kafka_bootstrap} did not answer: {str(error) or type(error).__name__}.",
            remedy="Check that it runs, SPANFOLD_KAFKA_BOOTSTRAP and SPANFOLD_KAFKA_SECURITY_PROTOCOL.",
        ) from error
    finally:
        await admin.close()
