"""The commands `explain` and `fields`: how a body is understood, and which members the bodies had."""

import json
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import click
import msgspec

from tms_bridge.bootstrap.observed import FILE_NAME, read_observations
from tms_bridge.cli.bridge.admin_api import AdminApi, NoBridge
from tms_bridge.cli.bridge.rows import Rows, every, with_rows
from tms_bridge.cli.output import Output, common_options, load, source_of, visible
from tms_bridge.cli.program import DONE, NO
from tms_bridge.errors import SettingsError
from tms_bridge.ingest import (
    Explanation,
    Observation,
    ObservedMember,
    Proposal,
    explain,
    propose,
    rules_of,
    schema_of,
)
from tms_bridge.outbox.rows import State, moment
from tms_bridge.settings.model import Settings
from tms_events import Trigger

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_MOST_BODIES = 1000


class ShownMember(msgspec.Struct, frozen=True):
    """One member as people see it; `missing` counts the bodies without it, or the objects around it."""

    path: str
    types: dict[str, int]
    count: int
    missing: int
    read_as: str | None
    first: str
    last: str


class ShownObservation(msgspec.Struct, frozen=True):
    """What was seen of one source's bodies of one trigger."""

    source: str
    trigger: str
    bodies: int
    since: str
    others: int
    members: list[ShownMember]


class _List(msgspec.Struct):
    """What the command reads of `/api/v1/fields`."""

    observations: list[Observation]


@click.command("fields")
@common_options
@click.option("--source", metavar="NAME", default="", help="Only this source's bodies.")
@click.option(
    "--trigger", default="", type=click.Choice(["", *map(str, Trigger)]), help="Only this trigger's."
)
@click.option("--schema", is_flag=True, help="Write a JSON Schema of what was seen.")
@click.option(
    "--propose",
    "proposing",
    is_flag=True,
    help="Propose the settings that would turn the bodies in quarantine into events.",
)
def show_fields(  # noqa: PLR0913 - one argument for each option
    *, config: Path, out: Output, source: str, trigger: str, schema: bool, proposing: bool
) -> int:
    """Show which members TMS really sends: names and types, never a value.

    Says how often each member came, what it held, which field it is read as, and what is sometimes missing.
    A running bridge is asked through its admin API; with the bridge stopped, the outbox directory is read.

    \b
    Examples:
      tms-bridge fields --source contoso --trigger class
      tms-bridge fields --source contoso --trigger class --schema > class.schema.json
      tms-bridge fields --propose
    """  # noqa: D301 - \b is how click is told to keep line breaks
    settings = load(config)
    if source:
        source_of(settings, source)
    if proposing:
        return _propose(config, settings, (source, trigger), out)
    seen = [
        one for one in _observations(settings) if source in {"", one.source} and trigger in {"", one.trigger}
    ]
    if schema:
        click.echo(json.dumps(_schema(seen), indent=2))
    elif out.as_json:
        out.document([_answer(one) for one in seen])
    else:
        _show(out, seen)
    return DONE


def _observations(settings: Settings) -> Iterable[Observation]:
    try:
        return AdminApi(settings.admin).ask("GET", "/api/v1/fields", _List).observations
    except NoBridge:
        if settings.outbox is None:
            raise SettingsError(
                "there is no [outbox] in this configuration, so only a running bridge knows what came, and "
                "none answers"
            ) from None
        return read_observations(Path(settings.outbox.dir) / FILE_NAME)


def _answer(seen: Observation) -> ShownObservation:
    members = [
        ShownMember(
            one.path,
            one.types,
            one.count,
            max(_around(seen, one) - one.count, 0),
            one.field,
            moment(one.first_us),
            moment(one.last_us),
        )
        for one in sorted(seen.members.values(), key=lambda one: one.path.split("/"))
    ]
    return ShownObservation(
        seen.source, seen.trigger, seen.bodies, moment(seen.since_us), seen.others, members
    )


def _around(seen: Observation, member: ObservedMember) -> int:
    """Return how often there was an object that could have held a member; elements are never missing."""
    parent, _, name = member.path.rpartition("/")
    if name == "*":
        return member.count
    return seen.members[parent].types.get("object", 0) if parent in seen.members else seen.bodies


def _show(out: Output, seen: list[Observation]) -> None:
    if not seen:
        out.text("no body has come yet, or none that matches")
    for one in map(_answer, seen):
        out.text(f"{one.trigger} bodies of {one.source}: {one.bodies:,} since {one.since}", style="bold")
        rows = [
            (
                member.path,
                ", ".join(sorted(member.types)),
                member.count,
                member.missing or "",
                member.read_as or "",
                member.last,
            )
            for member in one.members
        ]
        out.table(("member", "holds", "came", "missing", "read as", "last"), rows)
        if one.others:
            out.text(f"other members, which are not kept one by one: {one.others:,}")
        out.text("")


def _schema(seen: list[Observation]) -> dict[str, object]:
    if len(seen) == 1:
        return {"$schema": _DIALECT, **schema_of(seen[0])}
    schemas = {f"{one.source}.{one.trigger}": schema_of(one) for one in seen}
    refs = [{"$ref": f"#/$defs/{name}"} for name in schemas]
    return {"$schema": _DIALECT, "anyOf": refs, "$defs": schemas} if refs else {"$schema": _DIALECT}


def _propose(config: Path, settings: Settings, wanted: tuple[str, str], out: Output) -> int:
    async def bodies(rows: Rows) -> dict[tuple[str, str], list[bytes]]:
        found: dict[tuple[str, str], list[bytes]] = defaultdict(list)
        async for row in every(rows, (State.UNDECODABLE,), _MOST_BODIES):
            if wanted[0] in {"", row.source} and wanted[1] in {"", row.trigger}:
                found[row.source, row.trigger].append(
                    (await rows.show(row.id, (State.UNDECODABLE,))).message.body
                )
        return found

    now = datetime.now(UTC)
    proposals = [
        propose(found, rules_of(source, settings.sources[source])[Trigger(trigger)], now)
        for (source, trigger), found in with_rows(config, bodies).items()
        if source in settings.sources
    ]
    if out.as_json:
        out.document(proposals)
    else:
        _show_proposals(out, proposals)
    return DONE if all(one.released == one.bodies for one in proposals) else NO


def _show_proposals(out: Output, proposals: list[Proposal]) -> None:
    if not proposals:
        out.text("no body is in quarantine because it could not be understood")
    for one in proposals:
        out.text(
            f"# bodies in quarantine that would be events: {one.released} of {one.bodies}; "
            f"with a status that is known: {one.told}"
        )
        if one.pointers:
            out.text(f"[sources.{one.source}.fields.{one.trigger}]")
            for field, pointer in one.pointers.items():
                out.text(f"{field} = {json.dumps(pointer)}")
        out.text("")
    if any(one.pointers for one in proposals):
        out.text("# look at one with `explain` first; then reload, and `tms-bridge quarantine replay --all`")


@click.command("explain")
@common_options
@click.option("--source", "name", required=True, metavar="NAME", help="The source whose rules are used.")
@click.option(
    "--trigger",
    required=True,
    type=click.Choice([str(trigger) for trigger in Trigger]),
    help="The trigger event whose webhook the body came to.",
)
@click.option(
    "--received-at",
    metavar="TIME",
    help="When it came, as 2026-03-19T15:17:55Z; a derived status may depend on it.  [default: now]",
)
@click.argument("body", type=click.File("rb"), metavar="FILE|-")
def explain_body(  # noqa: PLR0913 - one argument for each option
    *, config: Path, out: Output, name: str, trigger: str, received_at: str | None, body: BinaryIO
) -> int:
    """Show how a captured body is understood.

    Says where each field was found and how it was read, what a status derived from the dates would be, and
    the routing key; or why the body would be quarantined, with all its members, which is exit code 1.

    \b
    Examples:
      tms-bridge explain --source contoso --trigger class body.json
      tms-bridge quarantine show ID --body | tms-bridge explain --source contoso --trigger class -
    """  # noqa: D301 - \b is how click is told to keep line breaks
    rules = rules_of(name, source_of(load(config), name))[Trigger(trigger)]
    explanation = explain(body.read(), rules, _moment(received_at))
    if out.as_json:
        out.document(explanation)
    else:
        _show_explanation(out, explanation)
    return DONE if explanation.understood else NO


def _moment(text: str | None) -> datetime:
    if text is None:
        return datetime.now(UTC)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter("write it as 2026-03-19T15:17:55Z", param_hint="--received-at") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _show_explanation(out: Output, explanation: Explanation) -> None:
    if explanation.fields:
        rows = [(find.field, find.pointer, find.sent, find.read, find.how) for find in explanation.fields]
        out.table(("field", "found at", "sent", "read as", "how"), rows)
        out.text("")
    if not explanation.understood:
        _show_paths(out, explanation)
        out.text(visible(f"quarantined: {explanation.reason}"))
        return
    told = explanation.raw_status if explanation.raw_status is not None else "nothing"
    summary = [
        ("entity", f"{explanation.trigger}/{explanation.entity}"),
        ("status", f"{explanation.status} ({explanation.status_from}; the sender said: {told})"),
        ("routing key", explanation.routing_key or ""),
    ]
    for what, fields in (
        ("not read", explanation.unread),
        ("assumed", explanation.assumed),
        ("days", explanation.days),
    ):
        if fields:
            summary.append((what, ", ".join(fields)))
    if explanation.derived_status is not None:
        summary.append(
            ("derived", f"{explanation.derived_status}, if derive_status is on and the body gives none")
        )
    out.table(("", ""), summary)


def _show_paths(out: Output, explanation: Explanation) -> None:
    """Show where everything lies in a body that is no event: one of these is the pointer that would help."""
    if explanation.paths:
        out.table(("member", "holds"), [(path.pointer, path.type) for path in explanation.paths])
        out.text("")
