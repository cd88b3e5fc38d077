"""What people do at the console, in a real browser, before a bridge that runs and a broker that runs."""

import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager

import aio_pika
import pytest
from aio_pika.abc import AbstractIncomingMessage
from playwright.async_api import Browser
from tests.console.browser import (
    ASSIGNMENT,
    LISTED,
    UNLISTED,
    WRAPPED,
    Caller,
    Window,
    calling,
    chromium,
    running,
    window,
)
from tests.faults.proxy import Proxy
from tests.waiting import PATIENCE_S, until

from bridge import Bridge
from rabbitmq import Node
from tms_events import decode
from tms_events.event import entity_id

pytestmark = pytest.mark.long

AT_ONCE_S = 1.0
TRIES = 10
"""How often a failure is sent where the machine was too busy to show it at once."""


@pytest.fixture
def bridge(vhost: str) -> Iterator[Bridge]:
    with running(vhost) as bridge:
        yield bridge


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser


@pytest.fixture
async def shown(browser: Browser, bridge: Bridge) -> AsyncIterator[Window]:
    async with await browser.new_context() as context:
        shown = await window(context, bridge)
        yield shown
        assert [] == shown.complaints


@pytest.fixture
async def tms(bridge: Bridge) -> AsyncIterator[Caller]:
    async with calling(bridge) as caller:
        yield caller


FAILURES: dict[str, tuple[Callable[[Caller, str], Awaitable[int]], int, tuple[str, str]]] = {
    "wrong password": (
        lambda tms, address: tms.call(address=address, password="wrong"),
        401,
        ("Refused: wrong password.", "In TMS, replace HttpHeaders of this webhook"),
    ),
    "unlisted address": (
        lambda tms, address: tms.call(address=address.replace(LISTED, UNLISTED)),
        403,
        ("right password, unlisted address", "add the address to sources.contoso.allow_from"),
    ),
    "mistyped source": (
        lambda tms, address: tms.call(address=address, source="contso"),
        404,
        ('did you mean "contoso"?', "In TMS, correct the URL: /webhooks/contoso/class-changed"),
    ),
    "swapped URLs": (
        lambda tms, address: tms.call(ASSIGNMENT, address=address, path="class-changed"),
        422,
        ("the body of the other trigger", "In TMS, swap the URLs of the two webhooks"),
    ),
    "no queue bound": (
        lambda tms, address: tms.call(address=address),
        202,
        ("no queue is bound to tms.class.scheduled", "Bind a queue, then replay"),
    ),
}


async def test_each_of_a_newcomers_failures_is_on_the_open_page_within_a_second(
    shown: Window, tms: Caller
) -> None:
    for failure, (fail, answer, words) in FAILURES.items():
        took_s: list[float] = []
        while len(took_s) < TRIES and min(took_s, default=AT_ONCE_S) >= AT_ONCE_S:
            address = f"{LISTED}{len(took_s)}"  # a row of its own for each try
            sent = time.monotonic()
            assert answer == await fail(tms, address)
            await shown.shows(*words, address.replace(LISTED, UNLISTED) if answer == 403 else address)
            took_s.append(time.monotonic() - sent)
        assert min(took_s) < AT_ONCE_S, failure


async def test_a_body_that_is_not_understood_is_opened_mapped_and_replayed_by_keys(
    shown: Window, tms: Caller, bridge: Bridge, vhost: str
) -> None:
    assert 422 == await tms.call(WRAPPED)
    await shown.shows("Not understood, kept in quarantine", "tms-bridge quarantine")
    await shown.follow("g q", "/quarantine")
    assert "Erika" not in await shown.page.content()
    await shown.press("Look, mend, replay")
    await shown.page.wait_for_url("**/quarantine/*")
    await shown.press("Open the body")
    await shown.shows("Erika Mustermann")
    await shown.choose("The id lies at", "/Kurs/Nummer")
    await shown.choose("The status lies at", "/Kurs/Stand")
    await shown.press("Try")
    await shown.shows("It is class 48311, scheduled", "Nothing was changed or sent")
    lines = await shown.page.locator("[data-copy]").inner_text()
    with bridge.configuration.open("a") as configuration:
        configuration.write(f"\n{lines}\n")
    await until(lambda: "configuration reloaded" in bridge.log)
    async with consumer(vhost) as events:
        await shown.press("Look again")
        await shown.shows("With the configuration in force it is class 48311")
        await shown.press("Replay")
        await shown.shows("Replayed: it is on its way to the bus.")
        event = decode((await anext(events)).body)
    assert ("scheduled", 48311) == (event.status, entity_id(event))
    await until(lambda: '"deed":"replay"' in bridge.log)
    deeds = [line["deed"] for line in map(json.loads, bridge.log.splitlines()) if line["event"] == "audit"]
    assert ["sign in", "show", "try", "replay"] == deeds


async def test_a_page_that_changes_takes_the_focus_from_nobody(shown: Window, tms: Caller) -> None:
    assert 401 == await tms.call(password="wrong")
    await shown.shows("1 call refused since", "wrong password")
    await shown.go_to("More: 1 call refused")
    assert 401 == await tms.call(password="wrong")
    await shown.shows("2 calls refused since")
    assert await shown.page.locator("#say a:focus", has_text="More: 2 calls refused").count()
    await shown.page.locator("#rows a").first.focus()
    assert 401 == await tms.call(password="wrong")
    await shown.shows("3 times")
    assert await shown.page.locator("#rows tr:first-child a:focus").count()


async def test_the_sentence_says_that_the_broker_is_away_and_that_it_is_back(
    browser: Browser, rabbitmq: Node, vhost: str
) -> None:
    with (
        Proxy(rabbitmq.port) as broker,
        running(vhost.replace(f":{rabbitmq.port}/", f":{broker.port}/")) as bridge,
    ):
        async with await browser.new_context() as context, consumer(vhost) as events, calling(bridge) as tms:
            shown = await window(context, bridge)
            await shown.shows("Nothing has ever arrived")
            broker.refuse()
            await shown.shows("Broker away since", "Consumers get nothing until RabbitMQ is back")
            assert 202 == await tms.call()
            await shown.shows("1 event safe")
            await shown.shows("Safe on disk, waits for the broker.")
            broker.listen()
            await shown.shows("Delivered in", "on tms.class.scheduled")
            await shown.page.locator("#say").filter(has_not_text="Broker away").wait_for()
            assert "scheduled" == decode((await anext(events)).body).status
            assert [] == shown.complaints


async def test_everything_works_without_script(browser: Browser, bridge: Bridge, tms: Caller) -> None:
    assert 401 == await tms.call(password="wrong")
    assert 422 == await tms.call(WRAPPED)
    assert 202 == await tms.call()
    async with await browser.new_context(java_script_enabled=False) as context:
        page = (await window(context, bridge)).page
        await page.get_by_role("link", name="All calls, filters").click()
        await page.get_by_label("Outcome").select_option("refused")
        await page.get_by_role("button", name="Show").click()
        assert 2 == await page.locator("#rows tr").count()
        await page.get_by_role("link", name="Quarantine").click()
        await page.get_by_role("link", name="Look, mend, replay").click()
        await page.get_by_role("button", name="Open the body").click()
        assert "Erika Mustermann" in await page.content()
        await page.get_by_text("Drop it…").click()
        await page.get_by_label("Why?").fill("a test")
        await page.get_by_label("I want it deleted").check()
        await page.get_by_role("button", name="Drop it").click()
        assert "Dropped." in await page.content()
        await page.get_by_role("button", name="Sign out").click()
        await page.wait_for_url("**/sign-in")


@asynccontextmanager
async def consumer(url: str) -> AsyncIterator[AsyncIterator[AbstractIncomingMessage]]:
    """Bind a queue to every event, and give what it gets."""
    async with await aio_pika.connect_robust(url) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(exclusive=True)
        await queue.bind("tms.events", "tms.#")
        async with queue.iterator(no_ack=True, timeout=PATIENCE_S) as events:
            yield events
