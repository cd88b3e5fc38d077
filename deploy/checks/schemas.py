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

# Groups with Kubernetes' own ending that its servers do not bring.
_ADDED: Final = frozenset({"gateway.networking.k8s.io"})


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
    """Judges objects: Kubernetes' own kinds, and those of the directory of custom resources.

    Attributes:
        unjudged: kinds that passed because no definition of their API group was there.
    """

    def __init__(self, definitions: Path | None) -> None:
        self.unjudged: set[str] = set()
        self._custom: dict[tuple[str, str], Object] = {}
        # The same object comes again in one combination after another, and the schemas are large.
        self._judged: dict[bytes, tuple[str, ...]] = {}
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
            key = msgspec.json.encode(found)
            if key not in self._judged:
                self._judged[key] = tuple(self._judge(found))
            yield from self._judged[key]

    def _judge(self, found: Object) -> Iterator[str]:
        custom = self._custom.get((str(found.get("apiVersion")), str(found.get("kind"))))
        if custom is not None:
            yield from _custom(found, custom)
        elif self._is_foreign(str(found.get("apiVersion"))):
            self.unjudged.add(f"{found.get('kind')} ({found.get('apiVersion')})")
        else:
            yield from _builtin(found)

    def _is_foreign(self, api_version: str) -> bool:
        """Tell whether a group is neither Kubernetes' own nor one that the directory defines."""
        group = api_version.rpartition("/")[0]
        defined = {key[0].rpartition("/")[0] for key in self._custom}
        own = "." not in group or (group.endswith(".k8s.io") and group not in _ADDED)
        return not own and group not in defined


def _builtin(found: Object) -> Iterator[str]:
    kind = found.get("kind")
    try:
        kubernetes_validate.validate(found, KUBERNETES_VERSION, strict=True)
    except kubernetes_validate.ValidationError as error:
        yield f"{kind}: {_place(error)}: {error.message}"
    except kubernetes_validate.SchemaNotFoundError:
        yield f"{kind} ({found.get('apiVersion')}) is unknown, or defined with another version"


def _custom(found: Object, schema: Object) -> Iterator[str]:
    for error in jsonschema.Draft202012Validator(schema).iter_errors(found):
        yield f"{found.get('kind')}: {_place(error)}: {error.message}"


def _place(error: jsonschema.ValidationError) -> str:
    return "/".join(str(step) for step in error.path) or "the object itself"
