"""The page docs/metrics.md: every metric with its type, its labels and what it says, as the code has them."""

from collections.abc import Iterable
from typing import Final

from prometheus_client import CollectorRegistry, Metric

from tms_bridge.bootstrap.gauges import set_facts
from tms_bridge.http.answer import OUTCOMES
from tms_bridge.metrics import Metrics
from tms_bridge.settings.model import Basic, Credential, Source

_HEAD: Final = """\
# Metrics

Prometheus metrics are at `/metrics` of the admin listener. Every metric is of this replica alone: add
counters up over the replicas, and take the worst of gauges. [The alerts](operations.md#metrics-and-alerts)
do so.

Every series that can be known is there at 0 from the start, so that a rate sees the first event. An unknown
source, path or trigger is the one label value `unknown`.

| metric | type | labels | what it says |
| --- | --- | --- | --- |
"""
_TAIL: Final = """
`outcome` is one of {outcomes}.

`process_*` are what Prometheus client libraries tell of any process: CPU, memory, descriptors, start.
"""
_OWN: Final = "tms_bridge_"
_HISTOGRAM: Final = "le"


def render() -> str:
    """Return the page."""
    metrics = Metrics(CollectorRegistry())
    credentials = (Credential(name="2026", basic=Basic(username="user", password="word")),)  # noqa: S106 - no secret
    set_facts(metrics, {"contoso": Source(allow_from=("any",), credentials=credentials)})
    for listener in ("http", "admin"):
        metrics.connections.watch(listener, int)
    metrics.task_faults.show("relay")
    families = sorted(metrics.registry.collect(), key=lambda family: family.name)
    rows = (_row(family) for family in families if family.name.startswith(_OWN))
    outcomes = ", ".join(f"`{outcome}`" for outcome in OUTCOMES)
    return _HEAD + "".join(rows) + _TAIL.format(outcomes=outcomes)


def _row(family: Metric) -> str:
    name = f"{family.name}_total" if family.type == "counter" else family.name
    labels = ", ".join(f"`{label}`" for label in _labels(family))
    return f"| `{name}` | {family.type} | {labels} | {family.documentation} |\n"


def _labels(family: Metric) -> Iterable[str]:
    labels = next((sample.labels for sample in family.samples), {})
    return [label for label in labels if label != _HISTOGRAM]
