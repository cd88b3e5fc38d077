import pytest

from tms_bridge.errors import Unavailable
from tms_bridge.http.feed import MAX_WATCHERS, RECENT, Feed, Seen


def seen(number: int) -> Seen:
    return Seen(str(number), "contoso", "class", "completed", "tms.class.completed", "accepted", 1.0, 2.0)


def test_only_recent_events_are_remembered() -> None:
    feed = Feed()
    for number in range(RECENT + 5):
        feed.add(seen(number))

    assert [one.id for one in feed.recent(RECENT + 5)] == [str(RECENT + 4 - at) for at in range(RECENT)]


def test_a_watcher_that_falls_behind_misses_events_and_holds_nobody_up() -> None:
    feed = Feed()
    with feed.watch() as queue:
        for number in range(1000):
            feed.add(seen(number))

    assert (queue.qsize(), queue.get_nowait().id) == (256, "0")


def test_who_has_left_makes_room_for_another() -> None:
    feed = Feed()
    for _ in range(MAX_WATCHERS + 1):
        with feed.watch():
            pass


def test_too_many_watchers_are_refused() -> None:
    feed = Feed()
    watching = [feed.watch() for _ in range(MAX_WATCHERS)]
    for one in watching:
        one.__enter__()

    with pytest.raises(Unavailable, match="others watch"), feed.watch():
        pass
