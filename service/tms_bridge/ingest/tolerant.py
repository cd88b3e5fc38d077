"""The tolerant path: aliases, wrappers, odd encodings and pointers; it also tells what it found where."""

import msgspec

from tms_bridge.errors import Undecodable
from tms_bridge.ingest.decoded import Decoded
from tms_bridge.ingest.fields import FIELDS, ID, STATUS_ALIASES, Field
from tms_bridge.ingest.members import Members, Value, parse, shortened, spelling
from tms_bridge.ingest.model import Found, Model, find_model
from tms_bridge.ingest.pointer import resolve, write_pointer
from tms_bridge.ingest.rules import Rules
from tms_bridge.ingest.status import Status, read_status
from tms_bridge.ingest.values import Unreadable
from tms_events import Class, ClassStatus, CourseAssignment, CourseAssignmentStatus, Trigger


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

    def __init__(self, document: Members, rules: Rules, finds: list[Find] | None) -> None:
        self.document = document
        self.rules = rules
        self.finds = finds
        self.model = self._find_model()

    def _find_model(self) -> Model:
        pointer = self.rules.pointers.get("id")
        if pointer is None:
            return find_model(self.document, self.rules.trigger)
        # The other members lie beside the id, wherever a source says that it is.
        holder = resolve(self.document, pointer[:-1])
        return Model(pointer[:-1], holder if isinstance(holder, Members) else Members([]))

    def candidates(self, field: str, aliases: tuple[str, ...]) -> list[Found]:
        """Return the members that could be a field, those that hold a value first."""
        pointer = self.rules.pointers.get(field)
        if pointer is not None:
            return [Found(pointer, resolve(self.document, pointer))]
        found = self.model.named(aliases)
        return sorted(found, key=lambda one: _blank(one.value))

    def value(self, field: Field, found: Found | None) -> object:
        """Read one field at one place, and note the find."""
        value, how = (None, "not there") if found is None else _reading(found, field)
        self.note(field.name, found, value, how)
        return value

    def note(self, field: str, found: Found | None, read: object, how: str) -> None:
        """Keep what was found where, if `explain` wants to know."""
        if self.finds is None:
            return
        pointer, sent = (
            (None, None) if found is None else (write_pointer(found.pointer), spelling(found.value))
        )
        self.finds.append(Find(field, pointer, sent, None if read is None else shortened(str(read)), how))


def decode_tolerantly(value: bytes, rules: Rules, finds: list[Find] | None = None) -> Decoded:
    """Decode a JSON value by every rule that is known, adding to `finds` what was found on the way.

    Raises:
        Undecodable: it is no event of this trigger; the text says why.
    """
    document = _Document(parse(value), rules, finds)
    values: dict[str, object] = {"id": _id(document)}
    status = _status(document)
    for field in FIELDS[rules.trigger]:
        found = document.candidates(field.name, field.aliases)
        values[field.name] = document.value(field, found[0] if found else None)
    return _decoded(values, status, rules.trigger)


def _decoded(values: dict[str, object], status: Status, trigger: Trigger) -> Decoded:
    if trigger is Trigger.COURSE_ASSIGNMENT:
        return Decoded(msgspec.convert(values, CourseAssignment), status.word, status.raw)
    values["confirmation_status_id"] = status.number
    return Decoded(msgspec.convert(values, Class), status.word, status.raw)


def _id(document: _Document) -> int:
    field = ID[document.rules.trigger]
    found = [one for one in document.candidates("id", field.aliases) if not _blank(one.value)]
    if not found:
        raise Undecodable(_no_id(document))
    ids = [document.value(field, one) for one in found]
    if len(set(ids)) > 1:
        raise Undecodable(f"{_places(found)} are different ids, so nobody can tell which is meant")
    number = ids[0]
    assert isinstance(number, int)  # noqa: S101 - read_int gives None for blanks alone, and these are out
    return number


def _no_id(document: _Document) -> str:
    pointer = document.rules.pointers.get("id")
    if pointer is not None:
        return f"nothing is at {write_pointer(pointer)}, where the settings say that the id is"
    where = write_pointer(document.model.pointer) or "the body"
    there = ", ".join(name for name, _ in document.model.members.pairs[:8])
    names = " or ".join(("Id", _own_id(document.rules.trigger)))
    return f"{where} has no {names}; its members are: {there[:120] or 'none'}"


def _own_id(trigger: Trigger) -> str:
    return "ClassId" if trigger is Trigger.CLASS else "CourseAssignmentId"


def _status(document: _Document) -> Status:
    trigger = document.rules.trigger
    found = document.candidates("status", STATUS_ALIASES[trigger])
    told = [(_reading_of_status(one, trigger), one) for one in found]
    for status, one in told:
        document.note("status", one, status.word, _manner(status))
    known = [(status, one) for status, one in told if status.word != "unknown"]
    if len({status.word for status, _ in known}) > 1:
        places = _places([one for _, one in known])
        raise Undecodable(
            f"{places} tell different statuses; say which counts with "
            f"[sources.NAME.fields.{trigger}] status = a JSON Pointer"
        )
    if not told:
        document.note("status", None, None, "not there")
    return (known or told)[0][0] if told else read_status(None, trigger)


def _manner(status: Status) -> str:
    if status.raw is None:
        return "tells none"
    if status.word in {ClassStatus.UNKNOWN, CourseAssignmentStatus.UNKNOWN}:
        return "a status that nobody knows yet"
    return "ConfirmationStatusId" if status.raw.strip().isdecimal() else "word"


def _reading(found: Found, field: Field) -> tuple[object, str]:
    try:
        return field.read(found.value)
    except Unreadable as error:
        raise _undecodable(field.name, found, error) from None


def _reading_of_status(found: Found, trigger: Trigger) -> Status:
    try:
        return read_status(found.value, trigger)
    except Unreadable as error:
        raise _undecodable("status", found, error) from None


def _undecodable(field: str, found: Found, error: Unreadable) -> Undecodable:
    place = write_pointer(found.pointer)
    return Undecodable(f"the {field} at {place} is {spelling(found.value)}, which {error}")


def _blank(value: Value) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _places(found: list[Found]) -> str:
    return " and ".join(write_pointer(one.pointer) for one in found)
