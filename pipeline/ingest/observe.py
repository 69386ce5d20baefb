"""Count and time every request. Plain ASGI: it never touches bodies."""

from time import perf_counter

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.metrics import Metric, Metrics

OTHER = "other"  # label of every path that is no route, so that strangers cannot make up labels


class Observe:
    """ASGI middleware; labels a request by its route's path."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass through; count HTTP requests when their answer begins."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begin = perf_counter()

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = getattr(scope.get("route"), "path", OTHER)
                self._metrics.add(Metric.INGEST_REQUESTS, 1, route, str(message["status"]))
                self._metrics.observe(Metric.INGEST_SECONDS, perf_counter() - begin, route)
            await send(message)

        try:
            await self._app(scope, receive, counted)
        except Exception:  # a bug, answered 500 further out
            self._metrics.add(Metric.INGEST_REQUESTS, 1, getattr(scope.get("route"), "path", OTHER), "500")
            raise
