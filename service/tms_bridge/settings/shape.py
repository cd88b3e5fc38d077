"""Fits what TOML gave to the structs of `settings.model`, collecting every problem on the way.

msgspec would stop at the first problem and may quote a value, which can be a secret; so this walks the
types that msgspec reports, fills in references, and leaves msgspec only the making of structs.
"""

import difflib
import math
from collections.abc import Iterable, Mapping
from typing import Final, TypeGuard

import msgspec
from msgspec import inspect

from tms_bridge.settings.interpolation import Interpolation, Unresolved, refers, spells_out_secret
from tms_bridge.settings.model import HIDDEN, Mistake, Settings, join

_TRUTH: Final = {"true": True, "false": False}


class _Misfit(Exception):  # noqa: N818 - states the fact
    """A value does not fit its key; the text says what is wanted."""


class Shape:
    """One walk over a document: what fits is returned, what does not is in `problems`."""

    def __init__(self, interpolation: Interpolation) -> None:
        self._interpolation = interpolation
        self.problems: list[Mistake] = []
        self.literal_secrets: list[str] = []

    def fit(self, document: Mapping[str, object]) -> Settings | None:
        """Return the settings, or None where there are problems."""
        fitted = self._table(document, struct_type(Settings), "")
        return None if self.problems else msgspec.convert(fitted, Settings)

    def _value(self, value: object, wanted: inspect.Type, key: str) -> object:
        try:
            return self._try(value, wanted, key)
        except (_Misfit, Unresolved) as error:
            self.problems.append(Mistake(key, str(error)))
            return None

    def _try(self, value: object, wanted: inspect.Type, key: str) -> object:
        if isinstance(wanted, inspect.Metadata):
            self._note_secret(value, wanted, key)
            return self._try(value, wanted.type, key)
        if isinstance(wanted, inspect.UnionType):
            return self._try(value, _alternative(value, wanted), key)
        if isinstance(wanted, inspect.StructType) and _is_table(value):
            return self._table(value, wanted, key)
        if isinstance(wanted, inspect.DictType) and _is_table(value):
            return {
                name: self._value(item, wanted.value_type, join(key, name)) for name, item in value.items()
            }
        if isinstance(wanted, inspect.VarTupleType) and isinstance(value, list):
            return [self._value(item, wanted.item_type, f"{key}[{at}]") for at, item in enumerate(value)]
        return self._scalar(value, wanted)

    def _table(self, table: Mapping[str, object], wanted: inspect.StructType, key: str) -> dict[str, object]:
        fields = {field.name: field for field in wanted.fields}
        self.problems += [
            Mistake(join(key, name), _unknown(name, fields)) for name in table if name not in fields
        ]
        self.problems += [
            Mistake(join(key, name), "is missing; it has no default")
            for name, field in fields.items()
            if field.required and name not in table
        ]
        return {
            name: self._value(table[name], field.type, join(key, name))
            for name, field in fields.items()
            if name in table
        }

    def _scalar(self, value: object, wanted: inspect.Type) -> object:
        if isinstance(value, str):
            filled_in = refers(value)
            value = self._interpolation.expand(value)
            if filled_in:
                value = _from_text(value, wanted)
        if not _is_of(value, wanted):
            raise _Misfit(f"must be {_describe(wanted)}, not {_kind(value, wanted)}")
        return value

    def _note_secret(self, value: object, wanted: inspect.Metadata, key: str) -> None:
        hidden = wanted.extra is not None and HIDDEN in wanted.extra
        if hidden and isinstance(value, str) and spells_out_secret(value):
            self.literal_secrets.append(key)


def struct_type(struct: type[msgspec.Struct]) -> inspect.StructType:
    """Return what msgspec knows of a struct's fields."""
    info = inspect.type_info(struct)
    assert isinstance(info, inspect.StructType)  # noqa: S101 - tells mypy what msgspec promises
    return info


def _is_table(value: object) -> TypeGuard[Mapping[str, object]]:
    return isinstance(value, dict)


def _alternative(value: object, union: inspect.UnionType) -> inspect.Type:
    """Return the alternative that takes this kind of value; the first stands for all where none does."""
    return next((kind for kind in union.types if _could_be(value, kind)), union.types[0])


def _could_be(value: object, wanted: inspect.Type) -> bool:
    if isinstance(value, list):
        return isinstance(wanted, inspect.VarTupleType)
    if _is_table(value):
        return isinstance(wanted, inspect.StructType | inspect.DictType)
    return isinstance(_bare(wanted), inspect.StrType)


def _bare(wanted: inspect.Type) -> inspect.Type:
    return wanted.type if isinstance(wanted, inspect.Metadata) else wanted


def _from_text(text: str, wanted: inspect.Type) -> object:
    """Read a number or truth value from text that came from the environment or a file."""
    try:
        if isinstance(wanted, inspect.IntType):
            return int(text)
        if isinstance(wanted, inspect.FloatType):
            return float(text)
    except ValueError:
        return text
    if isinstance(wanted, inspect.BoolType):
        return _TRUTH.get(text.strip().lower(), text)
    return text


def _is_of(value: object, wanted: inspect.Type) -> bool:
    if isinstance(wanted, inspect.LiteralType):
        return value in wanted.values
    if isinstance(wanted, inspect.BoolType):
        return isinstance(value, bool)
    if isinstance(wanted, inspect.StrType):
        return isinstance(value, str)
    if isinstance(wanted, inspect.IntType):
        return isinstance(value, int) and not isinstance(value, bool) and _within(value, wanted)
    if isinstance(wanted, inspect.FloatType):
        return isinstance(value, int | float) and not isinstance(value, bool) and _within(value, wanted)
    return False


def _within(value: float, wanted: inspect.IntType | inspect.FloatType) -> bool:
    return (
        math.isfinite(value)
        and (wanted.ge is None or value >= wanted.ge)
        and (wanted.gt is None or value > wanted.gt)
        and (wanted.le is None or value <= wanted.le)
    )


def _describe(wanted: inspect.Type) -> str:
    if isinstance(wanted, inspect.LiteralType):
        return "one of " + ", ".join(f'"{value}"' for value in wanted.values)
    if isinstance(wanted, inspect.IntType):
        return "an integer" + bounds(wanted)
    if isinstance(wanted, inspect.FloatType):
        return "a number" + bounds(wanted)
    return _NOUNS[type(wanted)]


_NOUNS: Final[dict[type[inspect.Type], str]] = {
    inspect.StrType: "a string",
    inspect.BoolType: "true or false",
    inspect.VarTupleType: "a list",
    inspect.StructType: "a table",
    inspect.DictType: "a table",
}


def bounds(wanted: inspect.IntType | inspect.FloatType) -> str:
    """Return the bounds of a number in words, with a leading space; empty where there are none."""
    if wanted.ge is not None and wanted.le is not None:
        return f" from {wanted.ge} to {wanted.le}"
    if wanted.gt is not None:
        return f" over {wanted.gt}"
    return "" if wanted.ge is None else f" of at least {wanted.ge}"


def _kind(value: object, wanted: inspect.Type) -> str:
    """Name what was given; only a number where one is wanted is shown, as anything else may be a secret."""
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return str(value) if isinstance(wanted, inspect.IntType | inspect.FloatType) else "a number"
    if isinstance(value, str):
        return "this text"
    if isinstance(value, list):
        return "a list"
    return "a table" if _is_table(value) else "a date or time"


def _unknown(name: str, fields: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, fields, n=1)
    hint = f"did you mean {close[0]}?" if close else "known here: " + ", ".join(fields)
    return f"unknown key; {hint}"
