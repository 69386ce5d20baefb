"""Cut a Langfuse batch into its events without writing them anew: the bytes that came are the bytes that are kept."""

import asyncio

import msgspec

from pipeline.ingest.answers import EnvelopeError
from pipeline.ingest.tolerant import split_tolerant


class _Batch(msgspec.Struct):
    """The envelope; its `metadata` is the client's own bookkeeping and is not kept."""

    batch: list[msgspec.Raw]


_DECODER = msgspec.json.Decoder(_Batch)


async def split_batch(body: bytes) -> list[bytes]:
    """The events of a batch, each as it came. Raises EnvelopeError where the body is no batch."""
    try:
        return [bytes(event) for event in _DECODER.decode(body).batch]
    except msgspec.ValidationError as error:
        raise EnvelopeError(str(error)) from None
    except (msgspec.DecodeError, RecursionError):
        return await asyncio.to_thread(split_tolerant, body)
