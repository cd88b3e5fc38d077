import xml.etree.ElementTree as ET

import pytest

import plots
import report
from comparison import Comparison, Plan
from receivers import Receiver
from samples import spread
from targets import targets_of
from wrk import Target

FIGURES = {"per_second": 5000.0, "published_per_s": 4900.0, "p50_ms": 10.0, "p99_ms": 20.0, "p999_ms": 30.0}
FIGURES |= {"cpu_us": 100.0, "peak_rss_mb": 50.0, "late_ms": 0.1}
NAMES = ("bare", "bridge_journal", "bridge_no_disk", "aio_pika", "faststream", "node", "http_api")


def results(*names: str) -> dict[str, object]:
    rounds = {name: [FIGURES] * 3 for name in names}
    return {
        "machine": {"processor": "one"},
        "comparison": {"titles": {name: name for name in names}, "full": rounds, "paced": rounds}
        | {"differing": rounds},
        "outages": {
            "stopped": [
                {"normal_per_s": 10.0, "outage_per_s": 6.0, "refused": 0, "drain_per_s": 9.0}
                | {"live_publish_per_s": 8.0}
            ]
        },
        "start": {"journal": {"ready_s": 0.5, "least_s": 0.4, "most_s": 0.6, "idle_rss_mb": 55.0}},
        "backlog": [[0, FIGURES], [1_000_000, FIGURES]],
        "failures": {"body": "a reason\nand its traceback"},
        "seconds": 61,
    }


def test_the_tables_name_each_receiver_each_target_and_what_is_missing() -> None:
    text = report.markdown(results(*NAMES))
    for name in NAMES:
        assert f"| {name} |" in text
    assert "broker is away: stopped | at least 0.7 | 0.60 (0.60 to 0.60) | **missed** by 14%" in text
    assert "| start to ready | at most 0.7 s | 0.50 (0.40 to 0.60) | met |" in text
    assert "| body | a reason |" in text
    assert (
        "behind a proxy, against aiohttp + aio-pika | at most 0.62 | 1.00 (1.00 to 1.00) | **missed**" in text
    )


def test_a_rival_that_failed_costs_only_its_own_targets() -> None:
    everyone, without_node = (targets_of(results(*names)) for names in (NAMES, NAMES[:5]))
    missing = {target.text for target in everyone} - {target.text for target in without_node}
    assert {"throughput against Node Fastify + amqplib", "p99 at saturation against Node"} == missing


@pytest.mark.parametrize("points", [[(1, 5.0), (1024, 6.0)], [(0, 5.0)], [(0, 0.0), (1_000_000, 0.0)]])
def test_plots_are_well_formed(points: list[tuple[float, float]]) -> None:
    bar = plots.Bar("TMS & co", spread([1.0, 2.0]), ours=True)
    for svg in (plots.curve("cost <over> time", "µs", points), plots.bars("cost", "µs", [bar])):
        assert ET.fromstring(svg).tag.endswith("svg")  # noqa: S314 - our own text


def test_a_receiver_that_does_not_run_is_out_and_says_why() -> None:
    receiver = Receiver("gone", "Gone", ("false",), Target(1))
    try:
        comparison = Comparison([receiver])
        comparison.run(Plan(1, 1, 1))
    finally:
        receiver.close()
    assert {"Gone": "Gone is not running"} == comparison.failures
    assert {} == comparison.full
