"""The command `replay`: copies events from the archive into one queue."""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import msgspec

from tms_bridge.broker.archive import Archived, Selection, copy, message_count, read
from tms_bridge.broker.session import Session
from tms_bridge.cli.bus.broker import bindings_option, open_broker
from tms_bridge.cli.event_loop import run_async
from tms_bridge.cli.output import Output, common_options, load, note, visible
from tms_bridge.errors import SettingsError
from tms_bridge.settings.model import Amqp

PROGRESS_EVERY_S = 2.0
_AGO = re.compile(r"([0-9]{1,6})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class _Moment(click.ParamType[datetime]):
    """A moment of the past: how long ago, or by date and time, which are UTC where no offset is given."""

    name = "moment"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Return it in UTC."""
        if isinstance(value, datetime):
            return value
        try:
            if ago := _AGO.fullmatch(str(value)):
                return datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
            moment = datetime.fromisoformat(str(value))
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is no moment; write 2h, 7d or 2026-11-26T14:00Z", param, ctx)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


MOMENT = _Moment()


class ReplayReport(msgspec.Struct):
    """What came of a replay, or would: the document that `--json` prints.

    Attributes:
        queue: which queue got the copies; None: all that are bound to the exchange.
        dry_run: whether they were counted alone.
        events: how many were copied.
        first: the earliest receipt among them.
        last: the latest.
        next_offset: where another replay would go on.
        routing_keys: how many of each.
    """

    queue: str | None
    dry_run: bool
    events: int = 0
    first: datetime | None = None
    last: datetime | None = None
    next_offset: int | None = None
    routing_keys: Counter[str] = msgspec.field(default_factory=Counter)

    def add(self, event: Archived) -> None:
        """Count one that is done."""
        self.events += 1
        self.first = min(self.first or event.received_at, event.received_at)
        self.last = max(self.last or event.received_at, event.received_at)
        self.next_offset = event.offset + 1
        self.routing_keys[event.routing_key] += 1


@click.command()
@common_options
@click.option("--to", "queue", metavar="QUEUE", help="The queue that gets the copies. It must exist.")
@click.option(
    "--to-exchange",
    is_flag=True,
    help="Instead: publish to the exchange, so that every bound queue gets them.",
)
@click.option("--since", type=MOMENT, metavar="T", help="Received since then: 2h, 7d, or 2026-11-26T14:00Z.")
@click.option("--until", type=MOMENT, metavar="T", help="Received before then; default: now.")
@bindings_option
@click.option("--entity", metavar="TRIGGER/ID", help="Only events of this one, such as class/4711.")
@click.option(
    "--from-offset", type=click.IntRange(0), metavar="N", help="Go on where a replay that ended early said."
)
@click.option(
    "--rate",
    metavar="N",
    type=click.FloatRange(0, min_open=True),
    help="Events a second; default: as fast as it goes.",
)
@click.option("--dry-run", is_flag=True, help="Count, and copy nothing.")
def replay(  # noqa: PLR0913 - a flag each
    *,
    config: Path,
    out: Output,
    queue: str | None,
    to_exchange: bool,
    since: datetime | None,
    until: datetime | None,
    bindings: tuple[str, ...],
    entity: str | None,
    from_offset: int | None,
    rate: float | None,
    dry_run: bool,
) -> None:
    """Copy events from the archive into one queue.

    It needs [amqp.archive]. Each copy has its event's id, headers and body, and is marked tms-replayed. It
    goes through the default exchange, so no other queue sees it, and its routing key is the queue's name; the
    topic is in its type. A replay that ends early says where to go on; the consumer drops by id what it gets
    twice.

    \b
    Examples:
      tms-bridge replay --since 2h --to crm --dry-run
      tms-bridge replay --since 7d --binding 'tms.class.*' --to rooms
      tms-bridge replay --since 2026-11-26T14:00Z --entity class/4711 --to crm --rate 50
    """  # noqa: D301 - \b is how click is told to keep line breaks
    if since is None and from_offset is None:
        raise click.UsageError("say from when on, with --since")
    if not dry_run and (queue is None) != to_exchange:
        raise click.UsageError("say which queue gets the copies, with --to")
    amqp = load(config).amqp
    if queue == archive_name(amqp):
        raise click.BadParameter(f"{queue} is the archive itself", param_hint="--to")
    selection = Selection(
        since=since,
        until=until or datetime.now(UTC),
        bindings=bindings,
        entity=entity,
        from_offset=from_offset,
    )
    report = ReplayReport(queue, dry_run)
    try:
        run_async(_replay(amqp, selection, report, rate))
    except BaseException:
        _say_where_to_go_on(report, selection)
        raise
    _show(out, report)


def archive_name(amqp: Amqp) -> str:
    """Return the archive's name.

    Raises:
        SettingsError: the configuration has none.
    """
    if amqp.archive is None:
        raise SettingsError(
            "there is no [amqp.archive] in this configuration, so RabbitMQ keeps no event for later"
        )
    return amqp.archive.name


async def _replay(amqp: Amqp, selection: Selection, report: ReplayReport, rate: float | None) -> None:
    async with open_broker(amqp) as session:
        if report.queue is not None:
            await message_count(session, report.queue)
        async with (
            aclosing(read(session, archive_name(amqp), selection)) as archived,
            aclosing(reported(archived, lambda: _progress(report))) as told,
            aclosing(_selected(told, selection, report)) as events,
        ):
            if report.dry_run:
                async for event in events:
                    report.add(event)
            else:
                await _copy(session, events, amqp.exchange, report, rate)


async def _copy(
    session: Session, events: AsyncIterator[Archived], exchange: str, report: ReplayReport, rate: float | None
) -> None:
    copies = (
        copy(session, events, exchange=exchange, rate=rate)
        if report.queue is None
        else copy(session, events, queue=report.queue, rate=rate)
    )
    async with aclosing(copies) as batches:
        async for batch in batches:
            for event in batch:
                report.add(event)


async def reported(
    archived: AsyncIterator[Archived], progress: Callable[[], str]
) -> AsyncGenerator[Archived, None]:
    """Pass on what is read, and say now and then how far it is."""
    clock = asyncio.get_running_loop().time
    told_at = clock()
    async for event in archived:
        yield event
        if clock() - told_at >= PROGRESS_EVERY_S:
            told_at = clock()
            note(f"{progress()}; reading what came at {event.received_at:%Y-%m-%d %H:%M:%SZ}")


async def _selected(
    archived: AsyncIterator[Archived], selection: Selection, report: ReplayReport
) -> AsyncGenerator[Archived, None]:
    async for event in archived:
        if report.next_offset is None:
            report.next_offset = event.offset
        if selection.takes(event):
            yield event


def _progress(report: ReplayReport) -> str:
    return f"{_done(report)}, with all before offset {report.next_offset}"


def _done(report: ReplayReport) -> str:
    return f"{report.events:,} {'counted' if report.dry_run else 'copied'}"


def _say_where_to_go_on(report: ReplayReport, selection: Selection) -> None:
    """Tell on standard error how the same replay goes on, to the same end."""
    if report.next_offset is not None:
        note(
            f"{_done(report)}; go on with the same options and --from-offset {report.next_offset} "
            f"--until {selection.until.isoformat()}"
        )


def _show(out: Output, report: ReplayReport) -> None:
    if out.as_json:
        out.document(report)
        return
    if report.routing_keys:
        out.table(("routing key", "events"), sorted(report.routing_keys.items()))
    target = "" if report.dry_run else f" to {report.queue or 'the exchange'}"
    span = (
        f", received from {report.first:%Y-%m-%d %H:%M:%SZ} to {report.last:%Y-%m-%d %H:%M:%SZ}"
        if report.first and report.last
        else ""
    )
    out.text(visible(_done(report) + target + span))
