"""Traces by OpenTelemetry. Imported only where they are on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import SpanKind as Kind
from opentelemetry.trace import Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from memory.errors import BadInput
from server.tracing import Span, SpanKind, Value

_KINDS = {
    "internal": Kind.INTERNAL,
    "server": Kind.SERVER,
    "client": Kind.CLIENT,
    "consumer": Kind.CONSUMER,
}


class OtelSpan:
    """Implements `server.tracing.Span`."""

    def __init__(self, span: trace.Span) -> None:
        self._span = span

    def note(self, attributes: Mapping[str, Value]) -> None:
        """As its attributes."""
        self._span.set_attributes(dict(attributes))

    def rename(self, name: str) -> None:
        """As its name."""
        self._span.update_name(name)


class OtelTracer:
    """Implements `server.tracing.Tracer`. A provider of its own: nothing of the process is changed."""

    is_on = True

    def __init__(self, provider: TracerProvider, *, shows_content: bool = False) -> None:
        self.shows_content = shows_content
        self._provider = provider
        self._tracer = provider.get_tracer("apprentice")
        self._wire = TraceContextTextMapPropagator()

    @contextmanager
    def span(
        self, name: str, kind: SpanKind = "internal", *, parent: str | None = None, holds: bool = True
    ) -> Iterator[Span]:
        """A span as long as the block."""
        above = None if parent is None else self._wire.extract({"traceparent": parent})
        span = self._tracer.start_span(name, above, _KINDS[kind])
        token = contexts.attach(trace.set_span_in_context(span, above)) if holds else None
        try:
            yield OtelSpan(span)
        except BaseException as error:
            span.set_attribute("error.type", type(error).__name__)
            if isinstance(error, Exception):
                # Not its words: they may be a caller's.
                span.set_status(Status(StatusCode.ERROR, type(error).__name__))
            raise
        finally:
            if token is not None:
                contexts.detach(token)
            span.end()

    def current(self) -> str | None:
        """The W3C traceparent of the span around."""
        carrier: dict[str, str] = {}
        self._wire.inject(carrier)
        return carrier.get("traceparent")

    def close(self) -> None:
        """Send what is left; waits a few seconds for a collector that is away."""
        self._provider.shutdown()


def over(exporter: SpanExporter, *, shows_content: bool) -> OtelTracer:
    """A tracer whose spans go to an exporter, in the background."""
    provider = TracerProvider(resource=Resource.create({"service.name": "apprentice"}))
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return OtelTracer(provider, shows_content=shows_content)


def by_otlp(endpoint: str | None, *, shows_content: bool) -> OtelTracer:
    """A tracer to a collector, by OTLP over HTTP; None is where the variables OTEL_EXPORTER_OTLP_… say.

    Raises BadInput where the extra `otel` is not installed.
    """
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ImportError as error:
        raise BadInput("traces need more packages: pip install 'apprentice[otel]'") from error
    url = None if endpoint is None else f"{endpoint.rstrip('/')}/v1/traces"
    return over(OTLPSpanExporter(endpoint=url), shows_content=shows_content)
