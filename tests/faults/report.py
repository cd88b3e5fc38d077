"""Tells of a run in words, as JSON, and as a picture of its course."""

import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from operator import attrgetter
from pathlib import Path

import msgspec
from tests.faults.checker import QUESTIONS, Counts, Verdict, Violation
from tests.faults.conductor import Plan, Run
from tests.faults.records import EVERYTHING, Sample

from timeline import Band, Panel, draw, rate

MANY = 10
"""How many violations of one question are told in words."""

MEGABYTE = 1_000_000


STRETCH_S = 600
"""How much of a long run is one row of its course."""


class Stretch(msgspec.Struct, frozen=True, kw_only=True):
    """How the bridge stood in a part of the run: medians of what it had, and the most memory.

    The senders have as many connections as they lately needed at once, which is more the slower the machine
    is. Each is a descriptor and a task of the bridge, which are counted without them.

    Attributes:
        begins_s: from the run's beginning.
        connections: of the senders.
        descriptors: besides those.
        tasks: besides those; 0 where nobody has counted them.
    """

    begins_s: int
    accepted: int
    rss_mb: float
    most_rss_mb: float
    connections: int = 0
    descriptors: int
    tasks: int


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What a release is judged by.

    Attributes:
        answers: calls by HTTP status; `none` where no answer came.
        p99_ms: of the calls that were answered 2xx, from the request to the whole answer.
        longest_silence_s: the longest time in which the bridge's admin listener did not answer.
        course: of ten minutes each.
    """

    seconds: float
    faults: dict[str, int]
    answers: dict[str, int]
    p99_ms: float
    most_waiting: int
    peak_rss_mb: float
    longest_silence_s: float
    course: list[Stretch] = []


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """All of it."""

    passed: bool
    broker: str
    plan: Plan
    counts: Counts
    figures: Figures
    violations: list[Violation]
    observations: list[str]


def make_report(run: Run, verdict: Verdict) -> Report:
    """Put run and verdict together."""
    return Report(
        passed=verdict.passed and not run.observations,
        broker=run.broker,
        plan=run.plan,
        counts=verdict.counts,
        figures=_figures(run),
        violations=verdict.violations,
        observations=run.observations,
    )


def _figures(run: Run) -> Figures:
    history = run.history
    answered = sorted(call.answered_at - call.sent_at for call in history.attempts if call.accepted)
    heard = [sample.at for sample in history.samples if sample.depth is not None]
    return Figures(
        seconds=round(run.ended - run.began, 1),
        faults=_tally(band.name for band in history.bands),
        answers=_tally(str(call.code or "none") for call in history.attempts),
        p99_ms=round(1000 * answered[len(answered) * 99 // 100], 1) if answered else 0.0,
        most_waiting=max((sample.depth or 0 for sample in history.samples), default=0),
        peak_rss_mb=round(max((each.rss_bytes or 0 for each in history.samples), default=0) / MEGABYTE, 1),
        longest_silence_s=round(max((later - at for at, later in pairwise(heard)), default=0.0), 1),
        course=[_stretch(run, begins_s) for begins_s in range(0, int(run.ended - run.began), STRETCH_S)],
    )


def _stretch(run: Run, begins_s: int) -> Stretch:
    begins, ends = run.began + begins_s, run.began + begins_s + STRETCH_S
    samples = [sample for sample in run.history.samples if begins <= sample.at < ends]
    memory = [sample.rss_bytes / MEGABYTE for sample in samples if sample.rss_bytes]
    return Stretch(
        begins_s=begins_s,
        accepted=sum(call.accepted and begins <= call.answered_at < ends for call in run.history.attempts),
        rss_mb=round(_median(memory), 1),
        most_rss_mb=round(max(memory, default=0.0), 1),
        connections=int(_median([sample.connections or 0 for sample in samples if sample.descriptors])),
        descriptors=_besides(samples, attrgetter("descriptors")),
        tasks=_besides(samples, attrgetter("tasks")),
    )


def _besides(samples: Sequence[Sample], amount: Callable[[Sample], int | None]) -> int:
    """Return the median of what is there besides what the senders' connections cost."""
    counted = [(amount(sample), sample.connections or 0) for sample in samples]
    return int(_median([number - connections for number, connections in counted if number is not None]))


def _median(numbers: Sequence[float]) -> float:
    return statistics.median(numbers) if numbers else 0.0


def _tally(words: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(words).items()))


def in_words(report: Report) -> str:
    """Return the report as a person reads it."""
    plan, counts, figures = report.plan, report.counts, report.figures
    kept = "on disk" if plan.disk else "no outbox: a 2xx waits for the broker"
    lines = [
        f"{'PASSED' if report.passed else 'FAILED'}: seed {plan.seed}, RabbitMQ {report.broker}, {kept}",
        "",
        f"{figures.seconds:g} s, {plan.senders} senders; {counts.events} events, {counts.retried} retried",
        f"{counts.calls} calls; {counts.undecodable} undecodable bodies",
        f"answers: {_list(figures.answers)}; p99 of a 2xx {figures.p99_ms:g} ms",
        f"faults: {_list(figures.faults)}",
        f"accepted {counts.accepted}; deliveries {counts.deliveries}, on {len(counts.copies)} queues",
        f"most events in the outbox {figures.most_waiting}",
        f"copies by queue: {_list(counts.copies)}",
        f"publishes that were refused or lost their outcome: {counts.copies_allowed}",
        f"second ids of one event: {counts.second_ids}",
        f"given up by the sender: {counts.given_up}, {_excused(report)} of them for a fault that allows it",
        f"peak RSS {figures.peak_rss_mb:g} MB; longest silence of the bridge {figures.longest_silence_s:g} s",
        *(
            f"from {each.begins_s} s: {each.accepted} accepted, RSS {each.rss_mb:g} MB, at most "
            f"{each.most_rss_mb:g}; {each.descriptors} descriptors and {each.tasks} tasks besides "
            f"{each.connections} connections"
            for each in figures.course
        ),
        "",
    ]
    for question in QUESTIONS:
        wrong = [each.detail for each in report.violations if each.question == question]
        lines.append(f"{question:16} {len(wrong)}")
        lines += [f"    {detail}" for detail in wrong[:MANY]]
    lines += [f"observed: {observation}" for observation in report.observations]
    return "\n".join(lines)


def _excused(report: Report) -> int:
    """Count what the sender gave up and the checker finds nothing wrong with."""
    return report.counts.given_up - sum(each.question == "given-up" for each in report.violations)


def _list(tally: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in tally.items()) or "none"


def write(report: Report, run: Run, directory: Path, name: str) -> Sequence[Path]:
    """Write NAME.txt, NAME.json and NAME.svg."""
    directory.mkdir(parents=True, exist_ok=True)
    files = {
        directory / f"{name}.txt": in_words(report).encode() + b"\n",
        directory / f"{name}.json": msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n",
        directory / f"{name}.svg": _picture(run, _title(report)).encode(),
    }
    for path, content in files.items():
        replace(path, content)
    return list(files)


def replace(path: Path, content: bytes) -> None:
    """Write a file as a whole: another run, of another broker, may read it meanwhile."""
    new = path.with_name(f"{path.name}.new")
    new.write_bytes(content)
    new.replace(path)


def _title(report: Report) -> str:
    plan = report.plan
    return f"RabbitMQ {report.broker}, seed {plan.seed}, {plan.senders} senders"


def _picture(run: Run, title: str) -> str:
    """Draw what was accepted, what waited and what was delivered, with the faults behind."""
    history, began, seconds = run.history, run.began, run.ended - run.began
    accepted = (call.answered_at - began for call in history.attempts if call.accepted)
    waiting = [(each.at - began, each.depth) for each in history.samples if each.depth is not None]
    delivered = (each.at - began for each in history.deliveries if each.queue == EVERYTHING)
    panels = [
        Panel("accepted, events/s", "#1a7f37", rate(accepted, seconds)),
        Panel("waiting in the outbox, events", "#9a6700", waiting),
        Panel("delivered, events/s", "#0969da", rate(delivered, seconds)),
    ]
    bands = [Band(each.name, each.began - began, each.ended - began) for each in history.bands]
    return draw(title, seconds, panels, bands)
