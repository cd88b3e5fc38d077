"""JSON Schemas of the messages, with the meaning that the docstrings give each member.

A schema says what the package says: words that nobody knows yet are allowed, and what is always sent is
required. Members that came later than the first version are not, since an archive may hold messages without.
"""

import enum
import re
from collections.abc import Iterator
from typing import Any

import msgspec

from tms_events.class_ import Class
from tms_events.course_assignment import CourseAssignment
from tms_events.event import ClassChanged, CourseAssignmentChanged
from tms_events.reading import Reading
from tms_events.status import ClassStatus, CourseAssignmentStatus, StatusFrom
from tms_events.trigger import Trigger
from tms_events.wire import SCHEMA_VERSION, data_schema

Schema = dict[str, Any]  # JSON: a schema is read by validators, not by us

DIALECT = "https://json-schema.org/draft/2020-12/schema"
MESSAGES: dict[Trigger, type[CourseAssignmentChanged | ClassChanged]] = {
    Trigger.COURSE_ASSIGNMENT: CourseAssignmentChanged,
    Trigger.CLASS: ClassChanged,
}
"""The struct of each trigger's messages."""

UNION_ID = f"urn:tms-events:event:{SCHEMA_VERSION}"

_STRUCTS: dict[str, type[msgspec.Struct]] = {
    struct.__name__: struct
    for struct in (CourseAssignmentChanged, ClassChanged, CourseAssignment, Class, Reading)
}
_WORDS: dict[str, type[enum.StrEnum]] = {
    words.__name__: words for words in (CourseAssignmentStatus, ClassStatus, StatusFrom)
}
_LATER = {("Class", "time_zone")}
_MEMBER = re.compile(r"^ {4,8}(\w+): (.*)$")
_PYTHON = re.compile(r"\bNone\b")


def event_schema(trigger: Trigger) -> Schema:
    """Return the schema of one trigger's messages, whole in itself."""
    name = MESSAGES[trigger].__name__
    parts = definitions("#/$defs/{name}")
    needed = {part: parts[part] for part in _needed(name, parts)}
    return {
        "$schema": DIALECT,
        "$id": data_schema(trigger),
        "title": name,
        "$ref": f"#/$defs/{name}",
        "$defs": needed,
    }


def union_schema() -> Schema:
    """Return the schema of any message, whole in itself."""
    parts = definitions("#/$defs/{name}")
    names = [struct.__name__ for struct in MESSAGES.values()]
    return {
        "$schema": DIALECT,
        "$id": UNION_ID,
        "title": "Event",
        "description": "Any message of the bridge; the member trigger says which.",
        "oneOf": [{"$ref": f"#/$defs/{name}"} for name in names],
        "$defs": parts,
    }


def definitions(ref_template: str) -> dict[str, Schema]:
    """Return the schema of each struct and enumeration by its name."""
    _, parts = msgspec.json.schema_components(MESSAGES.values(), ref_template=ref_template)
    return {
        name: _struct(_STRUCTS[name], part) if name in _STRUCTS else _open(_WORDS[name])
        for name, part in parts.items()
    }


def _open(words: type[enum.StrEnum]) -> Schema:
    # Validators take any word; people and generators see those that there are today.
    meaning = (
        f"{_sentence(words.__doc__ or '')} Later versions may add words: take those that you do not know."
    )
    known = {"type": "string", "enum": [word.value for word in words]}
    return {"title": words.__name__, "description": meaning, "anyOf": [known, {"type": "string"}]}


def _struct(struct: type[msgspec.Struct], part: Schema) -> Schema:
    text, _, attributes = (struct.__doc__ or "").partition("Attributes:")
    meanings = dict(_meanings(attributes)) | {"trigger": "Which trigger event of TMS it was."}
    members = {
        name: {key: value for key, value in member.items() if key != "default"}
        | {"description": meanings[name]}
        for name, member in part["properties"].items()
    }
    if "trigger" in members:
        members["trigger"] |= {"type": "string"}
    return {
        "title": struct.__name__,
        "description": _sentence(text),
        "type": "object",
        "properties": members,
        "required": [name for name in members if _always_sent(struct, name)],
    }


def _always_sent(struct: type[msgspec.Struct], name: str) -> bool:
    fields = {field.encode_name: field for field in msgspec.structs.fields(struct)}
    may_be_left_out = name in fields and fields[name].default is not msgspec.NODEFAULT
    omitted = struct.__struct_config__.omit_defaults and may_be_left_out
    return not omitted and (struct.__name__, name) not in _LATER


def _needed(name: str, parts: dict[str, Schema]) -> list[str]:
    found = [name]
    for part in found:  # grows while it is read
        found += [other for other in _references(parts[part]) if other not in found]
    return found


def _references(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        if "$ref" in value:
            yield str(value["$ref"]).rpartition("/")[2]
        for member in value.values():
            yield from _references(member)


def _meanings(attributes: str) -> Iterator[tuple[str, str]]:
    name, words = "", list[str]()
    for line in attributes.splitlines():
        if found := _MEMBER.match(line):
            if name:
                yield name, _sentence(" ".join(words))
            name, words = found[1].rstrip("_"), [found[2]]
        else:
            words.append(line)
    yield name, _sentence(" ".join(words))


def _sentence(text: str) -> str:
    # Readers of other languages know null, not None.
    return _PYTHON.sub("null", " ".join(text.split()))
