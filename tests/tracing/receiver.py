"""A receiver of OTLP over HTTP, and what others than the bridge send to it."""

import asyncio
from collections.abc import Callable, Sequence
from typing import NamedTuple

from aiohttp import web
from aiohttp.test_utils import TestServer
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

PROTOBUF = "application/x-protobuf"
PATIENCE_S = 60
"""How long a busy machine may take; only a defect makes a test wait so long."""


class Seen(NamedTuple):
    """A span as it came."""

    service: str
    name: str
    kind: int
    trace_id: str
    span_id: str
    parent: str
    attributes: dict[str, str | int]
    failed: bool


class Receiver:
    """Takes spans in; where the machine is slow, whoever asks waits for them."""

    def __init__(self) -> None:
        self.spans: list[Seen] = []
        self._came = asyncio.Condition()
        app = web.Application(client_max_size=1 << 26)
        app.router.add_post("/v1/traces", self._take)
        self.server = TestServer(app)

    @property
    def environ(self) -> dict[str, str]:
        """What a program is told to send here, soon."""
        return {
            "OTEL_EXPORTER_OTLP_ENDPOINT": str(self.server.make_url("/")),
            "OTEL_BSP_SCHEDULE_DELAY": "50",
        }

    async def until(self, fits: Callable[[Seen], bool], count: int = 1) -> list[Seen]:
        """Wait for so many spans that fit; return all that do."""
        async with asyncio.timeout(PATIENCE_S), self._came:
            await self._came.wait_for(lambda: len(self._fitting(fits)) >= count)
        return self._fitting(fits)

    def _fitting(self, fits: Callable[[Seen], bool]) -> list[Seen]:
        return [span for span in self.spans if fits(span)]

    async def _take(self, request: web.Request) -> web.Response:
        assert request.content_type == PROTOBUF
        sent = ExportTraceServiceRequest.FromString(await request.read())
        async with self._came:
            self.spans += _spans_of(sent)
            self._came.notify_all()
        return web.Response(body=ExportTraceServiceResponse().SerializeToString(), content_type=PROTOBUF)


def _spans_of(sent: ExportTraceServiceRequest) -> list[Seen]:
    return [
        Seen(
            str(_values(of_service.resource.attributes)["service.name"]),
            span.name,
            span.kind,
            span.trace_id.hex(),
            span.span_id.hex(),
            span.parent_span_id.hex(),
            _values(span.attributes),
            failed=span.status.code == span.status.STATUS_CODE_ERROR,
        )
        for of_service in sent.resource_spans
        for of_scope in of_service.scope_spans
        for span in of_scope.spans
    ]


def _values(attributes: Sequence[KeyValue]) -> dict[str, str | int]:
    return {each.key: each.value.string_value or each.value.int_value for each in attributes}


class Traced:
    """Another program that makes spans, such as a sender or a consumer."""

    def __init__(self, name: str, receiver: Receiver) -> None:
        url = f"{receiver.environ['OTEL_EXPORTER_OTLP_ENDPOINT']}v1/traces"
        provider = TracerProvider(resource=Resource.create({"service.name": name}), shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(url)))
        self._tracer = provider.get_tracer(name)

    async def step(self, name: str, kind: SpanKind, traceparent: str = "") -> str:
        """Make a span that goes on from another; return the `traceparent` that goes on from it."""
        return await asyncio.to_thread(self._step, name, kind, traceparent)

    def _step(self, name: str, kind: SpanKind, traceparent: str) -> str:
        carrier: dict[str, str] = {}
        words = TraceContextTextMapPropagator()
        context = words.extract({"traceparent": traceparent})
        with self._tracer.start_as_current_span(name, context, kind):
            words.inject(carrier)
        return carrier["traceparent"]
