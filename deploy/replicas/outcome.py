"""What came of a rehearsal: judged, and told in a page with a picture of each run."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from replicas.cast import Cast
from replicas.proxy import Kind, Spread
from timeline import Band, Panel, draw, rate
from tms_bridge.cli.simulate import Attempt

_HEAD: Final = """\
# Rehearsals

Three bridges behind a real HAProxy, then a real nginx, before a RabbitMQ of three nodes, with {rate:g}
webhooks a second as TMS sends them. Replicas and broker nodes are replaced one after another. Then
the whole broker goes, twice; the second time a replica is scaled down with a backlog, and another loses its
volume. Each run is a picture. `make rehearsal` writes this page and exits 1 if a figure is not as
[promised](../kubernetes.md#rehearsed).

"""
_IN_TURN: Final = """\

## Each replica in turn

The same outage of the whole broker, with calls that go to each replica in turn. So this is what hashing by
path is for:

"""
_COLUMNS: Final = (
    ("run", "[{each.proxy}, seed {each.seed}]({name}.svg)"),
    ("webhooks", "{each.sent}"),
    ("given up", "{each.given_up}"),
    ("answers other than 2xx", "{each.not_2xx}"),
    ("missing", "{each.missing}"),
    ("late within a class or assignment", "{each.late}"),
    ("lost with the volume", "{each.lost_with_volume}"),
    ("late, left behind by scaling down", "{each.late_left_behind}"),
    ("copies", "{each.copies}"),
    ("longest answer", "{each.longest_answer_s:.2f} s"),
)


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one rehearsal.

    Attributes:
        not_2xx: answers, retried ones included, and calls without an answer.
        refused: those, by status or error, second of the run, and what the answer said.
        missing: events that were answered 2xx and never arrived, but for those of a lost volume.
        late: events that arrived after a newer one of their entity, but for those that were left behind.
        lost_with_volume: events that waited in a volume when it was lost, and never arrived.
        late_left_behind: late events that waited in a replica when it was scaled down.
        copies: deliveries beyond the first of an id.
        volume_lost: whether the run has such a step.
    """

    proxy: Kind
    spread: Spread
    seed: int
    seconds: float
    sent: int
    given_up: int
    not_2xx: int
    refused: dict[str, int]
    missing: int
    late: int
    lost_with_volume: int
    late_left_behind: int
    copies: int
    longest_answer_s: float
    volume_lost: bool

    @property
    def passed(self) -> bool:
        """Whether nothing was lost but what is said to be, the sender saw nothing of it, and order held.

        Calls that go to each replica in turn must come late, or the steps prove nothing about order.
        """
        kept = self.sent > 0 and self.given_up == self.not_2xx == self.missing == 0
        ordered = self.late == 0 if self.spread == "uri" else self.late > 0
        return kept and ordered and self.volume_lost == (self.lost_with_volume > 0)


def judge(
    plan: tuple[Kind, Spread, int],
    attempts: Sequence[Attempt],
    came: Sequence[str],
    cast: Cast,
    *,
    volume_lost: bool,
) -> Outcome:
    """Compare what was answered with the ids that came, in their order."""
    proxy, spread, seed = plan
    taken = {each.id: each for each in attempts if each.id and each.result == "accepted"}
    absent = taken.keys() - set(came)
    late = set(_late(taken, came))
    return Outcome(
        proxy=proxy,
        spread=spread,
        seed=seed,
        seconds=round(cast.now_s, 1),
        sent=len({each.event for each in attempts}),
        given_up=sum(each.result == "given_up" for each in attempts),
        not_2xx=sum(each.result != "accepted" for each in attempts),
        refused=dict(Counter(_refusal(each, cast) for each in attempts if each.result != "accepted")),
        missing=len(absent - cast.lost),
        late=len(late - cast.left_behind),
        lost_with_volume=len(absent & cast.lost),
        late_left_behind=len(late & cast.left_behind),
        copies=len(came) - len(set(came)),
        longest_answer_s=max((each.answered_at - each.sent_at for each in attempts), default=0.0),
        volume_lost=volume_lost,
    )


def _refusal(attempt: Attempt, cast: Cast) -> str:
    said = f": {attempt.detail}" if attempt.detail else ""
    return f"{attempt.http_status or attempt.error} at {attempt.sent_at - cast.began_unix:.0f} s{said}"


def _late(taken: Mapping[str, Attempt], came: Iterable[str]) -> Iterable[str]:
    """Yield the ids that came after a newer event of their entity, by their first copy."""
    newest: dict[tuple[str, int], int] = {}
    for event in dict.fromkeys(came):
        if (answer := taken.get(event)) is None:
            continue
        entity = (answer.trigger, answer.entity)
        if answer.step < newest.get(entity, 0):
            yield event
        newest[entity] = max(answer.step, newest.get(entity, 0))


class Course(msgspec.Struct, frozen=True):
    """When things happened, in seconds from the start."""

    accepted: Sequence[float]
    waiting: Sequence[tuple[float, float]]
    arrived: Sequence[float]
    bands: Sequence[Band]


def write(directory: Path, outcome: Outcome, course: Course, per_s: float) -> None:
    """Write figures and picture of a run, and the page that lists all runs of the directory."""
    directory.mkdir(parents=True, exist_ok=True)
    name = f"{outcome.proxy}-{outcome.spread}-seed-{outcome.seed}"
    encoded = msgspec.json.format(msgspec.json.encode(outcome), indent=2)
    (directory / f"{name}.json").write_bytes(encoded + b"\n")
    (directory / f"{name}.svg").write_text(_picture(outcome, course))
    (directory / "README.md").write_text(page(directory, per_s))


def _picture(outcome: Outcome, course: Course) -> str:
    panels = [
        Panel("answered 2xx, webhooks/s", "#1a7f37", rate(course.accepted, outcome.seconds)),
        Panel("waiting in the outboxes, events", "#9a6700", course.waiting),
        Panel("arrived, events/s", "#0969da", rate(course.arrived, outcome.seconds)),
    ]
    spread = "by path" if outcome.spread == "uri" else "in turn"
    title = f"{outcome.proxy}, {spread}, seed {outcome.seed}"
    return draw(title, outcome.seconds, panels, course.bands)


def page(directory: Path, per_s: float) -> str:
    """Return the page: a table of the runs by path, then one of those in turn."""
    runs = {
        found.stem: msgspec.json.decode(found.read_bytes(), type=Outcome)
        for found in sorted(directory.glob("*.json"))
    }
    by_path = {name: each for name, each in runs.items() if each.spread == "uri"}
    in_turn = {name: each for name, each in runs.items() if each.spread != "uri"}
    parts = [_HEAD.format(rate=per_s), _table(by_path)]
    if in_turn:
        parts += [_IN_TURN, _table(in_turn)]
    return "".join(parts)


def _table(runs: Mapping[str, Outcome]) -> str:
    rows = [
        [head for head, _ in _COLUMNS],
        ["---"] * len(_COLUMNS),
        *([cell.format(each=each, name=name) for _, cell in _COLUMNS] for name, each in runs.items()),
    ]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)
