import hashlib
import json
from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import count, product
from typing import NamedTuple

import aiohttp
import msgspec
import pytest
from aio_pika.abc import AbstractIncomingMessage
from tests.waiting import PATIENCE_S

import tms_events
from bridge import Bridge
from bus import listening

Json = dict[str, object]

# Midnight, so that all four forms can tell the same moment.
MOMENT = "2027-01-01T00:00:00Z"
DATES: tuple[object, ...] = (1798761600, "2027-01-01T00:00:00Z", "2027-01-01", "/Date(1798761600000)/")
CONFIRMATION_STATUS_IDS = {
    "scheduled": 0,
    "guaranteed_to_run": 1,
    "cancelled": 2,
    "rescheduled": 3,
    "tentative": 4,
    "requested": 5,
    "denied": 6,
    "completed": 7,
}
PAIRS = [
    *(("course_assignment", status) for status in ("started", "completed", "expired", "cancelled")),
    *(("class", status) for status in CONFIRMATION_STATUS_IDS),
]
NAMES = {"course_assignment": "CourseAssignment", "class": "Class"}
ENTITY_IDS = count(1)

WRAPPERS: tuple[Callable[[str, Json], Json], ...] = (
    lambda _, model: model,
    lambda name, model: {name: model},
    lambda _, model: {"Data": model},
    lambda _, model: {"Status": 0, "Error": None, "Results": [model]},
)


class Case(NamedTuple):
    """One body, and what must come of it."""

    text: bytes
    raw_status: str
    entity: int


def _spellings(status: str) -> list[str]:
    spaced = status.replace("_", " ")
    forms = [status, spaced.title(), spaced.title().replace(" ", ""), spaced.upper()]
    return [*forms, "Canceled"] if status == "cancelled" else forms


def _statuses(trigger: str, status: str) -> Iterator[tuple[Json, str]]:
    members = ("Status", "ConfirmationStatus") if trigger == "class" else ("Status",)
    for member, word in product(members, _spellings(status)):
        yield {member: word}, word
    if trigger == "class":
        number = CONFIRMATION_STATUS_IDS[status]
        for value in (number, str(number)):
            yield {"ConfirmationStatusId": value}, str(number)


def _cases(trigger: str, status: str) -> Iterator[Case]:
    ids = ("Id", f"{NAMES[trigger]}Id")
    for (told, raw), date, wrap in product(_statuses(trigger, status), DATES, WRAPPERS):
        entity = next(ENTITY_IDS)
        model = {ids[entity % 2]: entity if entity % 3 else str(entity), **told, "Start": date, "CourseId": 7}
        # Spaces, order, an unknown member and an accent must all come through untouched.
        model |= {"Zusätzlich": "é \u2603", "Number": 1.50}
        text = json.dumps(wrap(NAMES[trigger], model), indent=2, ensure_ascii=entity % 2 == 0)
        yield Case(text.encode(), raw, entity)


async def _send(bridge: Bridge, trigger: str, cases: list[Case]) -> dict[str, Case]:
    sent: dict[str, Case] = {}
    url = f"{bridge.url}/webhooks/contoso/{trigger.replace('_', '-')}-changed"
    async with aiohttp.ClientSession(headers={"Authorization": bridge.authorization}) as session:
        for case in cases:
            async with session.post(url, data=case.text) as response:
                answer = await response.json()
                assert response.status == 202, (case, answer)
                sent[answer["id"]] = case
    return sent


def _digest(trigger: str, body: bytes) -> str:
    return hashlib.blake2b(b"\0".join([b"contoso", trigger.encode(), body]), digest_size=32).hexdigest()


def _wire(message: AbstractIncomingMessage) -> Json:
    headers = dict(message.headers)
    time, traceparent = str(headers.pop("cloudEvents_time")), str(headers.pop("traceparent"))
    assert traceparent.startswith("00-")
    assert message.timestamp is not None
    return {
        "routing_key": message.routing_key,
        "type": message.type,
        "content_type": message.content_type,
        "persistent": message.delivery_mode == 2,
        "same_second": int(message.timestamp.timestamp()) == int(datetime.fromisoformat(time).timestamp()),
        "headers": headers,
    }


def _expected_wire(trigger: str, status: str, message_id: str, case: Case) -> Json:
    kind = f"com.skillable.tms.{trigger}.{status}"
    return {
        "routing_key": f"tms.{trigger}.{status}",
        "type": kind,
        "content_type": "application/json",
        "persistent": True,
        "same_second": True,
        "headers": {
            "cloudEvents_specversion": "1.0",
            "cloudEvents_id": message_id,
            "cloudEvents_type": kind,
            "cloudEvents_source": "/tms/contoso",
            "cloudEvents_subject": f"{trigger}/{case.entity}",
            "cloudEvents_dataschema": f"urn:tms-events:{trigger.replace('_', '-')}-changed:1",
            "tms-digest": _digest(trigger, case.text),
        },
    }


def _told(body: bytes) -> Json:
    """Read a message as a consumer without our package would."""
    event = json.loads(body)
    entity = event[event["trigger"]]
    return {
        **{name: event[name] for name in ("id", "source", "trigger", "status", "raw_status", "status_from")},
        "entity": {name: entity[name] for name in ("id", "start", "course_id")},
        "payload": bytes(msgspec.json.decode(body, type=dict[str, msgspec.Raw])["payload"]),
    }


@pytest.mark.parametrize(("trigger", "status"), PAIRS)
async def test_every_encoding_arrives_typed_and_verbatim(
    bridge: Bridge, amqp_url: str, trigger: str, status: str
) -> None:
    cases = list(_cases(trigger, status))
    async with listening(amqp_url) as inbox:
        sent = await _send(bridge, trigger, cases)
        await inbox.wait_for(set(sent), timeout_s=PATIENCE_S)
    assert len(inbox.messages) == len(sent) == len(cases)
    for _, message in inbox.messages:
        message_id = message.message_id or ""
        case = sent[message_id]
        assert _wire(message) == _expected_wire(trigger, status, message_id, case)
        assert _told(message.body) == {
            "id": message_id,
            "source": "contoso",
            "trigger": trigger,
            "status": status,
            "raw_status": case.raw_status,
            "status_from": "payload",
            "entity": {"id": case.entity, "start": MOMENT, "course_id": 7},
            "payload": case.text,
        }
        assert tms_events.entity_id(tms_events.decode(message.body)) == case.entity
