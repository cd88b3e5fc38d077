"""What Pydantic, and with it FastStream and FastAPI, asks of an event that stands in an annotation.

This package does without Pydantic: these functions are called by Pydantic alone.
"""

import importlib
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

CoreSchema = Any  # Pydantic's own type, which only a consumer that has Pydantic could name

_T = TypeVar("_T")


def core_schema(event: type[msgspec.Struct]) -> CoreSchema:
    """Return how Pydantic makes an event of an event or of decoded JSON, and how it serialises one."""
    schemas = importlib.import_module("pydantic_core.core_schema")
    serialization = schemas.plain_serializer_function_ser_schema(msgspec.to_builtins)
    return schemas.no_info_plain_validator_function(_reader(event), serialization=serialization)


def json_schema(event: type[msgspec.Struct]) -> dict[str, object]:
    """Return the JSON Schema of an event, whole in itself: Pydantic moves no definitions but its own."""
    # The schemas are made of the events, which need this module first.
    parts = importlib.import_module("tms_events.artefact.json_schema").definitions("{name}")
    return {name: _whole(member, parts) for name, member in parts[event.__name__].items()}


def _reader(event: type[_T]) -> "Callable[[object], _T]":
    def read(value: object) -> _T:
        # Pydantic knows a ValueError as a value that does not fit, and msgspec's is one.
        return value if isinstance(value, event) else msgspec.convert(value, event)

    return read


def _whole(schema: object, parts: "Mapping[str, object]") -> object:
    if isinstance(schema, list):
        return [_whole(item, parts) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _whole(parts[str(schema["$ref"]).rpartition("/")[2]], parts)
    return {name: _whole(member, parts) for name, member in schema.items()}
