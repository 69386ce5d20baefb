"""A gate in a TCP connection: between a worker and its store or broker, to do there what networks do.

Problem: a connection that is cut in the middle of an insert, a server that hangs, an answer that gets lost after the
work was done. None of that can be had by killing processes.
Rule: every byte passes `_pump`, which asks the gate what
is wrong at the moment. A `Trouble` holds from the moment when it is set, also for connections that are open already;
`CALM` lets everything pass again, what hung included. It runs on a thread of its own; `trouble` may be set from any.
"""

import asyncio
import threading
from dataclasses import dataclass
from types import TracebackType

from pipeline.local.ports import LOOPBACK

_PIECE = 64 * 1024  # bytes that pass at a time
_TURN = 0.02  # seconds between two looks at whether a gate still hangs


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is wrong with the connection."""

    refuses: bool = False  # open connections are cut, new ones closed at once
    hangs: bool = False  # connections stand, nothing passes
    delay: float = 0.0  # seconds that each piece is late
    cut_after: int = 0  # a connection is cut when its client has sent so many bytes more; 0: never
    loses_answers: bool = False  # what the client sends arrives, the connection is cut when the server answers
    answer: bytes = b""  # said to every client in the server's place, who never hears of the request


CALM = Trouble()


class TcpGate:
    """Listens on `port` of the loopback interface and passes everything on to `target`, as its trouble allows."""

    def __init__(self, target: int) -> None:
        self.port = 0
        self.trouble = CALM
        self.cuts = 0  # connections cut by the gate
        self._target = target
        self._loop = asyncio.new_event_loop()
        self._live: set[asyncio.StreamWriter] = set()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="gate", daemon=True)

    def __enter__(self) -> "TcpGate":
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def become(self, trouble: Trouble) -> None:
        """This is wrong from now on, instead of what was."""
        self.trouble = trouble
        if trouble.refuses:
            self._loop.call_soon_threadsafe(self._cut_all)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._connected, LOOPBACK, 0))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.trouble.refuses:
            writer.transport.abort()
            return
        try:
            server_reader, server_writer = await asyncio.open_connection(LOOPBACK, self._target)
        except OSError:  # the server is down: so is the gate
            writer.transport.abort()
            return
        both = (writer, server_writer)
        self._live.update(both)
        ways = [
            asyncio.ensure_future(self._pump(reader, server_writer, writer, to_server=True)),
            asyncio.ensure_future(self._pump(server_reader, writer, writer, to_server=False)),
        ]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        for each in both:
            self._live.discard(each)
            each.transport.abort()

    async def _pump(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, client: asyncio.StreamWriter, *, to_server: bool
    ) -> None:
        """Pass pieces on until one side ends or the gate cuts the connection."""
        sent, since = 0, self.trouble
        try:
            while piece := await source.read(_PIECE):
                while self.trouble.hangs:
                    await asyncio.sleep(_TURN)
                trouble = self.trouble
                if trouble is not since:
                    sent, since = 0, trouble
                await asyncio.sleep(trouble.delay)
                if to_server and trouble.answer:
                    await _answer(source, client, trouble.answer)
                    return
                if to_server and 0 < trouble.cut_after < sent + len(piece):
                    sink.write(piece[: trouble.cut_after - sent])
                    await sink.drain()
                    self.cuts += 1
                    return
                if not to_server and trouble.loses_answers:
                    self.cuts += 1
                    return
                sent += len(piece)
                sink.write(piece)
                await sink.drain()
        except OSError:
            return  # one side went away: the other will hear of it

    def _cut_all(self) -> None:
        for each in self._live:
            self.cuts += 1
            each.transport.abort()


async def _answer(source: asyncio.StreamReader, client: asyncio.StreamWriter, answer: bytes) -> None:
    """Hear the client out, then say it: who is still sending does not listen."""
    try:
        async with asyncio.timeout(0.1):
            while await source.read(_PIECE):
                continue
    except TimeoutError:
        client.write(answer)
        await client.drain()


def clickhouse_error(code: int, text: str) -> bytes:
    """ClickHouse's answer to a request that failed, as it goes over the wire."""
    body = f"Code: {code}. DB::Exception: {text}\n".encode()
    head = (
        f"HTTP/1.1 500 Internal Server Error\r\nX-ClickHouse-Exception-Code: {code}\r\n"
        f"Content-Type: text/plain; charset=UTF-8\r\nContent-Length: {len(body)}\r\nConnection: Close\r\n\r\n"
    )
    return head.encode() + body
