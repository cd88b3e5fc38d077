import pytest

import tms_events
from tms_events import TOPICS, ClassStatus, Trigger, binding, topic


def test_there_are_twelve_pairs_and_an_unknown_of_each_trigger() -> None:
    assert TOPICS == (
        "tms.course_assignment.started",
        "tms.course_assignment.completed",
        "tms.course_assignment.expired",
        "tms.course_assignment.cancelled",
        "tms.course_assignment.unknown",
        "tms.class.requested",
        "tms.class.tentative",
        "tms.class.scheduled",
        "tms.class.guaranteed_to_run",
        "tms.class.cancelled",
        "tms.class.denied",
        "tms.class.rescheduled",
        "tms.class.completed",
        "tms.class.unknown",
    )


def test_a_topic_is_made_of_prefix_trigger_and_status() -> None:
    assert topic(Trigger.CLASS, ClassStatus.GUARANTEED_TO_RUN) == "tms.class.guaranteed_to_run"
    assert topic("course_assignment", "expired", "acme.tms") == "acme.tms.course_assignment.expired"


@pytest.mark.parametrize(
    ("trigger", "status", "prefix"),
    [
        ("lesson", "started", "tms"),
        ("class", "started", "tms"),
        ("course_assignment", "Started", "tms"),
        ("class", "completed", ""),
        ("class", "completed", "a..b"),
        ("class", "completed", "a.*"),
        ("class", "completed", "#"),
        ("class", "completed", "a\nb"),
        ("class", "completed", "x" * 240),
        ("class", "completed", "ü" * 120),
    ],
)
def test_a_topic_that_cannot_be_is_refused(trigger: str, status: str, prefix: str) -> None:
    with pytest.raises(ValueError, match=r"Trigger|status|prefix|begin"):
        topic(trigger, status, prefix)


def test_the_longest_prefix_fits_to_the_byte() -> None:
    assert len(topic("class", "completed", "x" * 239)) == 255


def test_a_binding_leaves_out_what_it_matches_all_of() -> None:
    assert binding() == tms_events.EVERYTHING == "tms.*.*"
    assert binding(Trigger.CLASS) == tms_events.CLASSES == "tms.class.*"
    assert tms_events.COURSE_ASSIGNMENTS == "tms.course_assignment.*"
    assert binding(status="completed") == tms_events.COMPLETIONS == "tms.*.completed"
    assert tms_events.CANCELLATIONS == "tms.*.cancelled"
    assert tms_events.UNKNOWNS == "tms.*.unknown"
    assert binding("class", "denied", "acme") == "acme.class.denied"


def test_a_binding_that_nothing_could_match_is_refused() -> None:
    with pytest.raises(ValueError, match="no status here"):
        binding(Trigger.CLASS, "expired")
    with pytest.raises(ValueError, match="no status here"):
        binding(status="finished")
