"""What an operator does to the bus through the admin API of a running bridge: a test event, and a replay."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aio_pika
import aiohttp
from aio_pika.abc import AbstractIncomingMessage
from tests.waiting import PATIENCE_S, patience

from bridge import Bridge
from tms_events import decode
from tms_events.wire import CHECK_TYPE


@asynccontextmanager
async def consumer(url: str, *keys: str) -> AsyncIterator[AsyncIterator[AbstractIncomingMessage]]:
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(exclusive=True)
        for key in keys:
            await queue.bind("tms.events", key)
        async with queue.iterator(no_ack=True, timeout=PATIENCE_S) as messages:
            yield messages


class Api:
    def __init__(self, session: aiohttp.ClientSession, bridge: Bridge) -> None:
        self._session, self._url = session, f"{bridge.admin_url}/api/v1"

    async def post(self, path: str, **query: str) -> dict[str, object]:
        async with self._session.post(self._url + path, params=query) as answer:
            return {"status": answer.status, **await answer.json()}

    async def becomes(self, event_id: str, state: str) -> dict[str, object]:
        """Wait until this is what has become of an event; return the call that brought it."""
        async with patience():
            while (call := await self.call(event_id))["state"] != state:  # noqa: ASYNC110 - only asking tells
                await asyncio.sleep(0.02)
        return call

    async def call(self, event_id: str) -> dict[str, object]:
        async with self._session.get(f"{self._url}/calls", params={"id": event_id}) as answer:
            call: dict[str, object] = (await answer.json())["calls"][0]
            return call


@asynccontextmanager
async def api(bridge: Bridge) -> AsyncIterator[Api]:
    async with aiohttp.ClientSession() as session:
        yield Api(session, bridge)


async def test_a_test_event_reaches_a_consumer_marked_as_one(bridge: Bridge, amqp_url: str) -> None:
    async with consumer(amqp_url, "tms.class.denied") as messages, api(bridge) as operator:
        sent = await operator.post("/sources/contoso/test", trigger="class", status="denied")
        message = await anext(messages)
        assert {"status": 200, "id": message.message_id} == sent
        assert (CHECK_TYPE, CHECK_TYPE, True) == (
            message.type,
            message.headers["cloudEvents_type"],
            message.headers["tms-test"],
        )
        event = decode(message.body)
        assert ("contoso", "denied", "class/0") == (
            event.source,
            event.status,
            message.headers["cloudEvents_subject"],
        )
        told = await operator.becomes(str(sent["id"]), "delivered")
        assert ("test", True) == (told["outcome"], str(told["reason"]).startswith("Test event."))
    assert '"deed":"test"' in bridge.log


async def test_a_test_event_of_no_source_or_status_is_refused_in_words(bridge: Bridge) -> None:
    async with api(bridge) as operator:
        nobody = await operator.post("/sources/nobody/test", trigger="class", status="denied")
        never = await operator.post("/sources/contoso/test", trigger="class", status="never")
    assert (404, 400) == (nobody["status"], never["status"])
    assert "guaranteed_to_run" in str(never["detail"])


async def test_what_no_queue_wanted_is_replayed_by_its_key_alone(bridge: Bridge, amqp_url: str) -> None:
    async with api(bridge) as operator:
        ids: dict[str, list[str]] = {}
        for status in ("tentative", "requested", "tentative"):
            sent = await operator.post("/sources/contoso/test", trigger="class", status=status)
            ids.setdefault(status, []).append(str(sent["id"]))
        for event_id in ids["tentative"] + ids["requested"]:
            await operator.becomes(event_id, "unroutable")
        back = await operator.post("/unroutable/replay", key="tms.class.tentative")
        async with consumer(amqp_url, "tms.class.tentative") as messages:
            done = await operator.post("/unroutable/replay", key="tms.class.tentative")
            came = [await anext(messages), await anext(messages)]
        assert (0, 2, 2, 0) == (back["replayed"], back["returned"], done["replayed"], done["returned"])
        assert 1 == done["waiting"]
        assert ids["tentative"] == [message.message_id for message in came]
        assert [(True, True)] * 2 == [
            (message.headers["tms-replayed"], message.headers["tms-test"]) for message in came
        ]
        states = [
            (await operator.call(event_id))["state"] for event_id in ids["tentative"] + ids["requested"]
        ]
        assert ["delivered", "delivered", "unroutable"] == states
