"""JSON Schemas of the messages, with the meaning that the docstrings give each member."""

import re
from collections.abc import Iterator

import msgspec

from tms_bridge.broker.properties import data_schema
from tms_events import ClassChanged, CourseAssignmentChanged

Schema = dict[str, object]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
MESSAGES: dict[str, type[msgspec.Struct]] = {
    "course_assignment": CourseAssignmentChanged,
    "class": ClassChanged,
}

_MEMBER = re.compile(r"^ {4,8}(\w+): (.*)$")


def json_schema(trigger: str) -> Schema:
    """Return the schema of one trigger's messages, whole in itself."""
    schema = msgspec.json.schema(MESSAGES[trigger])
    return {"$schema": DIALECT, "$id": data_schema(trigger), **schema, "$defs": explained(schema["$defs"])}


def component_schemas() -> Schema:
    """Return the schemas of all messages and their parts, as an AsyncAPI document holds them."""
    _, components = msgspec.json.schema_components(
        MESSAGES.values(), ref_template="#/components/schemas/{name}"
    )
    return explained(components)


def explained(definitions: dict[str, Schema]) -> Schema:
    """Give each member its own description, out of its struct's docstring."""
    return {name: _explain(definition) for name, definition in definitions.items()}


def _explain(definition: Schema) -> Schema:
    text, _, attributes = str(definition.get("description", "")).partition("Attributes:")
    meanings = dict(_members(attributes))
    whole = {**definition, "description": " ".join(text.split())}
    properties = definition.get("properties")
    if isinstance(properties, dict):
        whole["properties"] = {
            name: {**member, "description": meanings[name]} if name in meanings else member
            for name, member in properties.items()
        }
    return whole


def _members(attributes: str) -> Iterator[tuple[str, str]]:
    name, words = "", list[str]()
    for line in attributes.splitlines():
        if found := _MEMBER.match(line):
            if name:
                yield name, " ".join(words)
            name, words = found[1].rstrip("_"), [found[2].strip()]
        elif line.strip():
            words.append(line.strip())
    if name:
        yield name, " ".join(words)
