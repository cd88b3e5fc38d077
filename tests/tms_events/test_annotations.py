"""Events as annotations: what Pydantic and FastStream, with either of its serializers, make of them."""

import json
from typing import Any

import pydantic
import pytest
from fast_depends.msgspec import MsgSpecSerializer
from fast_depends.pydantic import PydanticSerializer
from faststream.rabbit import RabbitBroker, TestRabbitBroker
from faststream.specification import AsyncAPI

from tms_events import ClassChanged, CourseAssignmentChanged, Event, encode, to_dict
from tms_events.artefact.golden import golden_messages

EVENTS = [golden.event for golden in golden_messages()]


class Note(pydantic.BaseModel):
    """A model of a consumer."""

    event: ClassChanged | CourseAssignmentChanged


@pytest.mark.parametrize("serializer", [PydanticSerializer, MsgSpecSerializer])
async def test_a_typed_subscriber_gets_every_message(serializer: type[Any]) -> None:
    broker, got = RabbitBroker(serializer=serializer()), list[Event]()

    @broker.subscriber("all")
    async def keep(event: ClassChanged | CourseAssignmentChanged) -> None:
        got.append(event)

    async with TestRabbitBroker(broker) as running:
        for event in EVENTS:
            await running.publish(encode(event), "all", content_type="application/json")
    assert got == EVENTS


def test_faststream_describes_a_typed_subscriber() -> None:
    broker = RabbitBroker()

    @broker.subscriber("classes")
    async def keep(event: ClassChanged) -> None:
        """Take it."""

    document = json.dumps(AsyncAPI(broker).to_specification().to_jsonable())
    assert "min_students" in document
    assert "#/$defs" not in document


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.id[-2:])
def test_pydantic_reads_and_writes_an_event(event: Event) -> None:
    note = Note(event=event)
    assert Note.model_validate_json(note.model_dump_json()) == note
    assert json.loads(note.model_dump_json()) == {"event": to_dict(event)}
    assert Note.model_validate({"event": to_dict(event)}).event == event


def test_pydantic_says_what_is_wrong() -> None:
    with pytest.raises(pydantic.ValidationError, match="Object missing required field `id`"):
        pydantic.TypeAdapter(ClassChanged).validate_python({"trigger": "class"})


def test_pydantic_knows_the_schema() -> None:
    members = pydantic.TypeAdapter(ClassChanged).json_schema()["properties"]
    assert (
        members["class"]["properties"]["min_students"]["description"]
        == "fewest students for the class to run."
    )
