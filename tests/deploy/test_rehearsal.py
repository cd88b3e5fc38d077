from pathlib import Path

import msgspec
import pytest

import rehearsal
from cluster import Cluster
from replicas.cast import Cast
from replicas.outcome import Course, Outcome, judge, page, write
from replicas.proxy import Kind, Spread
from timeline import Band
from tms_bridge.cli.simulate import Attempt

CLEAN = Outcome(
    proxy="nginx",
    spread="uri",
    seed=1,
    seconds=9.0,
    sent=10,
    given_up=0,
    not_2xx=0,
    refused={},
    missing=0,
    late=0,
    lost_with_volume=2,
    late_left_behind=0,
    copies=0,
    longest_answer_s=0.1,
    volume_lost=True,
)
IN_TURN = msgspec.structs.replace(CLEAN, spread="roundrobin", volume_lost=False, lost_with_volume=0)
PLAN: tuple[Kind, Spread, int] = ("nginx", "uri", 1)


def attempt(step: int, *, entity: int = 7, status: int = 202) -> Attempt:
    return Attempt(
        event=entity * 100 + step,
        trigger="class",
        status="scheduled",
        entity=entity,
        step=step,
        marker="",
        digest="",
        attempt=1,
        sent_at=0.0,
        answered_at=0.25,
        http_status=status,
        error=None,
        result="accepted" if status == 202 else "retry",
        id=f"{entity}-{step}" if status == 202 else None,
    )


def judged(attempts: list[Attempt], came: list[str], *, lost: set[str], left: set[str]) -> Outcome:
    played = Cast([], Cluster.__new__(Cluster))
    played.began_unix = -3.0
    played.lost, played.left_behind = lost, left
    return judge(PLAN, attempts, came, played, volume_lost=bool(lost))


def test_a_rehearsal_passes_with_copies_and_with_what_was_left_behind() -> None:
    assert CLEAN.passed
    assert msgspec.structs.replace(CLEAN, copies=3, late_left_behind=5).passed


@pytest.mark.parametrize("field", ["given_up", "not_2xx", "missing", "late"])
def test_a_rehearsal_fails_by_a_single_one(field: str) -> None:
    assert not msgspec.structs.replace(CLEAN, **{field: 1}).passed


def test_a_rehearsal_that_sent_nothing_fails() -> None:
    assert not msgspec.structs.replace(CLEAN, sent=0).passed


def test_a_volume_that_held_nothing_when_it_was_lost_proves_nothing() -> None:
    assert not msgspec.structs.replace(CLEAN, lost_with_volume=0).passed


def test_calls_that_go_to_each_replica_in_turn_must_come_late_to_prove_anything() -> None:
    assert msgspec.structs.replace(IN_TURN, late=14).passed
    assert not IN_TURN.passed


def test_what_a_lost_volume_held_is_lost_and_nothing_else_may_be() -> None:
    found = judged([attempt(1), attempt(2), attempt(3)], ["7-1"], lost={"7-2"}, left=set())
    assert (1, 1) == (found.lost_with_volume, found.missing)


def test_only_what_was_left_behind_may_come_late() -> None:
    attempts = [attempt(step) for step in (1, 2, 3)]
    found = judged(attempts, ["7-3", "7-1", "7-2", "7-2"], lost=set(), left={"7-1"})
    assert (1, 1, 1) == (found.late, found.late_left_behind, found.copies)


def test_events_of_different_entities_have_no_order() -> None:
    found = judged([attempt(1), attempt(2, entity=8)], ["8-2", "7-1"], lost=set(), left=set())
    assert 0 == found.late


def test_an_answer_other_than_2xx_is_counted_and_named() -> None:
    found = judged([attempt(1, status=503)], [], lost=set(), left=set())
    assert (1, {"503 at 3 s": 1}) == (found.not_2xx, found.refused)


def test_the_page_lists_every_run_with_its_picture(tmp_path: Path) -> None:
    course = Course([0.5, 1.5], [(0.5, 3)], [0.7], [Band("replica 2 away", 1.0, 2.0)])
    write(tmp_path, CLEAN, course, 100)
    write(tmp_path, msgspec.structs.replace(IN_TURN, late=14), course, 100)
    text = page(tmp_path, 100)
    assert "| [nginx, seed 1](nginx-uri-seed-1.svg) | 10 | 0 |" in text
    assert "| [nginx, seed 1](nginx-roundrobin-seed-1.svg) | 10 | 0 | 0 | 0 | 14 |" in text
    assert "replica 2 away" in (tmp_path / "nginx-uri-seed-1.svg").read_text()


@pytest.mark.integration
@pytest.mark.long
def test_a_short_rehearsal_loses_what_the_volume_held_and_nothing_else(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert 0 == rehearsal.main(["--short", "--report", str(tmp_path)]), capfd.readouterr().out
    (report,) = tmp_path.glob("*.json")
    outcome = msgspec.json.decode(report.read_bytes(), type=Outcome)
    assert outcome.lost_with_volume > 0
