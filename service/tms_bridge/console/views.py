"""Rows, the story of one event, and the reading of a captured body, as the templates show them. Pure."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec

from tms_bridge.calls import CallRow
from tms_bridge.console.cards import TRIGGERS
from tms_bridge.console.format import clock, counted, escaped, span
from tms_bridge.ingest import Explanation, Find, explain, rules_of
from tms_bridge.message import Message
from tms_bridge.settings.model import Source
from tms_bridge.words.calls import Tone, words_of
from tms_events import Trigger


class RowView(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the list."""

    number: int
    path: str
    at: float
    count: int
    source: str
    asked: str
    trigger: str
    http_status: int
    extra: str
    tone: Tone
    what: str
    then: str
    entity: str
    address: str
    addresses: int
    id: str


class Step(msgspec.Struct, frozen=True):
    """One step of an event's story."""

    at: float
    tone: Tone
    what: str
    more: str


def view_of(row: CallRow, sources: Collection[str]) -> RowView:
    """Return a row as it is shown."""
    call, words = row.call, words_of(row, sources)
    return RowView(
        number=row.number,
        path=f"/events/{call.id}" if row.fate is not None else f"/calls/{call.request_id}",
        at=call.at,
        count=row.count,
        source=call.source,
        asked=call.path,
        trigger=TRIGGERS.get(call.trigger, "").lower(),
        http_status=call.http_status,
        extra=_EXTRAS.get(call.outcome, ""),
        tone=words.tone,
        what=escaped(words.what, _LONGEST),
        then=escaped(words.then, _LONGEST),
        entity=entity_of(row),
        address=call.address,
        addresses=row.addresses,
        id=call.id,
    )


def entity_of(row: CallRow) -> str:
    """Name the course assignment or class that a call was about; empty where none was read."""
    call = row.call
    return f"{call.trigger.replace('_', ' ')} {call.entity}" if call.entity else ""


_LONGEST: Final = 700
_EXTRAS: Final = {"duplicate": "again", "looked": "looked", "held": "held"}


def story_of(rows: Sequence[CallRow], now: float) -> list[Step]:
    """Return what happened to an event, from its first call on."""
    first = rows[0]
    call, fate = first.call, first.fate
    steps = [
        Step(call.at, "ok", "TMS called", f"{call.method} `{call.path}` from {_caller(first)}"),
    ]
    if call.status:
        steps.append(
            Step(call.at, "ok", "Understood", f"{entity_of(first)} is {call.status.replace('_', ' ')}.")
        )
    if fate is not None and fate.committed:
        steps.append(Step(fate.committed, "ok", "Durable", "From here on it cannot be lost."))
        steps.append(_answer(first, fate.committed))
        if fate.published:
            steps.append(
                Step(fate.published, "ok", "Published", f"With the routing key `{call.routing_key}`.")
            )
        steps.append(_end(first, now))
    steps += [
        Step(
            row.call.at,
            "ok",
            "TMS called again",
            f"After {span(row.call.at - call.at)}. Recognised: answered {row.call.http_status} with the same "
            "id, nothing published twice.",
        )
        for row in rows[1:]
    ]
    return sorted(steps, key=lambda step: step.at)


def _caller(row: CallRow) -> str:
    call = row.call
    listed = "on the list" if call.listed else "on no list"
    return f"{call.address}, {listed}; credential {call.credential or 'none'}."


def _answer(row: CallRow, at: float) -> Step:
    call = row.call
    if call.answered:
        return Step(at, "ok", f"Answered {call.http_status}", f"After {span(call.duration_ms / 1000)}.")
    return Step(at, "warn", f"Answered {call.http_status}", "TMS had hung up before the answer was through.")


def _end(row: CallRow, now: float) -> Step:
    """Say where it stands: at the broker, or why not yet."""
    call, fate = row.call, row.fate
    if fate is None or not fate.confirmed:
        words = words_of(row, ())
        return Step(now, words.tone, "Not delivered yet", f"{words.what} {words.then}")
    took = span(fate.confirmed - call.at)
    if fate.state == "unroutable":
        more = f"No queue is bound to `{call.routing_key}`; it waits in `tms.unroutable`."
        return Step(fate.confirmed, "warn", "Returned", more)
    more = f"RabbitMQ has it on every queue that is bound to the key, {took} after the call."
    return Step(fate.confirmed, "ok", "Confirmed", more)


def since_words(first_at: float, last_at: float, count: int, now: float) -> str:
    """Say when a folded row's calls came."""
    first, last = clock(first_at, now), clock(last_at, now)
    if count == 1:
        return f"at {last}"
    return f"{count:,} times, " + (f"at {last}" if first == last else f"{first} to {last}")


def happened(row: CallRow, now: float) -> list[tuple[str, str]]:
    """Return what is known of a call that brought no event."""
    call = row.call
    return [
        ("Asked", f"{call.method} `{call.path}`"),
        ("Came", since_words(row.first_at, call.at, row.count, now)),
        ("From", f"`{call.address or 'an address that cannot be determined'}`"),
        ("Connection from", f"`{call.peer}`"),
        ("Answer", f"{call.http_status}, after {span(call.duration_ms / 1000)}"),
        *([("Credential", f"{call.credential} was right")] if call.credential else []),
    ]


def names_of(row: CallRow, *retries: CallRow, message: Message | None = None) -> list[tuple[str, str]]:
    """Return the names by which logs, traces and consumers know a call and its event."""
    call = row.call
    ids = ", ".join(f"`{one.call.request_id}`" for one in (row, *retries))
    names = [
        ("Event id", call.id if row.fate is not None else ""),
        ("Quarantine id", call.id if row.fate is None else ""),
        ("Source", call.source),
        ("Trigger", call.trigger),
        ("Routing key", call.routing_key),
        ("Trace", message.traceparent if message is not None else ""),
        ("Digest", message.digest if message is not None else ""),
    ]
    return [
        *((name, f"`{value}`") for name, value in names if value),
        ("Request ids" if retries else "Request id", ids),
    ]


class BodyReading(msgspec.Struct, frozen=True):
    """What a body would be.

    Attributes:
        says: the outcome in one sentence.
        fields: field, where it was found, what it was read as, and how.
        absent: the fields that the body does not have.
        pointers: every member of the body, to point at.
        lines: what to put into the configuration, where pointers were tried that it does not have.
        in_force: what it is by the configuration in force; empty where that cannot read it.
    """

    tone: Tone
    word: str
    says: str
    fields: Sequence[tuple[str, str, str, str]]
    absent: Sequence[str]
    pointers: Sequence[str]
    lines: str = ""
    in_force: str = ""


def read(  # noqa: PLR0913 - a body, whose it is, what is tried, and whether it was opened
    body: bytes,
    name: str,
    source: Source,
    trigger: str,
    at: datetime,
    *,
    tried: Mapping[str, str],
    is_open: bool,
) -> BodyReading:
    """Return how a source's body would be read with some pointers tried on top of its configuration.

    The values that stand in it are told only where it was opened.
    """
    pointers = {field: pointer for field, pointer in tried.items() if pointer}
    now = _explain(body, name, source, trigger, at)
    then = _explain(body, name, _with(source, trigger, pointers), trigger, at) if pointers else now
    return BodyReading(
        "ok" if then.understood else "warn",
        _word(then, pointers),
        _says(then),
        [
            (
                f"`{find.field}`",
                f"`{find.pointer}`",
                f"`{escaped(str(find.read))}`" if is_open else "not opened",
                find.how,
            )
            for find in then.fields
            if find.pointer
        ],
        [find.field for find in then.fields if not find.pointer],
        [path.pointer for path in then.paths],
        _lines(name, trigger, pointers) if then.understood and pointers else "",
        _event(now) if now.understood else "",
    )


def _value(find: Find) -> str:
    return f"`{escaped(str(find.read))}`"


def _explain(body: bytes, name: str, source: Source, trigger: str, at: datetime) -> Explanation:
    return explain(body, rules_of(name, source)[Trigger(trigger)], at)


def _with(source: Source, trigger: str, pointers: Mapping[str, str]) -> Source:
    fields = {**source.fields, trigger: {**source.fields.get(trigger, {}), **pointers}}
    return msgspec.structs.replace(source, fields=fields)


def _word(explanation: Explanation, pointers: Mapping[str, str]) -> str:
    if not explanation.understood:
        return "Not readable"
    return "Readable with these pointers" if pointers else "Readable"


def _says(explanation: Explanation) -> str:
    if not explanation.understood:
        return f"It is not understood: {explanation.reason}."
    there = sum(1 for find in explanation.fields if find.pointer)
    unread = f"; {', '.join(explanation.unread)} cannot be read" if explanation.unread else ""
    fields = f"{counted(there, 'field')} of {len(explanation.fields)}"
    return f"It is {_event(explanation)}. {fields} {'is' if there == 1 else 'are'} there{unread}."


def _event(explanation: Explanation) -> str:
    status = (explanation.status or "").replace("_", " ")
    entity = f"{explanation.trigger.replace('_', ' ')} {explanation.entity}"
    return f"{entity}, {status}, on `{explanation.routing_key}`"


def _lines(name: str, trigger: str, pointers: Mapping[str, str]) -> str:
    table = f"[sources.{name}.fields.{trigger}]"
    return "\n".join([table, *(f'{field} = "{_toml(pointer)}"' for field, pointer in pointers.items())])


def _toml(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
