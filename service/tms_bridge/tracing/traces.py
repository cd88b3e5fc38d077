"""The spans of what passes through: one a webhook, one a publish, for an OTLP receiver.

Theory of operation. Each webhook has its place in a trace anyway: `http/ids.py` goes on with the caller's
`traceparent`, the request id is the span's id, and the row in the outbox keeps both until the message leaves,
over a restart too. So nothing has to be carried along here: a span is written down in one go, once all is
known about it, under the ids that were minted long before.

Whether a trace is looked at is decided once, where the webhook comes in; from there on the flag in the
`traceparent` counts. A thread of the SDK sends what was written down, from a bounded queue: when the receiver
is away or slow, spans are thrown away and the webhooks go on.
"""

import asyncio
import re
import threading
import time
from typing import Final

import msgspec
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from tms_bridge.calls import AnsweredCall
from tms_bridge.http.ids import Marks, mark
from tms_bridge.log import Logger
from tms_bridge.message import Message, Outcome
from tms_bridge.metrics import Metrics

SERVICE: Final = "tms-bridge"

_FLUSH_S: Final = 2.0
"""How long the end of the bridge waits for spans that were not sent yet."""

_NS: Final = 1_000_000_000
_SAMPLED: Final = 0x01
_SERVER_ERROR: Final = 500
_PLACE: Final = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"})

_Attributes = dict[str, str | int]


class _MintedIds(IdGenerator):
    """Gives a span the ids that the bridge has minted for it."""

    def __init__(self) -> None:
        self.trace_id = 0
        self.span_id = 0

    def generate_trace_id(self) -> int:
        return self.trace_id

    def generate_span_id(self) -> int:
        return self.span_id


class _Span(msgspec.Struct, frozen=True):
    """What is known of a span that is over: its own place and its parent's, as `traceparent` tells them."""

    name: str
    kind: SpanKind
    place: str
    parent: str
    started_ns: int
    ended_ns: int
    attributes: _Attributes
    error: str


class TracedPublish(msgspec.Struct, frozen=True):
    """A publish that awaits its outcome, with its place in the trace.

    Attributes:
        message: as it leaves, with that place.
        parent: where the trace stood in the outbox.
    """

    message: Message
    exchange: str
    parent: str
    started_ns: int


class Traces:
    """Writes spans down; one value a process."""

    def __init__(self, metrics: Metrics, logger: Logger, *, version: str, scheme: str) -> None:
        """Send to where the variables `OTEL_*` of the environment say."""
        self._metrics = metrics
        self._logger = logger
        self._scheme = scheme
        self._ids = _MintedIds()
        self._failed = False
        # What the environment says of the service counts more than what we say.
        said = dict(OTELResourceDetector().detect().attributes)
        resource = Resource.create({"service.name": SERVICE, "service.version": version, **said})
        self._provider = TracerProvider(resource=resource, id_generator=self._ids, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer(SERVICE, version)

    def mark(self, incoming: str | None) -> Marks:
        """Mint a request id with its place in a trace, and decide whether that trace is looked at."""
        marks = mark(incoming)
        parent = _parent_of(marks.traceparent, incoming)
        trace_id = int(marks.traceparent[3:35], 16)
        result = self._provider.sampler.should_sample(_context(parent), trace_id, "webhook", SpanKind.SERVER)
        flags = int(marks.traceparent[53:], 16) & ~_SAMPLED
        if result.decision is Decision.RECORD_AND_SAMPLE:
            flags |= _SAMPLED
        return Marks(marks.request_id, f"{marks.traceparent[:53]}{flags:02x}")

    def webhook(self, place: str, incoming: str | None, call: AnsweredCall) -> str:
        """Write down a call that was answered; return its trace id.

        Args:
            place: the `traceparent` that what it brought goes on with.
            incoming: the one that it came with.
            call: the call.
        """
        trace_id = place[3:35]
        if _is_sampled(place):
            started_ns, took_s = int(call.at * _NS), call.duration_ms / 1000
            error = call.outcome if call.http_status >= _SERVER_ERROR else ""
            self._write(
                _Span(
                    _name_of(call),
                    SpanKind.SERVER if call.method else SpanKind.INTERNAL,
                    place,
                    _parent_of(place, incoming),
                    started_ns,
                    started_ns + int(took_s * _NS),
                    _attributes_of(call, self._scheme),
                    error,
                )
            )
            self._metrics.intake.duration.exemplify(took_s, trace_id, call.request_id)
        return trace_id

    def begin(self, message: Message, exchange: str) -> TracedPublish | None:
        """Begin the span of a publish; None where nobody looks at its trace."""
        parent = message.traceparent
        if not _is_sampled(parent):
            return None
        place = f"{parent[:36]}{mark(None).request_id}{parent[52:]}"
        return TracedPublish(
            msgspec.structs.replace(message, traceparent=place), exchange, parent, time.time_ns()
        )

    def end(self, span: TracedPublish, outcome: Outcome | None) -> None:
        """Write down what became of a publish; None: nobody knows, for the connection was lost."""
        message, ended_ns = span.message, time.time_ns()
        attributes = _attributes_of_publish(message, span.exchange)
        error = "" if outcome is Outcome.CONFIRMED else outcome.value if outcome else "connection_lost"
        if error:
            attributes["error.type"] = error
        name = f"publish {attributes['messaging.destination.name']}"
        place = message.traceparent
        self._write(
            _Span(name, SpanKind.PRODUCER, place, span.parent, span.started_ns, ended_ns, attributes, error)
        )
        if not error:
            ids, published = (place[3:35], place[36:52]), self._metrics.publish
            published.confirm_duration.exemplify((ended_ns - span.started_ns) / _NS, *ids)
            published.delivery_duration.exemplify(ended_ns / _NS - message.received_at_us / 1_000_000, *ids)

    async def close(self) -> None:
        """Send what is left, for two seconds at most."""
        # A thread of its own, which the end of the process does not wait for: the receiver may hang.
        thread = threading.Thread(target=self._provider.shutdown, daemon=True)
        thread.start()
        await asyncio.to_thread(thread.join, _FLUSH_S)

    def _write(self, span: _Span) -> None:
        """Hand a span to the SDK, which must never cost an event its way."""
        try:
            self._hand_over(span)
        except Exception:
            if not self._failed:
                self._failed = True
                self._logger.exception("a span could not be written down", name=span.name)

    def _hand_over(self, span: _Span) -> None:
        self._ids.trace_id, self._ids.span_id = int(span.place[3:35], 16), int(span.place[36:52], 16)
        writing = self._tracer.start_span(
            span.name,
            _context(span.parent),
            span.kind,
            span.attributes,
            start_time=span.started_ns,
        )
        if span.error:
            writing.set_status(Status(StatusCode.ERROR, span.error))
        writing.end(span.ended_ns)


def _is_sampled(place: str) -> bool:
    """Return whether this is a place in a trace that somebody looks at; a row may hold anything."""
    found = _PLACE.fullmatch(place)
    return found is not None and bool(int(found[3], 16) & _SAMPLED)


def _parent_of(place: str, incoming: str | None) -> str:
    """Return the caller's place in the trace, if ours goes on from there; empty where ours begins one."""
    return f"00{incoming[2:55]}" if incoming and incoming[3:35] == place[3:35] else ""


def _context(parent: str) -> Context:
    """Return the parent as the SDK's own value; one without a span for a root."""
    if not parent:
        return Context()
    span_context = SpanContext(
        int(parent[3:35], 16),
        int(parent[36:52], 16),
        is_remote=True,
        trace_flags=TraceFlags(int(parent[53:], 16)),
    )
    return set_span_in_context(NonRecordingSpan(span_context), Context())


def _route_of(call: AnsweredCall) -> str:
    return f"/webhooks/{{source}}/{call.trigger.replace('_', '-')}-changed"


def _name_of(call: AnsweredCall) -> str:
    if not call.method:
        return "test event"
    return f"{call.method if call.method in _METHODS else 'HTTP'} {_route_of(call)}"


def _attributes_of(call: AnsweredCall, scheme: str) -> _Attributes:
    """Return what the semantic conventions for HTTP servers ask for, and what the log says in our words."""
    attributes: _Attributes = {
        "tms.source": call.source,
        "tms.trigger": call.trigger,
        "tms.outcome": call.outcome,
    }
    if call.id:
        attributes["tms.id"] = call.id
    if call.routing_key:
        attributes["tms.routing_key"] = call.routing_key
    if not call.method:
        return attributes
    known = call.method in _METHODS
    attributes |= {
        "http.request.method": call.method if known else "_OTHER",
        "http.route": _route_of(call),
        "url.path": call.path,
        "url.scheme": scheme,
        "client.address": call.address,
        "network.peer.address": call.peer,
    }
    if not known:
        attributes["http.request.method_original"] = call.method
    if call.outcome != "aborted":
        attributes["http.response.status_code"] = call.http_status
    if call.outcome == "aborted" or call.http_status >= _SERVER_ERROR:
        attributes["error.type"] = call.outcome
    return attributes


def _attributes_of_publish(message: Message, exchange: str) -> _Attributes:
    """Return what the semantic conventions for messaging ask for, of RabbitMQ's producers."""
    key = message.routing_key
    attributes: _Attributes = {
        "messaging.system": "rabbitmq",
        "messaging.operation.type": "send",
        "messaging.operation.name": "publish",
        "messaging.destination.name": f"{exchange}:{key}" if key else exchange,
        "messaging.message.id": message.id,
        "messaging.message.body.size": len(message.body),
        "tms.source": message.source,
        "tms.trigger": message.trigger,
    }
    if key:
        attributes["messaging.rabbitmq.destination.routing_key"] = key
    return attributes
