import re

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from tms_bridge.metrics import IntakeMetrics, Metrics

EXPECTED = {
    "tms_bridge_webhook_requests_total": ("outcome", "source", "trigger"),
    "tms_bridge_events_total": ("status", "trigger"),
    "tms_bridge_webhook_duration_seconds": (),
    "tms_bridge_publish_confirm_duration_seconds": (),
    "tms_bridge_outbox_events": (),
    "tms_bridge_outbox_bytes": (),
    "tms_bridge_outbox_max_bytes": (),
    "tms_bridge_outbox_free_bytes": (),
    "tms_bridge_held_events": ("source",),
    "tms_bridge_undecodable_events": ("source",),
    "tms_bridge_lanes_blocked": (),
    "tms_bridge_topology_errors": (),
    "tms_bridge_delivery_duration_seconds": (),
    "tms_bridge_allowlist_checked_timestamp_seconds": (),
    "tms_bridge_outbox_oldest_timestamp_seconds": (),
    "tms_bridge_outbox_commit_duration_seconds": (),
    "tms_bridge_outbox_refused": (),
    "tms_bridge_publishes_outstanding": (),
    "tms_bridge_publish_returned_total": ("routing_key",),
    "tms_bridge_publish_nacked_total": (),
    "tms_bridge_broker_connected": (),
    "tms_bridge_broker_blocked": (),
    "tms_bridge_broker_reconnects_total": (),
    "tms_bridge_quarantine_events": (),
    "tms_bridge_last_accepted_timestamp_seconds": ("source",),
    "tms_bridge_credential_used_total": ("credential", "source"),
    "tms_bridge_allowlist_published_timestamp_seconds": (),
    "tms_bridge_config_reload_success": (),
    "tms_bridge_build_info": ("python", "version"),
    "tms_bridge_connections": ("listener",),
    "tms_bridge_connections_refused_total": ("listener", "reason"),
    "tms_bridge_restart_pending": (),
    "tms_bridge_fields_unread_total": ("field", "trigger"),
    "tms_bridge_members_new_total": ("source", "trigger"),
    # Beyond the design's list: what alerts compare with, and what should never happen.
    "tms_bridge_ready": (),
    "tms_bridge_outbox_min_free_bytes": (),
    "tms_bridge_relay_faults_total": (),
    "tms_bridge_task_faults_total": ("task",),
    "tms_bridge_admin_refused_total": ("outcome",),
}


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(CollectorRegistry())


def touch_all(metrics: Metrics) -> None:
    metrics.intake.requests.inc("contoso", "class", "accepted")
    metrics.intake.events.inc("class", "completed")
    metrics.intake.last_accepted.set("contoso", 1)
    metrics.publish.returned.inc("tms.class.unknown")
    metrics.intake.credential_used.show("contoso", "2026")
    metrics.intake.fields_unread.show("class", "start")
    metrics.outbox.held.show(["contoso"])
    metrics.outbox.undecodable.show(["contoso"])
    metrics.intake.members_new.show("contoso", "class")
    metrics.connections.watch("http", lambda: 0)
    metrics.task_faults.show("relay")
    metrics.say_build("0.1.0")


def labels_by_name(text: str) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for name, labels in re.findall(r"^(tms_bridge_\w+)(?:\{(.*)\})? ", text, re.MULTILINE):
        names = tuple(label for label in re.findall(r'(\w+)="', labels) if label != "le")
        found[re.sub(r"_seconds_(bucket|sum|count)$", "_seconds", name)] = tuple(sorted(names))
    return found


def test_every_metric_of_the_design_has_its_name_and_its_labels(metrics: Metrics) -> None:
    touch_all(metrics)

    assert labels_by_name(generate_latest(metrics.registry).decode()) == EXPECTED


def test_a_credential_that_was_never_used_shows_as_zero(metrics: Metrics) -> None:
    metrics.intake.credential_used.show("contoso", "old")

    assert (
        metrics.registry.get_sample_value(
            "tms_bridge_credential_used_total", {"source": "contoso", "credential": "old"}
        )
        == 0.0
    )


def test_what_is_kept_is_shown_by_source_those_without_any_and_those_of_former_days_too(
    metrics: Metrics,
) -> None:
    metrics.outbox.held.show(["contoso", "fabrikam"])
    metrics.outbox.undecodable.show(["contoso", "fabrikam"])
    metrics.outbox.held.set_function(lambda: {"fabrikam": 2, "gone": 1})

    def held(source: str) -> float | None:
        return metrics.registry.get_sample_value("tms_bridge_held_events", {"source": source})

    assert [0, 2, 1, None] == [held(source) for source in ("contoso", "fabrikam", "gone", "other")]


def test_two_registries_do_not_share_anything() -> None:
    first, second = Metrics(CollectorRegistry()), Metrics(CollectorRegistry())
    first.publish.nacked.inc()

    assert second.registry.get_sample_value("tms_bridge_publish_nacked_total") == 0.0


def test_a_distribution_counts_each_value_in_every_bucket_that_holds_it(metrics: Metrics) -> None:
    for seconds in (0.0005, 0.001, 0.002, 99.0):
        metrics.intake.duration.observe(seconds)

    def sample(suffix: str, **labels: str) -> float | None:
        return metrics.registry.get_sample_value(f"tms_bridge_webhook_duration_seconds_{suffix}", labels)

    assert (2, 3, 3, 4) == tuple(sample("bucket", le=bound) for bound in ("0.001", "0.0025", "10.0", "+Inf"))
    assert (4, 99.0035) == (sample("count"), sample("sum"))


def test_a_tally_counts_each_combination_of_labels(metrics: Metrics) -> None:
    for outcome in ("accepted", "accepted", "held"):
        metrics.intake.requests.inc("contoso", "class", outcome)

    labels = {"source": "contoso", "trigger": "class", "outcome": "accepted"}
    assert metrics.registry.get_sample_value("tms_bridge_webhook_requests_total", labels) == 2


def test_no_name_can_be_taken_twice(metrics: Metrics) -> None:
    with pytest.raises(ValueError, match="Duplicated"):
        IntakeMetrics(metrics.registry)
