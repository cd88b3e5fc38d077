"""The results as tables and plots, in docs/performance.md between its marks."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import plots
from receivers import ROOT
from samples import spread
from targets import Results, targets_of

DOCUMENT = ROOT / "docs" / "performance.md"
PLOTS = ROOT / "docs" / "performance"
BEGIN = "<!-- written by make bench: begin -->"
END = "<!-- written by make bench: end -->"

_CURVES: Mapping[str, tuple[str, str]] = {
    "connections": ("CPU per event over connections", "connections"),
    "body": ("CPU per event over the body's size", "bytes of the body"),
    "backlog": ("CPU per event over what waits already", "events waiting"),
    "entities": ("CPU per event over entities, at 300/s", "entities"),
    "uptime": ("CPU per event over a long run", "tenth of the run"),
}


def write(results: Results) -> None:
    """Put the tables into the document, and the plots and the raw results beside it."""
    PLOTS.mkdir(exist_ok=True)
    for name, svg in _plots(results):
        (PLOTS / f"{name}.svg").write_text(svg)
    (PLOTS / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    before, _, rest = DOCUMENT.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    DOCUMENT.write_text(f"{before}{BEGIN}\n\n{markdown(results, Path('performance'))}\n{END}{after}")


def markdown(results: Results, plots_at: Path | None = None) -> str:
    """Return the tables; with a directory, also the plots that lie there."""
    parts = [_table(("on", ""), [(key, value) for key, value in results["machine"].items()])]
    parts += _comparison(results, plots_at)
    parts += _weather(results)
    parts += _growth(results, plots_at)
    parts.append("### Targets\n")
    rows = [target.row() for target in targets_of(results)]
    parts.append("| target | limit | measured | |\n| --- | --- | --- | --- |\n" + "\n".join(rows) + "\n")
    if results["failures"]:
        parts.append("### Not measured\n")
        parts.append(
            _table(("what", "why"), [(k, v.splitlines()[0]) for k, v in results["failures"].items()])
        )
    parts.append(
        f"The run took {results['seconds'] / 60:.0f} minutes. Medians, with the least and the most.\n"
    )
    return "\n".join(parts)


def _comparison(results: Results, plots_at: Path | None) -> Iterator[str]:
    if "comparison" not in results:
        return
    full, paced, titles = (results["comparison"][key] for key in ("full", "paced", "titles"))
    rounds = max(map(len, full.values()), default=0)
    yield f"### At saturation: 64 connections, bodies of 550 bytes, {rounds} rounds\n"
    columns: Sequence[tuple[str, str, int]] = (
        ("answers/s", "per_second", 0),
        ("published/s", "published_per_s", 0),
        ("p50 ms", "p50_ms", 1),
        ("p99 ms", "p99_ms", 1),
        ("p99.9 ms", "p999_ms", 1),
        ("CPU µs an event", "cpu_us", 0),
        ("peak RSS MB", "peak_rss_mb", 0),
    )
    yield _figures(titles, full, columns)
    yield from _images(plots_at, ("throughput", "cpu"))
    if differing := results["comparison"].get("differing"):
        yield "### The same, behind a proxy: `X-Request-Id` and `traceparent` differ each time\n"
        yield _figures(titles, differing, columns)
    yield "### At a fixed 1,000 a second, by an open-loop generator\n"
    yield _figures(
        titles,
        {name: rounds for name, rounds in paced.items() if rounds},
        (*columns[2:6], ("generator late, p99 ms", "late_ms", 2)),
        digits=2,
    )
    slow = [titles[name] for name, rounds in paced.items() if not rounds]
    if slow:
        yield f"Too slow for 1,000 a second here: {', '.join(slow)}.\n"


def _weather(results: Results) -> Iterator[str]:
    if "outages" in results:
        yield "### While the broker is away, and after\n"
        columns = (
            ("accepted/s before", "normal_per_s", 0),
            ("accepted/s during", "outage_per_s", 0),
            ("refused", "refused", 0),
            ("drained/s after", "drain_per_s", 0),
        )
        yield _figures({kind: kind for kind in results["outages"]}, results["outages"], columns)
    if "start" in results:
        yield "### Start and idle\n"
        rows = [
            (
                name,
                f"{one['ready_s']:.2f} ({one['least_s']:.2f} to {one['most_s']:.2f})",
                f"{one['idle_rss_mb']:.0f}",
            )
            for name, one in results["start"].items()
        ]
        yield _table(("bridge", "start to ready, s", "idle RSS MB"), rows)


def _growth(results: Results, plots_at: Path | None) -> Iterator[str]:
    for key, (title, quantity) in _CURVES.items():
        if key in results:
            yield f"### {title}\n"
            points = results[key]
            yield _table(
                (quantity, *(f"{x:,.0f}" for x, _ in points)),
                [
                    ("CPU µs an event", *(f"{figures['cpu_us']:,.0f}" for _, figures in points)),
                    ("answers/s", *(f"{figures['per_second']:,.0f}" for _, figures in points)),
                    ("p99 ms", *(f"{figures['p99_ms']:,.1f}" for _, figures in points)),
                ],
            )
            yield from _images(plots_at, (key,))


def _figures(
    titles: Mapping[str, str],
    rounds: Mapping[str, Sequence[Mapping[str, float]]],
    columns: Sequence[tuple[str, str, int]],
    digits: int = 0,
) -> str:
    rows = [
        (
            titles[name],
            *(_cell([one[figure] for one in ones], max(digits, own)) for _, figure, own in columns),
        )
        for name, ones in rounds.items()
    ]
    return _table(("", *(title for title, _, _ in columns)), rows)


def _cell(values: Sequence[float], digits: int) -> str:
    return spread(values).text(digits)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _images(plots_at: Path | None, names: Sequence[str]) -> Iterator[str]:
    if plots_at is not None:
        for name in names:
            yield f"![{name}]({plots_at}/{name}.svg)\n"


def _plots(results: Results) -> Iterator[tuple[str, str]]:
    if "comparison" in results:
        full, titles = results["comparison"]["full"], results["comparison"]["titles"]
        yield (
            "throughput",
            plots.bars("Answers per second at saturation", "/s", _bars(full, titles, "per_second")),
        )
        # RabbitMQ's own process does the broker's work too, so its processor time says nothing here.
        own = {name: rounds for name, rounds in full.items() if name != "http_api"}
        yield "cpu", plots.bars("Processor time per event", "µs", _bars(own, titles, "cpu_us"))
    for key, (title, _) in _CURVES.items():
        if key in results:
            yield key, plots.curve(title, "µs", [(x, figures["cpu_us"]) for x, figures in results[key]])


def _bars(
    rounds: Mapping[str, Sequence[Mapping[str, float]]], titles: Mapping[str, str], figure: str
) -> list[plots.Bar]:
    return [
        plots.Bar(titles[name], spread([one[figure] for one in ones]), name.startswith("bridge"))
        for name, ones in rounds.items()
    ]
