"""Each thing that a siege judges can be missed."""

import msgspec
import pytest
from tests.siege.verdict import BEGIN, END, Outcome, Scene, in_words, refresh

HELD = Scene(
    title="calm",
    sent=1000,
    not_202=0,
    given_up=0,
    missing=0,
    p99_ms=9.0,
    calm_p99_ms=3.0,
    cpu_share=0.2,
    rss_bytes=80_000_000,
    probe_s=0.02,
    log_bytes=400_000,
    answers={"401": 7},
)


def outcome(scene: Scene) -> Outcome:
    return Outcome(cage="a cage", seconds=60, floor_ms=0, scenes=[HELD, scene])


def test_a_siege_that_held_misses_nothing() -> None:
    assert [] == HELD.misses()
    assert outcome(HELD).passed
    assert in_words(outcome(HELD)).endswith("held: 60 s each, a cage")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"sent": 0}, "nothing was sent"),
        ({"not_202": 1}, "1 honest calls were not answered 202"),
        ({"given_up": 1}, "1 honest events were given up"),
        ({"missing": 2}, "2 honest events are missing on the bus"),
        ({"p99_ms": 9.1}, "p99 9.1 ms, at most 9.0 ms"),
        ({"rss_bytes": 160_000_000}, "RSS 160.0 MB, under 160.0 MB"),
        ({"probe_s": 1.01}, "a probe took 1.01 s, at most 1 s"),
        ({"log_bytes": 1_000_000}, "log 1.0 MB a minute, under 1.0 MB"),
        ({"faults": ["it has ended"]}, "it has ended"),
    ],
)
def test_what_was_missed_is_said_and_fails_the_run(change: dict[str, object], said: str) -> None:
    missed = outcome(msgspec.structs.replace(HELD, **change))

    assert [said] == missed.scenes[1].misses()
    assert not missed.passed
    assert f"MISSED  calm: {said}\nFAILED" in in_words(missed)


def test_what_takes_no_longer_than_is_allowed_in_any_case_is_good() -> None:
    assert [] == msgspec.structs.replace(HELD, p99_ms=1999.0, probe_s=1.9).misses(floor_ms=2000.0)


def test_the_page_gets_this_runs_table_and_keeps_all_else() -> None:
    page = refresh(f"before\n{BEGIN}old\n{END}after\n", outcome(HELD), "2026-11-26")

    assert page.startswith(f"before\n{BEGIN}2026-11-26, 60 s each, a cage:\n\n| attack |")
    assert page.endswith(f"| 400 KB |\n{END}after\n")
    assert "old" not in page
