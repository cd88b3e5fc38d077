"""The command `simulate`."""

import asyncio
import functools
import re
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import click
import msgspec
from click.core import ParameterSource
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from tms_bridge.cli.bus.saved import sender_body
from tms_bridge.cli.event_loop import run_async
from tms_bridge.cli.output import BridgeConsole, Output, base_url, common_options, load, source_of, visible
from tms_bridge.cli.program import DONE, INTERRUPTED, NO
from tms_bridge.cli.simulate.engine import run
from tms_bridge.cli.simulate.lives import EVERY_STATUS, Event, events
from tms_bridge.cli.simulate.report import MAX_RETRIES, Attempt, Plan, Report, Score
from tms_bridge.cli.tms_settings import credential_of, http_headers

REFRESH_S = 0.25


@click.command()
@common_options
@click.option(
    "--url",
    required=True,
    callback=base_url,
    metavar="BASE",
    help="Where the bridge listens, as http://127.0.0.1:8080.",
)
@click.option("--source", required=True, metavar="NAME", help="The source whose webhooks are called.")
@click.option(
    "--header",
    "headers",
    multiple=True,
    metavar="NAME=VALUE",
    help="A line of TMS's HttpHeaders field; may be given several times.  [default: of --config]",
)
@click.option(
    "--credential",
    metavar="NAME",
    help="Which credential of --config to send; default: the first with a header.",
)
@click.option(
    "--count", metavar="N", type=click.IntRange(1), help="Events to send.  [default: 100, without --duration]"
)
@click.option(
    "--duration",
    "duration_s",
    metavar="SECONDS",
    type=click.FloatRange(0, min_open=True),
    help="How many seconds to go on.",
)
@click.option(
    "--every-status", is_flag=True, help="Send each of the twelve pairs of trigger and status once."
)
@click.option(
    "--rate",
    metavar="N",
    type=click.FloatRange(0, min_open=True),
    help="Events a second; default: as fast as it goes.",
)
@click.option(
    "--concurrency",
    metavar="N",
    type=click.IntRange(1),
    default=16,
    show_default=True,
    help="Requests at a time.",
)
@click.option(
    "--entities",
    metavar="N",
    type=click.IntRange(1),
    default=100,
    show_default=True,
    help="Course assignments and classes that live side by side; one that ends makes room for a new one.",
)
@click.option(
    "--delay",
    "delay_s",
    metavar="SECONDS",
    type=click.FloatRange(0),
    default=0,
    show_default=True,
    help="Delay Seconds.",
)
@click.option(
    "--timeout",
    "timeout_s",
    metavar="SECONDS",
    type=click.FloatRange(0, min_open=True),
    default=10,
    show_default=True,
    help="Timeout Seconds.",
)
@click.option(
    "--max-retries",
    metavar="N",
    type=click.IntRange(0, MAX_RETRIES),
    default=MAX_RETRIES,
    show_default=True,
    help="Max Retries; the waits are 1, 2, 3, 4 and 5 seconds.",
)
@click.option(
    "--seed",
    metavar="N",
    type=click.IntRange(0),
    default=1,
    show_default=True,
    help="The same seed, the same bodies.",
)
@click.option(
    "--from",
    "directory",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="Send the bodies saved there, by name: events of tail --save, or files as class-1.json.",
)
@click.option("--plain", is_flag=True, help="Send the plainest encoding only, not every documented one.")
@click.option(
    "--record",
    type=click.File("wb", lazy=False),
    metavar="FILE",
    help="Write every answer to this file, one line of JSON each.",
)
def simulate(  # noqa: PLR0913 - what is not of the plan
    *,
    config: Path,
    out: Output,
    headers: tuple[str, ...],
    credential: str | None,
    every_status: bool,
    directory: Path | None,
    record: BinaryIO | None,
    **kwargs: object,
) -> int:
    """Play TMS against a bridge.

    Sends both trigger events, as the lives of many course assignments and classes: the next event of one of
    them goes out only when the last was answered. An answer other than 2xx, or none in time, is retried as
    TMS does it, and given up after the last retry. Exits 1 if any event was given up.

    Without --header the credentials are those of the source in the configuration.

    \b
    Examples:
      tms-bridge simulate --url http://127.0.0.1:8080 --source contoso
      tms-bridge simulate --url http://127.0.0.1:8080 --source contoso --from captured/
      tms-bridge simulate --url http://127.0.0.1:8080 --source contoso --header X-Api-Key=secret \\
          --duration 60 --rate 500 --concurrency 64 --entities 1000 --record answers.jsonl
    """  # noqa: D301 - \b is how click is told to keep line breaks
    name = str(kwargs["source"])
    lines = headers or _configured(config, name, credential)
    plan = _plan(dict(map(_header, lines)), kwargs, endless=not every_status and directory is None)
    places = None
    if directory is not None:
        places = [iter(saved(directory))]
    elif every_status:
        places = every_pair(plan)
    report, stopped = run_async(_run(plan, _recorder(record), places))
    _show(out, report)
    if stopped:
        return INTERRUPTED
    return NO if report.given_up else DONE


def _configured(config: Path, source: str, credential: str | None) -> Sequence[str]:
    """Return the lines of HttpHeaders that the configuration asks of this source."""
    ctx = click.get_current_context()
    optional = ctx.get_parameter_source("config") is ParameterSource.DEFAULT and credential is None
    if optional and not config.exists():
        return ()  # the answers say what is missing
    return http_headers(credential_of(source_of(load(config), source), credential), reveal=True)


def _plan(headers: dict[str, str], options: dict[str, object], *, endless: bool) -> Plan:
    if endless and options["count"] is None and options["duration_s"] is None:
        options["count"] = 100
    return msgspec.convert({**options, "headers": headers}, Plan)


def _header(line: str) -> tuple[str, str]:
    name, equals, value = line.partition("=")
    if not (name.strip() and equals):
        raise click.BadParameter("write it as TMS does, name=value", param_hint="--header")
    return name.strip(), value.strip()


TRIGGER_OF_FILE = re.compile(r"(course[-_]assignment|class)(?![a-z])", re.IGNORECASE)


def saved(directory: Path) -> list[Event]:
    """Return the bodies of a directory's files, in the order of their names.

    One after the other, as one entity's events: of which entity they tell is not known here.
    """
    files = sorted(file for file in directory.iterdir() if file.is_file() and not file.name.startswith("."))
    if not files:
        raise click.BadParameter(f"there is no file in {directory}", param_hint="--from")
    return [_saved(number, file) for number, file in enumerate(files, 1)]


def _saved(number: int, file: Path) -> Event:
    content = file.read_bytes()
    if (sent := sender_body(content)) is not None:
        if sent.body is None:
            raise click.BadParameter(
                f"{file.name}: the event was saved without its payload, so the sender's body is not known",
                param_hint="--from",
            )
        return Event(sent.trigger, status="", entity=0, step=number, marker=file.name, body=sent.body)
    trigger = TRIGGER_OF_FILE.match(file.name)
    if trigger is None:
        raise click.BadParameter(
            f"{file.name}: its name must begin with the trigger, class or course-assignment",
            param_hint="--from",
        )
    name = trigger[1].lower().replace("-", "_")
    return Event(name, status="", entity=0, step=number, marker=file.name, body=content)


def every_pair(plan: Plan) -> list[Iterator[Event]]:
    """Return the six lives that pass through each pair of trigger and status once."""
    return [
        iter(list(events(trigger, statuses, plan.seed, number, None)))
        for number, (trigger, statuses) in enumerate(EVERY_STATUS)
    ]


async def _run(
    plan: Plan, on_attempt: Callable[[Attempt], object], places: list[Iterator[Event]] | None
) -> tuple[Report, bool]:
    stop, tally = asyncio.Event(), Score()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    watch = asyncio.create_task(_progress(plan, tally))
    try:
        report = await run(plan, on_attempt=on_attempt, stop=stop, tally=tally, places=places)
    finally:
        watch.cancel()
        await asyncio.wait((watch,))
    return report, stop.is_set()


async def _progress(plan: Plan, tally: Score) -> None:
    """Show how far it is, if standard error is a terminal."""
    console = BridgeConsole(sys.stderr)
    columns = (BarColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=plan.count or plan.duration_s)
        while True:
            done = tally.accepted + tally.given_up if plan.count else progress.tasks[task].elapsed
            text = f"{tally.sent} sent, {tally.accepted} accepted, {tally.given_up} given up"
            progress.update(task, completed=done, description=text)
            await asyncio.sleep(REFRESH_S)


def _recorder(file: BinaryIO | None) -> Callable[[Attempt], object]:
    return (lambda _: None) if file is None else functools.partial(_write, file)


def _write(file: BinaryIO, attempt: Attempt) -> None:
    file.write(msgspec.json.encode(attempt) + b"\n")


def _show(out: Output, report: Report) -> None:
    if out.as_json:
        out.document(report)
        return
    counts = ("sent", "accepted", "duplicates", "held", "retried", "given_up", "unfinished", "calls")
    out.table(("events", ""), [(name.replace("_", " "), getattr(report, name)) for name in counts])
    out.text(f"answers  {', '.join(f'{count} x {answer}' for answer, count in report.answers.items())}")
    for answer, detail in report.details.items():
        out.text(visible(f"{answer:<8} {detail}"))
    out.text(f"rate     {report.accepted_per_s} accepted/s over {report.elapsed_s} s")
    if figures := report.latency:
        out.text(
            f"latency  p50 {figures.p50_ms} ms, p90 {figures.p90_ms} ms, p99 {figures.p99_ms} ms, "
            f"p99.9 {figures.p999_ms} ms, max {figures.max_ms} ms"
        )
