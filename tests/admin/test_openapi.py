import json
import re
from collections.abc import Iterator

import jsonschema  # type: ignore[import-untyped]  # it ships no types
import pytest
from tests.admin.running import Client, Desk, body, event
from tests.outbox.outboxes import accept, hold, quarantine
from tests.waiting import until

from tms_bridge.admin.openapi import PREFIX, describe
from tms_bridge.admin.operations import OPERATIONS

NEED_A_BROKER = {"/unroutable/replay"}
DOCUMENT = json.loads(describe("0.1.0"))


def refs(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref":
                yield value
            yield from refs(value)
    elif isinstance(node, list):
        for item in node:
            yield from refs(item)


async def test_it_is_served(client: Client) -> None:
    async with client.get("/api/v1/openapi.json") as answer:
        assert await answer.json() == DOCUMENT


def test_every_operation_is_described_once() -> None:
    described = {(method, path) for path, item in DOCUMENT["paths"].items() for method in item}

    assert described == {(operation.method.lower(), PREFIX + operation.path) for operation in OPERATIONS}


def test_operation_ids_are_unique_and_every_reference_leads_somewhere() -> None:
    names = [operation["operationId"] for item in DOCUMENT["paths"].values() for operation in item.values()]

    assert len(names) == len(set(names))
    assert {ref.rpartition("/")[2] for ref in refs(DOCUMENT)} <= set(DOCUMENT["components"]["schemas"])


@pytest.mark.parametrize(("method", "path"), [(one.method, one.path) for one in OPERATIONS])
async def test_what_is_answered_is_what_is_described(
    desk: Desk, client: Client, method: str, path: str
) -> None:
    known = await _row_for(desk, path)
    if path.endswith("/stream"):
        return await _check_stream(client, PREFIX + path)
    async with client.request(method, PREFIX + path.format(id=known, name="contoso"), data=b"") as answer:
        text = await answer.text()
        described = DOCUMENT["paths"][PREFIX + path][method.lower()]["responses"][str(answer.status)]

    schema = described["content"][answer.content_type]["schema"]
    found = text if answer.content_type == "application/x-ndjson" else json.loads(text)
    jsonschema.validate(found, {**schema, "components": DOCUMENT["components"]})
    assert answer.status == (503 if path in NEED_A_BROKER else 200)
    return None


async def _check_stream(client: Client, path: str) -> None:
    async with client.get(path) as answer:
        assert answer.content_type in DOCUMENT["paths"][path]["get"]["responses"]["200"]["content"]


async def _row_for(desk: Desk, path: str) -> str:
    """Make the row that an operation wants, and return its id."""
    if path.endswith("/release"):
        return (await hold(desk.journal, event(1))).id
    if path.startswith("/quarantine"):
        return (await quarantine(desk.journal, body(2, b'{"Id": 2}'))).id
    receipt = await accept(desk.journal, event(3))
    if path.endswith("/retry"):
        desk.journal.refuse(receipt.seq, "odd")
        await until(lambda: desk.journal.stats().refused == 1)
    return receipt.id


def test_path_parameters_are_described() -> None:
    for path, item in DOCUMENT["paths"].items():
        for operation in item.values():
            named = [parameter["name"] for parameter in operation["parameters"] if parameter["in"] == "path"]
            assert named == re.findall(r"{(\w+)}", path)
