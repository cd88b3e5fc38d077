"""The tolerant path: aliases, wrappers, odd encodings and pointers; it also tells what it found where.

What it cannot read is in one of two tiers. Without an id, or with statuses that contradict each other, nobody
can tell what happened to whom: the body is `Undecodable`. Any other member is None and named as unread.
"""

from datetime import date, datetime
from typing import Final, cast

import msgspec

from tms_bridge.errors import Undecodable
from tms_bridge.ingest.decoded import STATUS, Decoded
from tms_bridge.ingest.fields import FIELDS, ID, STATUS_ALIASES, Field, is_other_trigger
from tms_bridge.ingest.members import (
    Members,
    Number,
    Pointer,
    Value,
    kind,
    parse,
    resolve,
    shortened,
    spelling,
    write_pointer,
)
from tms_bridge.ingest.model import Found, Model, find_model, holds_other_trigger
from tms_bridge.ingest.plain import SentStatus, UnreadableValue, in_utc, is_blank, zone_of
from tms_bridge.ingest.rules import Rules
from tms_bridge.ingest.values import READERS, midnight, read_status
from tms_events import Class, ClassStatus, CourseAssignment, Trigger
from tms_events.reading import NOTHING_TO_SAY, Reading

SWAPPED: Final = "the body of the other trigger: are the two URLs swapped in TMS?"


class Find(msgspec.Struct, frozen=True):
    """One field: where it was found, what stood there, and how it was read.

    Attributes:
        field: its name in the typed entity, or `status`.
        pointer: JSON Pointer to the member in the body; None where there is none.
        sent: JSON text of what stands there, shortened; None where nothing does.
        read: what it was read as.
        how: in which encoding.
    """

    field: str
    pointer: str | None
    sent: str | None
    read: str | None
    how: str


class _Document:
    """One document being read for one trigger."""

    def __init__(self, document: Value, rules: Rules, finds: list[Find] | None) -> None:
        self.document = document
        self.rules = rules
        self.finds = finds
        self.unread: list[str] = []
        self.assumed: list[str] = []
        self.days: list[str] = []
        self.zone: str | None = None
        self.model = self._find_model()

    def _find_model(self) -> Model:
        pointer = self.rules.pointers.get("id")
        if pointer is None:
            model = find_model(self.document, self.rules.trigger)
            self._refuse_other_trigger(model)
            return model
        # The other members lie beside the id, wherever a source says that it is.
        holder = resolve(self.document, pointer[:-1])
        return Model(pointer[:-1], holder if isinstance(holder, Members) else Members([]))

    def _refuse_other_trigger(self, model: Model) -> None:
        trigger = self.rules.trigger
        if self.rules.pointers:
            return  # who says where the fields lie knows the body better than these tables
        has_id = bool(model.ids(trigger))
        if is_other_trigger(model.names, trigger) if has_id else holds_other_trigger(self.document, trigger):
            raise Undecodable(SWAPPED)

    def candidates(self, field: str, aliases: tuple[str, ...]) -> list[Found]:
        """Return the members that could be a field, those that hold a value first."""
        pointer = self.rules.pointers.get(field)
        if pointer is not None:
            return [Found(pointer, resolve(self.document, pointer))]
        found = self.model.statuses(aliases) if field == STATUS else self.model.named(aliases)
        return sorted(found, key=lambda one: is_blank(one.value))

    def side(self, field: Field) -> object:
        """Return what a side member holds: None where nothing does, or nothing that can be read."""
        try:
            found = self.candidates(field.name, field.aliases)
        except Undecodable as error:
            self._unread(field, None, str(error))
            return None
        problem: tuple[Found, str] | None = None
        how = None
        for one in found:
            try:
                value, how = self._read(field, one.value)
            except UnreadableValue as error:
                problem = problem or (one, str(error))
                continue
            if value is not None:
                self.note(field.name, one, value, how)
                return value
        if problem is not None:
            self._unread(field, *problem)
        else:
            self.note(field.name, found[0] if found else None, None, how or "not there")
        return None

    def _unread(self, field: Field, found: Found | None, why: str) -> None:
        self.unread.append(field.name)
        self.note(field.name, found, None, f"unreadable: {why}")

    def _read(self, field: Field, value: Value) -> tuple[object, str]:
        read, how = READERS[field.kind](value)
        if not isinstance(read, date):
            return read, how
        if isinstance(read, datetime) and read.tzinfo is not None:
            return in_utc(read, None), how
        moment = in_utc(read if isinstance(read, datetime) else midnight(read), self.zone)
        self.assumed.append(field.name)
        if not isinstance(read, datetime):
            self.days.append(field.name)
            how += ": its midnight"
        return moment, f"{how}, {'taken as UTC' if self.zone is None else f'by the clocks of {self.zone}'}"

    def note(self, field: str, found: Found | None, read: object, how: str) -> None:
        """Keep what was found where, if `explain` wants to know."""
        if self.finds is None:
            return
        pointer, sent = (
            (None, None) if found is None else (write_pointer(found.pointer), spelling(found.value))
        )
        self.finds.append(Find(field, pointer, sent, None if read is None else shortened(str(read)), how))

    def sides(self) -> dict[str, object]:
        """Return all side members by field."""
        values: dict[str, object] = {}
        for field in FIELDS[self.rules.trigger]:
            values[field.name] = self.side(field)
            if field.name == "time_zone_id":
                self.zone = self._zone(values[field.name])
        return values

    def _zone(self, told: object) -> str | None:
        zone = zone_of(told) if isinstance(told, str) else None
        if zone is None and isinstance(told, str) and told.strip():
            self.unread.append("time_zone")
        self.note("time_zone", None, zone, "follows from time_zone_id" if zone else "no zone is known")
        return zone

    def reading(self) -> Reading:
        """Return what a consumer should know."""
        if not self.unread and not self.assumed:
            return NOTHING_TO_SAY
        return Reading(unread=tuple(self.unread), assumed=tuple(self.assumed), days=tuple(self.days))


def decode_tolerantly(value: bytes, rules: Rules, finds: list[Find] | None = None) -> Decoded:
    """Decode a JSON value by every rule that is known, adding to `finds` what was found on the way.

    Raises:
        Undecodable: it is no event of this trigger; the text says why.
    """
    return decode_document(parse(value), rules, finds)


def decode_document(parsed: Value, rules: Rules, finds: list[Find] | None = None) -> Decoded:
    """Decode a document; where finds are wanted, it reads on after what makes it no event.

    Raises:
        Undecodable: as `decode_tolerantly`.
    """
    document = _Document(parsed, rules, finds)
    problem: Undecodable | None = None
    number, status = 0, SentStatus(ClassStatus.UNKNOWN, None)
    try:
        number = _id(document)
    except Undecodable as error:
        problem = error
    try:
        status = _status(document)
    except Undecodable as error:
        problem = problem or error
    if problem is not None and finds is None:
        raise problem
    values = document.sides() | {"id": number}
    if problem is not None:
        raise problem
    return _decoded(values, status, document)


def _decoded(values: dict[str, object], status: SentStatus, document: _Document) -> Decoded:
    reading = document.reading()
    if document.rules.trigger is Trigger.COURSE_ASSIGNMENT:
        return Decoded(msgspec.convert(values, CourseAssignment), status.word, status.raw, reading=reading)
    values |= {"confirmation_status_id": status.number, "time_zone": document.zone}
    return Decoded(msgspec.convert(values, Class), status.word, status.raw, reading=reading)


def _id(document: _Document) -> int:
    """Return the one id that can be read, noting each member that is called so; raises Undecodable."""
    field = ID[document.rules.trigger]
    found = [one for one in document.candidates("id", field.aliases) if not is_blank(one.value)]
    ids: list[tuple[Found, int]] = []
    problem: tuple[Found, UnreadableValue] | None = None
    for one in found:
        try:
            number, how = READERS[field.kind](one.value)
        except UnreadableValue as error:
            problem = problem or (one, error)
            document.note("id", one, None, f"no id: {error}")
            continue
        document.note("id", one, number, how)
        ids.append((one, cast("int", number)))  # None is for blanks, and these are out
    if len({number for _, number in ids}) > 1:
        places = _places([one for one, _ in ids])
        raise Undecodable(f"{places} are different ids, so nobody can tell which is meant")
    if ids:
        return ids[0][1]
    if problem is None:
        document.note("id", None, None, "not there")
        raise Undecodable(_no_id(document))
    place, why = problem
    raise Undecodable(
        f"the id at {write_pointer(place.pointer)} is {_without_text(place.value)}, which {why}"
    )


def _without_text(value: Value) -> str:
    """Spell a value for a list or a log, which show nothing of a body unasked: a text may be a name."""
    return kind(value) if isinstance(value, str) and not isinstance(value, Number) else spelling(value)


def _no_id(document: _Document) -> str:
    pointer = document.rules.pointers.get("id")
    if pointer is not None:
        return f"nothing is at {write_pointer(pointer)}, where the settings say that the id is"
    where = write_pointer(document.model.pointer) or "the body"
    there = ", ".join(name for name, _ in document.model.members.pairs[:8])
    own_id = "ClassId" if document.rules.trigger is Trigger.CLASS else "CourseAssignmentId"
    return f"{where} has no Id or {own_id}; its members are: {there[:120] or 'none'}"


def _status(document: _Document) -> SentStatus:
    """Return what the body tells of its status; an object beside a word or number never vetoes it."""
    trigger = document.rules.trigger
    found = document.candidates(STATUS, STATUS_ALIASES[trigger])
    told: list[tuple[Found, SentStatus]] = []
    for one in found:
        try:
            status = read_status(one.value, trigger)
        except UnreadableValue as error:
            document.note(STATUS, one, None, f"unreadable: {error}")
            continue
        told.append((one, status))
        document.note(STATUS, one, status.word, _manner(status))
    if not found:
        document.note(STATUS, None, None, "not there")
    chosen = _chosen(told, trigger)
    if chosen is None:
        if any(not is_blank(one.value) for one in found):
            document.unread.append(STATUS)
        return read_status(None, trigger)
    place, status = chosen
    if isinstance(place.value, Number) and status.number is None and trigger is Trigger.CLASS:
        document.unread.append(STATUS)  # a fraction: its spelling is the raw status, but no number
    return status


def _chosen(told: list[tuple[Found, SentStatus]], trigger: Trigger) -> tuple[Found, SentStatus] | None:
    scalars = [one for one in told if not isinstance(one[0].value, Members)]
    for rank in (scalars, told):
        known = [one for one in rank if one[1].word != ClassStatus.UNKNOWN]
        if len({status.word for _, status in known}) > 1:
            raise Undecodable(
                f"{_places([one for one, _ in known])} give different statuses; say which counts with "
                f"[sources.NAME.fields.{trigger}] status = a JSON Pointer"
            )
        if known:
            return known[0]
    words = [one for one in (*scalars, *told) if one[1].raw is not None]
    return words[0] if words else None


def _manner(status: SentStatus) -> str:
    if status.raw is None:
        return "tells none"
    if status.word == ClassStatus.UNKNOWN:
        return "a status that nobody knows yet"
    return "word" if status.raw.strip()[:1].isalpha() else "ConfirmationStatusId"


def _places(found: list[Found]) -> str:
    return " and ".join(write_pointer(one.pointer) for one in found)


def paths(document: Value, at_most: int) -> list[tuple[Pointer, Value]]:
    """Return the members of a document with their places, depth first, up to a number of them."""
    found: list[tuple[Pointer, Value]] = []
    waiting: list[tuple[Pointer, Value]] = [((), document)]
    while waiting and len(found) <= at_most:
        pointer, value = waiting.pop()
        if pointer:
            found.append((pointer, value))
        inner = value.pairs if isinstance(value, Members) else []
        if isinstance(value, list):
            inner = [(str(at), element) for at, element in enumerate(value[:at_most])]
        waiting.extend(((*pointer, name), held) for name, held in reversed(inner))
    return found[:at_most]
