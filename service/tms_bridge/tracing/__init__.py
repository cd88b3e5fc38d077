"""Traces for whoever asks for them: only this package imports OpenTelemetry, and only then it is imported."""

from tms_bridge.tracing.publisher import TracedBroker
from tms_bridge.tracing.traces import Traces

__all__ = ["TracedBroker", "Traces"]
