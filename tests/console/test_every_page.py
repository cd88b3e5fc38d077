"""Every page of the console in a real browser: both themes, narrow and wide, for axe and for people's eyes.

With SCREENSHOTS=DIRECTORY pictures of the pages that docs/console.md walks are kept there; with EVERY_PAGE=1
of every page from top to bottom, in every look.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, Literal

import pytest
from playwright.async_api import Browser
from tests.console.browser import (
    ASSIGNMENT,
    BODIES,
    LISTED,
    TOKEN,
    UNLISTED,
    VIEWER,
    WRAPPED,
    Caller,
    Window,
    calling,
    chromium,
    running,
)

pytestmark = pytest.mark.long

Theme = Literal["light", "dark"]
PAGES: Final = {
    "overview": ("/",),
    "calls": ("/calls",),
    "calls-none": ("/calls?entity=class/1",),
    "calls-error": ("/calls?address=nowhere",),
    "call": ("/calls?outcome=unauthorized", "#rows a"),
    "event": ("/calls?outcome=unroutable", "#rows a"),
    "message": ("/calls?outcome=unroutable", "#rows a", "text=Open the message"),
    "outbox": ("/outbox",),
    "quarantine": ("/quarantine",),
    "quarantine-item": ("/quarantine", "text=Look, mend, replay", "text=Open the body"),
    "quarantine-drop": ("/quarantine", "text=Look, mend, replay", "text=Drop it…"),
    "topology": ("/topology",),
    "replay": ("/topology", "text=Replay 1"),
    "plots": ("/plots",),
    "plots-table": ("/plots?span=day", "summary >> nth=0"),
    "configuration": ("/configuration?all=1",),
    "source": ("/sources/contoso",),
    "keys": ("/keys",),
    "nowhere": ("/nothing",),
    "sign-in": ("/sign-in",),
}
"""By the name of its picture: where it is, and what is pressed there."""

FOR_VIEWERS: Final = {"viewer": ("/",), "viewer-source": ("/sources/contoso",)}
PICTURES: Final = os.environ.get("SCREENSHOTS", "")
EVERY_PICTURE: Final = "EVERY_PAGE" in os.environ
SHOWN: Final = ("overview", "calls", "event", "outbox", "quarantine-item", "topology", "plots", "source")
LOOKS: Final[tuple[tuple[Theme, int], ...]] = (("light", 1280), ("dark", 1280), ("light", 360), ("dark", 360))
KEPT: Final = (("light", 1280), ("dark", 360))
"""Of which looks a picture is kept; the others differ by colour or width alone."""


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser


@asynccontextmanager
async def opened(browser: Browser, address: str, token: str) -> AsyncIterator[Window]:
    """Open a window that is signed in; axe is no script of the console's, so the policy is off here."""
    async with await browser.new_context(bypass_csp=True) as context:
        window = Window(await context.new_page(), address)
        await window.sign_in(token)
        yield window


async def fill(tms: Caller) -> None:
    """Let calls come of which each page has something to show."""
    for status in ("scheduled", "guaranteed_to_run", "completed"):
        assert 202 == await tms.call((BODIES / f"class-{status}.json").read_bytes())
    assert 202 == await tms.call(ASSIGNMENT, path="course-assignment-changed")
    for _ in range(3):
        assert 401 == await tms.call(password="wrong")
    assert 403 == await tms.call(address=UNLISTED)
    assert 404 == await tms.call(source="contso")
    assert 422 == await tms.call(ASSIGNMENT)
    assert 422 == await tms.call(b'{"Id": "Erika Mustermann"}')
    for number in range(2):
        assert 422 == await tms.call(WRAPPED.replace(b"48311", f"4831{number}".encode()), address=LISTED)


async def look(window: Window, name: str, steps: tuple[str, ...]) -> list[str]:
    """Go to one page and see it in each way; keep the pictures, and return what is wrong with it."""
    path, *presses = steps
    await window.open(path)
    for press in presses:
        await window.page.locator(press).first.click()
        await window.page.wait_for_load_state()
    found: list[str] = []
    if not any("Open" in press for press in presses) and "Erika" in await window.page.content():
        found.append(f"{name} shows a part of a body that nobody opened")
    for theme, width in LOOKS:
        await window.page.emulate_media(color_scheme=theme)
        await window.page.set_viewport_size({"width": width, "height": 1200})
        if PICTURES and ((name in SHOWN and (theme, width) in KEPT) or EVERY_PICTURE):
            file = Path(PICTURES) / f"{name}-{width}-{theme}.png"
            await window.page.screenshot(path=file, full_page=EVERY_PICTURE)
        found += [f"{name}, {theme}, {width}: {fault}" for fault in await window.faults()]
    return [*found, *(f"{name}: {fault}" for fault in await window.out_of_reach())]


async def test_axe_finds_nothing_on_any_page_tab_reaches_all_and_no_body_shows_unasked(
    browser: Browser, vhost: str
) -> None:
    found: list[str] = []
    with running(vhost) as bridge:
        async with calling(bridge) as tms:
            await fill(tms)
        async with opened(browser, bridge.admin_url, TOKEN) as window:
            await window.shows("no queue is bound to tms.course_assignment.completed")
            for name, steps in PAGES.items():
                found += await look(window, name, steps)
        async with opened(browser, bridge.admin_url, VIEWER) as window:
            for name, steps in FOR_VIEWERS.items():
                found += await look(window, name, steps)
    assert [] == found
