"""The configuration reference, in Markdown, from the structs of `settings.model`."""

from collections.abc import Iterator
from typing import Final

import msgspec
from msgspec import inspect

from tms_bridge.settings.model import Settings
from tms_bridge.settings.shape import bounds, struct_type

BEGIN: Final = "<!-- generated from the code: begin -->"
END: Final = "<!-- generated from the code: end -->"
_ITEM: Final = "NAME"
_HEAD: Final = "| key | type | default | meaning |\n| --- | --- | --- | --- |"


def reference() -> str:
    """Return a heading and a table of keys for each table of the TOML file."""
    return "\n\n".join(_tables(struct_type(Settings), ""))


def refresh(document: str) -> str:
    """Return a document with what stands between its two markers replaced by the reference.

    Raises:
        ValueError: it lacks the markers.
    """
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the document has no place for it: {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{reference()}\n\n{END}{after}"


def _tables(struct: inspect.StructType, key: str) -> Iterator[str]:
    """Yield the section of a struct, then those of the structs within."""
    rows = [_row(field) for field in struct.fields if not key or not _is_inner(field.type)]
    if key and rows:
        summary = (struct.cls.__doc__ or "").strip()
        yield f"### `{key}`\n\n{summary}\n\n{_HEAD}\n" + "\n".join(rows)
    for field in struct.fields:
        inner, path = _inner(field.type, f"{key.strip('[]')}.{field.name}".strip("."))
        if inner is not None:
            yield from _tables(inner, path)


def _inner(wanted: inspect.Type, path: str) -> tuple[inspect.StructType | None, str]:
    """Return the struct that a field holds, once, by name or in a list, and how TOML heads its table."""
    wanted = _plain(wanted)
    if isinstance(wanted, inspect.StructType):
        return wanted, f"[{path}]"
    if isinstance(wanted, inspect.DictType):
        return _inner(wanted.value_type, f"{path}.{_ITEM}")
    if isinstance(wanted, inspect.VarTupleType):
        inner, table = _inner(wanted.item_type, path)
        return inner, f"[{table}]"
    return None, path


def _is_inner(wanted: inspect.Type) -> bool:
    return _inner(wanted, "")[0] is not None


def _plain(wanted: inspect.Type) -> inspect.Type:
    """Return a type without its description, and without the None that stands for an absent key."""
    if isinstance(wanted, inspect.Metadata):
        return _plain(wanted.type)
    if isinstance(wanted, inspect.UnionType):
        kinds = [kind for kind in wanted.types if not isinstance(kind, inspect.NoneType)]
        return _plain(kinds[0]) if len(kinds) == 1 else wanted
    return wanted


def _row(field: inspect.Field) -> str:
    schema = field.type.extra_json_schema if isinstance(field.type, inspect.Metadata) else None
    meaning = str((schema or {}).get("description", ""))
    return f"| `{field.name}` | {_name(_plain(field.type))} | {_default(field)} | {meaning} |"


def _name(wanted: inspect.Type) -> str:
    if isinstance(wanted, inspect.UnionType):
        return " or ".join(map(_name, wanted.types))
    if isinstance(wanted, inspect.LiteralType):
        return ", ".join(f"`{value}`" for value in wanted.values)
    if isinstance(wanted, inspect.VarTupleType):
        return f"list of {_name(_plain(wanted.item_type))}s"
    if isinstance(wanted, inspect.IntType):
        return "integer" + bounds(wanted)
    if isinstance(wanted, inspect.FloatType):
        return "number" + bounds(wanted)
    return {inspect.StrType: "string", inspect.BoolType: "true or false"}.get(type(wanted), "table")


def _default(field: inspect.Field) -> str:
    if field.required:
        return "required"
    if field.default is None or field.default is msgspec.NODEFAULT:
        return "none"
    return f"`{_toml(field.default)}`"


def _toml(value: object) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)
