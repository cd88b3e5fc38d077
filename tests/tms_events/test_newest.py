from datetime import timedelta

import pytest

from tms_events import Newest, Verdict

from .samples import assignment_changed, class_changed


def test_the_first_event_of_an_entity_is_fresh() -> None:
    assert Newest().judge(class_changed()) is Verdict.FRESH


def test_an_event_whose_handling_failed_is_fresh_again() -> None:
    newest = Newest()
    newest.judge(class_changed())
    assert newest.judge(class_changed()) is Verdict.FRESH


def test_the_same_id_again_is_a_copy() -> None:
    newest = Newest()
    newest.remember(class_changed())
    assert newest.judge(class_changed()) is Verdict.COPY


def test_an_older_event_is_stale_and_changes_nothing() -> None:
    newest = Newest()
    newest.remember(class_changed("id-2", after_s=5))
    newest.remember(class_changed("id-1"))
    assert newest.judge(class_changed("id-1")) is Verdict.STALE
    assert newest.judge(class_changed("id-2", after_s=5)) is Verdict.COPY


def test_ids_decide_between_events_of_one_moment() -> None:
    newest = Newest()
    newest.remember(class_changed("id-2"))
    assert newest.judge(class_changed("id-1")) is Verdict.STALE
    assert newest.judge(class_changed("id-3")) is Verdict.FRESH


def test_entities_triggers_and_sources_are_apart() -> None:
    newest = Newest()
    newest.remember(class_changed("id-2", after_s=5))
    assert newest.judge(class_changed(entity=8)) is Verdict.FRESH
    assert newest.judge(class_changed(source="fabrikam")) is Verdict.FRESH
    assert newest.judge(assignment_changed()) is Verdict.FRESH


@pytest.mark.parametrize(
    ("after_s", "digest", "verdict"),
    [
        (120, "a", Verdict.COPY),
        (-120, "a", Verdict.COPY),
        (120.001, "a", Verdict.FRESH),
        (-120.001, "a", Verdict.STALE),
        (1, "b", Verdict.FRESH),
        (1, None, Verdict.FRESH),
    ],
)
def test_the_same_body_on_two_replicas_is_a_copy_within_two_minutes(
    after_s: float, digest: str | None, verdict: Verdict
) -> None:
    newest = Newest()
    newest.remember(class_changed("id-1"), "a")
    assert newest.judge(class_changed("id-9", after_s=after_s), digest) is verdict


def test_an_undo_within_the_window_is_no_copy() -> None:
    newest = Newest()
    newest.remember(class_changed("id-1"), "a")
    newest.remember(class_changed("id-2", after_s=1), "b")
    assert newest.judge(class_changed("id-3", after_s=2), "a") is Verdict.FRESH


def test_the_window_can_be_chosen() -> None:
    newest = Newest(copy_window=timedelta(seconds=1))
    newest.remember(class_changed("id-1"), "a")
    assert newest.judge(class_changed("id-2", after_s=2), "a") is Verdict.FRESH


def test_the_entity_that_was_quiet_longest_is_forgotten_first() -> None:
    newest = Newest(max_entities=2)
    newest.remember(class_changed("id-1", entity=1))
    newest.remember(class_changed("id-2", entity=2))
    newest.remember(class_changed("id-3", entity=1, after_s=1))
    newest.remember(class_changed("id-4", entity=3))
    assert len(newest) == 2
    assert newest.judge(class_changed("id-2", entity=2)) is Verdict.FRESH
    assert newest.judge(class_changed("id-3", entity=1, after_s=1)) is Verdict.COPY


def test_there_must_be_room_for_one_entity() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Newest(max_entities=0)
