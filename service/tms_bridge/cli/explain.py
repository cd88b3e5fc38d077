"""The command `explain`."""

from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import click

from tms_bridge.cli.configuration import load, source_of
from tms_bridge.cli.output import Output, common_options, visible
from tms_bridge.cli.program import DONE, NO
from tms_bridge.ingest import Explanation, explain, rules_of
from tms_events import Trigger


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
        _show(out, explanation)
    return DONE if explanation.understood else NO


def _moment(text: str | None) -> datetime:
    if text is None:
        return datetime.now(UTC)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter("write it as 2026-03-19T15:17:55Z", param_hint="--received-at") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _show(out: Output, explanation: Explanation) -> None:
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
