"""Writes the page that lists all reports of a directory, so that no figure is copied by hand."""

import contextlib
import fcntl
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
from tests.faults.report import Report, replace

_HEAD = """\
# Runs of `make faults`

Written by the runs themselves; what the words mean stands in [reliability.md](../reliability.md).
Given up: by the sender without a fault that allows it, of all that it gave up.

| broker | outbox | seed | s | events | faults | missing | order | given up | copies / allowed | peak RSS | |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
"""


def write_index(directory: Path) -> Path:
    """Write README.md from the reports beside it; one writer at a time, so that the last knows all."""
    page = directory / "README.md"
    with _alone_in(directory):
        reports = [(path, _read(path)) for path in sorted(directory.glob("*.json"))]
        rows = "".join(_row(path, report) for path, report in reports)
        replace(page, (_HEAD + rows + _pictures(reports)).encode())
    return page


@contextlib.contextmanager
def _alone_in(directory: Path) -> Iterator[None]:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _read(path: Path) -> Report:
    return msgspec.json.decode(path.read_bytes(), type=Report)


def _row(path: Path, report: Report) -> str:
    counts, figures = report.counts, report.figures
    cells = (
        report.broker,
        "journal" if report.plan.disk else "none",
        f"[{report.plan.seed}]({path.stem}.txt)",
        f"{figures.seconds:.0f}",
        f"{counts.events:,}",
        f"{sum(figures.faults.values())}",
        _wrong(report, "missing", "partly-missing"),
        _wrong(report, "order"),
        f"{_wrong(report, 'given-up')} of {counts.given_up}",
        f"{max(counts.copies.values(), default=0)} / {counts.copies_allowed}",
        f"{figures.peak_rss_mb:.0f} MB",
        "passed" if report.passed else "**failed**",
    )
    return f"| {' | '.join(cells)} |\n"


def _wrong(report: Report, *questions: str) -> str:
    return str(sum(violation.question in questions for violation in report.violations))


def _pictures(reports: Sequence[tuple[Path, Report]]) -> str:
    return "".join(
        f"\n![{report.broker}, seed {report.plan.seed}]({path.stem}.svg)\n" for path, report in reports
    )
