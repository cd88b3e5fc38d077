"""Exemplars on the page of metrics: the last trace in each bucket, for whoever asks for OpenMetrics."""

import asyncio
from pathlib import Path

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from tests.bootstrap.running import Process, ask, bridge, configure
from tests.monitoring.prometheus import Prometheus
from tests.tracing.receiver import Receiver

from tms_bridge.metrics import Metrics

OPEN_METRICS = "application/openmetrics-text; version=1.0.0"
HISTOGRAMS = (
    "tms_bridge_webhook_duration_seconds",
    "tms_bridge_publish_confirm_duration_seconds",
    "tms_bridge_delivery_duration_seconds",
)


async def scraped(running: Process, accept: str) -> str:
    request = f"GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: {accept}\r\nConnection: close\r\n\r\n"
    status, page = await ask(running.admin, request.encode())
    assert 200 == status
    return page


def exemplars(page: str) -> dict[str, set[str]]:
    """Return the trace ids of each histogram, as a strict reader of the format finds them."""
    found: dict[str, set[str]] = {}
    families: list[Metric] = [*text_string_to_metric_families(page)]  # type: ignore[no-untyped-call]  # it has none
    for family in families:
        for sample in family.samples:
            if sample.exemplar is not None:
                found.setdefault(family.name, set()).add(sample.exemplar.labels["trace_id"])
    return found


async def test_each_latency_names_a_trace_that_took_so_long(
    vhost: str, receiver: Receiver, tmp_path: Path
) -> None:
    async with bridge(configure(tmp_path, vhost), variables=receiver.environ) as running:
        assert 202 == (await running.post(1))[0]
        (producer,) = await receiver.until(lambda span: span.kind == 4)
        page = await scraped(running, OPEN_METRICS)
        plain = await scraped(running, "text/plain")
    assert {name: {producer.trace_id} for name in HISTOGRAMS} == exemplars(page)
    assert producer.trace_id not in plain


async def test_a_real_prometheus_keeps_them(vhost: str, receiver: Receiver, tmp_path: Path) -> None:
    async with bridge(configure(tmp_path, vhost), variables=receiver.environ) as running:
        assert 202 == (await running.post(1))[0]
        (server,) = await receiver.until(lambda span: span.kind == 2)
        await asyncio.to_thread(_until_kept, running.admin, server.trace_id)


def _until_kept(target: str, trace_id: str) -> None:
    with Prometheus(target) as prometheus:
        prometheus.until_exemplified("tms_bridge_webhook_duration_seconds_bucket", trace_id)


async def test_without_traces_there_is_no_exemplar(vhost: str, tmp_path: Path) -> None:
    async with bridge(configure(tmp_path, vhost)) as running:
        assert 202 == (await running.post(1))[0]
        assert {} == exemplars(await scraped(running, OPEN_METRICS))


def test_a_bucket_names_the_last_of_its_own() -> None:
    metrics = Metrics(CollectorRegistry())
    for seconds, trace in ((0.0005, "a"), (0.0007, "b"), (99.0, "c")):
        metrics.intake.duration.observe(seconds)
        metrics.intake.duration.exemplify(seconds, trace, "")
    (family,) = (
        each for each in metrics.registry.collect() if each.name == "tms_bridge_webhook_duration_seconds"
    )
    named = {
        sample.labels["le"]: sample.exemplar.labels["trace_id"]
        for sample in family.samples
        if sample.exemplar
    }
    assert {"0.001": "b", "+Inf": "c"} == named
