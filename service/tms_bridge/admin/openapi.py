"""The OpenAPI document of the API, made from its table of operations."""

import re
from collections.abc import Iterable
from typing import Final

import msgspec

from tms_bridge.admin.operations import OPERATIONS, Operation, Parameter
from tms_bridge.http.answer import Problem

PREFIX: Final = "/api/v1"
_REFS: Final = "#/components/schemas/{name}"

Json = dict[str, object]


def describe(version: str) -> bytes:
    """Return the document as JSON."""
    types = {operation.answer for operation in OPERATIONS if not isinstance(operation.answer, str)}
    ordered = [*sorted(types, key=lambda struct: struct.__name__), Problem]
    _, schemas = msgspec.json.schema_components(ordered, ref_template=_REFS)
    document = {
        "openapi": "3.1.0",
        "info": {
            "title": "TMS Bridge admin API",
            "version": version,
            "description": "Looks after one replica: its events, outbox and quarantine.",
        },
        "security": [{"token": []}],
        "paths": _paths(OPERATIONS),
        "components": {
            "schemas": schemas,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }
    return msgspec.json.encode(document)


def _paths(operations: Iterable[Operation]) -> dict[str, Json]:
    paths: dict[str, Json] = {}
    for operation in operations:
        paths.setdefault(PREFIX + operation.path, {})[operation.method.lower()] = _operation(operation)
    return paths


def _operation(operation: Operation) -> Json:
    name = getattr(operation.handler, "__name__", "")
    described: Json = {
        "operationId": name,
        "summary": (operation.handler.__doc__ or name).strip(),
        "parameters": [*_path_parameters(operation.path), *map(_query_parameter, operation.query)],
        "responses": {
            "200": _success(operation),
            **{str(code): _problem(code) for code in _codes(operation)},
        },
    }
    if operation.takes:
        schema = {"type": "string"}
        described["requestBody"] = {"required": True, "content": {operation.takes: {"schema": schema}}}
    return described


def _codes(operation: Operation) -> list[int]:
    return sorted({401, 403, 429, *operation.problems})


def _success(operation: Operation) -> Json:
    if isinstance(operation.answer, str):
        return {"description": "A stream.", "content": {operation.answer: {"schema": {"type": "string"}}}}
    text = (operation.answer.__doc__ or "").partition("\n")[0]
    return {"description": text, "content": {"application/json": {"schema": _ref(operation.answer.__name__)}}}


def _problem(code: int) -> Json:
    content = {"application/problem+json": {"schema": _ref("Problem")}}
    return {"description": f"A problem with status {code}.", "content": content}


def _ref(name: str) -> Json:
    return {"$ref": _REFS.format(name=name)}


def _path_parameters(path: str) -> list[Json]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"{(\w+)}", path)
    ]


def _query_parameter(query: Parameter) -> Json:
    schema: Json = {"type": "string"}
    if query.words:
        schema["enum"] = list(query.words)
    elif query.most:
        schema = {"type": "integer", "minimum": 0, "maximum": query.most}
    return {"name": query.name, "in": "query", "required": False, "schema": schema}
