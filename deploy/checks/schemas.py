"""Kubernetes' own schemas, and those of custom resources from a directory of definitions."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import jsonschema  # type: ignore[import-untyped] # ships no types
import kubernetes_validate  # type: ignore[import-untyped] # as above
import msgspec
import yaml

Object = dict[str, object]

KUBERNETES_VERSION: Final = "1.37"


class _Names(msgspec.Struct, frozen=True):
    kind: str


class _OpenApi(msgspec.Struct, frozen=True, rename="camel"):
    open_api_schema: Object = msgspec.field(name="openAPIV3Schema")


class _Version(msgspec.Struct, frozen=True, rename="camel"):
    name: str
    schema: _OpenApi


class _DefinitionSpec(msgspec.Struct, frozen=True):
    group: str
    names: _Names
    versions: tuple[_Version, ...]


class _Definition(msgspec.Struct, frozen=True):
    kind: str
    spec: _DefinitionSpec


class Schemas:
    """Judges objects; what Kubernetes does not know must be defined in the directory of custom resources."""

    def __init__(self, definitions: Path | None) -> None:
        self._custom: dict[tuple[str, str], Object] = {}
        for path in sorted(definitions.glob("*.y*ml")) if definitions else ():
            self._read(path)

    def _read(self, path: Path) -> None:
        for loaded in yaml.safe_load_all(path.read_text()):
            if loaded is None or loaded.get("kind") != "CustomResourceDefinition":
                continue
            spec = msgspec.convert(loaded, _Definition).spec
            for version in spec.versions:
                key = (f"{spec.group}/{version.name}", spec.names.kind)
                self._custom[key] = version.schema.open_api_schema

    def complaints(self, objects: Iterable[Object]) -> Iterator[str]:
        """Yield what is wrong with each object, with its kind and the place in it."""
        for found in objects:
            custom = self._custom.get((str(found.get("apiVersion")), str(found.get("kind"))))
            yield from _custom(found, custom) if custom is not None else _builtin(found)


def _builtin(found: Object) -> Iterator[str]:
    kind = found.get("kind")
    try:
        kubernetes_validate.validate(found, KUBERNETES_VERSION, strict=True)
    except kubernetes_validate.ValidationError as error:
        yield f"{kind}: {_place(error)}: {error.message}"
    except kubernetes_validate.SchemaNotFoundError:
        yield f"{kind} ({found.get('apiVersion')}) is unknown: --crds DIR names where its definition is"


def _custom(found: Object, schema: Object) -> Iterator[str]:
    for error in jsonschema.Draft202012Validator(schema).iter_errors(found):
        yield f"{found.get('kind')}: {_place(error)}: {error.message}"


def _place(error: jsonschema.ValidationError) -> str:
    return "/".join(str(step) for step in error.path) or "the object itself"
