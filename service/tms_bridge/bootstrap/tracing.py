"""Whether spans are made, as the standard environment variables of OpenTelemetry say.

Nothing of it is imported unless somebody asks for it: it is an extra, and costs a second at the start.
"""

from collections.abc import Callable, Coroutine, Mapping
from typing import Final

import msgspec

from tms_bridge.bootstrap.gauges import VERSION
from tms_bridge.http.ids import Marks, mark
from tms_bridge.log import Logger
from tms_bridge.metrics import Metrics
from tms_bridge.relay.publisher import Broker
from tms_bridge.web.access_log import Trace

_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_PROTOCOL: Final = "http/protobuf"


async def _nothing() -> None:
    """Close what is not there."""


class Tracing(msgspec.Struct, frozen=True):
    """What the parts of the bridge are given, so that spans are made of what they do; or, by default, none.

    Attributes:
        mark: mints request ids with their place in a trace.
        call: writes down an answered call.
        before: puts what writes publishes down before the broker.
        close: sends what is left.
    """

    mark: Callable[[str | None], Marks] = mark
    call: Trace | None = None
    before: Callable[[Broker], Broker] = lambda broker: broker
    close: Callable[[], Coroutine[None, None, None]] = _nothing


def open_tracing(environ: Mapping[str, str], metrics: Metrics, logger: Logger, scheme: str) -> Tracing:
    """Return how spans are made, if the environment asks for them; what is wrong there stops no bridge."""
    if not is_wanted(environ):
        return Tracing()
    protocol = next(filter(None, map(environ.get, _PROTOCOLS)), _PROTOCOL)
    if protocol != _PROTOCOL:
        return _refused(logger, f"OTEL_EXPORTER_OTLP_PROTOCOL is {protocol}; the bridge speaks {_PROTOCOL}")
    try:
        return _opened(metrics, logger, scheme)
    except ImportError:
        return _refused(logger, "OpenTelemetry is not installed: pip install 'tms-bridge[otel]'")
    except Exception as error:  # noqa: BLE001 - a wrong variable must not keep webhooks out; told
        return _refused(logger, f"a variable OTEL_* cannot be used: {error}")


def is_wanted(environ: Mapping[str, str]) -> bool:
    """Return whether the environment asks for traces: it names an OTLP receiver, or the exporter `otlp`."""
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    if exporters := environ.get("OTEL_TRACES_EXPORTER", "").lower():
        return "otlp" in map(str.strip, exporters.split(","))
    return any(map(environ.get, _ENDPOINTS))


def _opened(metrics: Metrics, logger: Logger, scheme: str) -> Tracing:
    # Not at the top: who wants no traces must not need it, nor pay for it.
    from tms_bridge.tracing import TracedBroker, Traces  # noqa: PLC0415

    traces = Traces(metrics, logger, version=VERSION, scheme=scheme)
    return Tracing(traces.mark, traces.webhook, lambda broker: TracedBroker(broker, traces), traces.close)


def _refused(logger: Logger, detail: str) -> Tracing:
    logger.warning("traces were asked for, and there will be none", detail=detail)
    return Tracing()
