"""ClickHouse's HTTP answers: headers, compression, and errors before or after the first byte was sent.

Rule: an answer that is known whole goes out with its length; a longer one in chunks. An error after the first
chunk cannot have a status any more: it is written into the body between markers with the tag that the header
X-ClickHouse-Exception-Tag announced, which is how clients of ClickHouse 25.11 and later find it.
"""

import json
import secrets

from aiohttp import web

from pipeline.local.clickhouse.compression import Encoder, encoder
from pipeline.local.clickhouse.engine import Engine
from pipeline.local.clickhouse.errors import ClickHouseError
from pipeline.local.clickhouse.execution import Execution, Opening
from pipeline.local.clickhouse.lanes import Turn
from pipeline.local.clickhouse.protocol import Request

_CONTENT_TYPES = {
    "json": "application/json; charset=UTF-8",
    "jsoncompact": "application/json; charset=UTF-8",
    "jsoneachrow": "application/x-ndjson; charset=UTF-8",
    "csv": "text/csv; charset=UTF-8; header=absent",
    "tabseparated": "text/tab-separated-values; charset=UTF-8",
    "tsv": "text/tab-separated-values; charset=UTF-8",
    "native": "application/octet-stream",
    "rowbinary": "application/octet-stream",
}


async def send_answer(
    http: web.Request, turn: Turn, execution: Execution, request: Request, opening: Opening, headers: dict[str, str]
) -> web.StreamResponse:
    """Send an answer whose opening is known; `headers` from `answer_headers`."""
    encoding = headers.get("Content-Encoding", "")
    encode = encoder(encoding) if encoding else None
    if opening.complete:
        body = opening.body
        if encode is not None:
            body = encode.add(body) + encode.end()
        return web.Response(body=body, headers=headers)
    tag = secrets.token_hex(8)
    response = web.StreamResponse(headers={**headers, "X-ClickHouse-Exception-Tag": tag})
    await response.prepare(http)
    await _send_blocks(response, turn, execution, opening, encode, tag)
    return response


def answer_headers(engine: Engine, request: Request, opening: Opening, encoding: str) -> dict[str, str]:
    """The headers of a good answer."""
    counts = opening.counts
    summary = {
        "read_rows": counts.read_rows,
        "read_bytes": counts.read_bytes,
        "written_rows": counts.written_rows,
        "written_bytes": counts.written_bytes,
        "total_rows_to_read": 0,
        "result_rows": opening.result_rows or counts.written_rows,
        "result_bytes": counts.written_bytes or len(opening.body),
        "elapsed_ns": opening.elapsed_ns,
    }
    content_type = _CONTENT_TYPES.get(request.output.lower(), "text/plain; charset=UTF-8")
    headers = {
        "Content-Type": content_type,
        "X-ClickHouse-Query-Id": request.query_id,
        "X-ClickHouse-Timezone": engine.timezone,
        "X-ClickHouse-Summary": json.dumps({name: str(value) for name, value in summary.items()}),
    }
    if opening.has_result:
        headers["X-ClickHouse-Format"] = request.output
    if encoding:
        headers["Content-Encoding"] = encoding
    return headers


def error_answer(error: ClickHouseError, version: str, query_id: str) -> web.Response:
    """The answer to a request that failed before its first byte."""
    headers = {"X-ClickHouse-Exception-Code": str(error.code), "X-ClickHouse-Query-Id": query_id}
    return web.Response(text=error.body(version), status=error.http_status, headers=headers)


async def _send_blocks(
    response: web.StreamResponse, turn: Turn, execution: Execution, opening: Opening, encode: Encoder | None, tag: str
) -> None:
    """Send the opening and all further blocks; compressing is done in the turn's thread."""

    def next_piece() -> bytes | None:
        block = execution.more()
        return block if block is None or encode is None else encode.add(block)

    piece: bytes | None = encode.add(opening.body) if encode else opening.body
    try:
        while piece is not None:
            await response.write(piece)
            piece = await turn.run(next_piece)
    except ClickHouseError as error:
        marked = _marked(error, tag)
        await response.write(encode.add(marked) if encode else marked)
    if encode is not None:
        await response.write(encode.end())
    await response.write_eof()


def _marked(error: ClickHouseError, tag: str) -> bytes:
    """An error within a body, in the form of ClickHouse's WriteBufferFromHTTPServerResponse."""
    text = f"Code: {error.code}. {error}\n".encode()
    return b"\r\n__exception__\r\n%s\r\n%s%d %s\r\n__exception__\r\n" % (tag.encode(), text, len(text), tag.encode())
