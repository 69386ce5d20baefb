"""Traces of the pipeline itself, in OpenTelemetry: a trace for each flush, with a span for each of its steps.

Off unless SPANFOLD_OTEL_ENDPOINT names a collector (OTLP over HTTP, the whole URL, such as
http://collector:4318/v1/traces); it needs the extra `spanfold[otel]`. Spans are made when a flush is over, from times
that were noted, and a thread of OpenTelemetry's sends them: a collector that is away delays nobody, spans are dropped
then. What else an exporter needs, such as keys, it takes from OpenTelemetry's own OTEL_EXPORTER_OTLP_HEADERS.
Spanfold itself may be that collector. Then each flush causes a trace of a few spans, which causes a flush: steady work
for a worker that would have none, and no more than that.
"""

import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from pipeline import __version__
from pipeline.config import Settings
from pipeline.errors import SettingError
from pipeline.metrics.spec import Role

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider


_CLOSE_WITHIN = 1.0  # seconds


class Step(NamedTuple):
    """A part of some work; times in nanoseconds of the wall clock."""

    name: str
    began: int
    ended: int


class Tracing(Protocol):
    """Where it is told what work consisted of."""

    def tell(self, work: Step, steps: Sequence[Step], attributes: Mapping[str, int | str]) -> None:
        """A piece of work is over; must not wait."""

    def close(self) -> None:
        """Send what has not been sent, for a second at the most."""


class _Off:
    """Nobody wants to know."""

    def tell(self, work: Step, steps: Sequence[Step], attributes: Mapping[str, int | str]) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


NO_TRACING: Tracing = _Off()


class OtelTracing:
    """Makes spans of it."""

    def __init__(self, provider: "TracerProvider") -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("spanfold", __version__)

    def tell(self, work: Step, steps: Sequence[Step], attributes: Mapping[str, int | str]) -> None:
        """One trace: the work as its root, the steps below it."""
        from opentelemetry import context, trace

        root = self._tracer.start_span(work.name, context.Context(), attributes=attributes, start_time=work.began)
        inside = trace.set_span_in_context(root, context.Context())
        for step in steps:
            self._tracer.start_span(step.name, inside, start_time=step.began).end(step.ended)
        root.end(work.ended)

    def close(self) -> None:
        """Send what is left; what a collector does not take in time is lost."""

        def finish() -> None:
            self._provider.force_flush(int(_CLOSE_WITHIN * 1000))
            self._provider.shutdown()

        finishing = threading.Thread(target=finish, name="tracing", daemon=True)  # its own deadlines are none
        finishing.start()
        finishing.join(_CLOSE_WITHIN)


def open_tracing(settings: Settings, role: Role) -> Tracing:
    """What the settings ask for. Raises SettingError where OpenTelemetry is not installed or the URL is none."""
    if not settings.otel_endpoint:
        return NO_TRACING
    if not settings.otel_endpoint.startswith(("http://", "https://")):
        raise SettingError(
            f"SPANFOLD_OTEL_ENDPOINT is {settings.otel_endpoint!r}, which is no URL.",
            remedy="Give the whole URL of OTLP over HTTP, such as http://localhost:4318/v1/traces.",
        )
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise SettingError(
            f"SPANFOLD_OTEL_ENDPOINT is set, but OpenTelemetry is not installed ({error}).",
            remedy="Install the extra: pip install 'spanfold[otel]'. Or unset it.",
        ) from error
    names = {"service.name": f"spanfold-{role}", "service.version": __version__}
    if settings.instance_id:
        names["service.instance.id"] = settings.instance_id
    provider = TracerProvider(resource=Resource.create(names), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(settings.otel_endpoint, timeout=2)))
    return OtelTracing(provider)
