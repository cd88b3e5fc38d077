"""A real Chromium before the console of a bridge that runs, and whoever calls that bridge."""

import base64
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from importlib.resources import files
from pathlib import Path

import aiohttp
from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    async_playwright,
)
from playwright.async_api import Error as BrowserError

from bridge import Bridge
from packages import find_chromium

LISTED, UNLISTED = "203.0.113.7", "198.51.100.7"
TOKEN = secrets.token_urlsafe(12)
VIEWER = secrets.token_urlsafe(12)
BODIES = Path(__file__).resolve().parents[2] / "examples" / "bodies"
CLASS = (BODIES / "class-scheduled.json").read_bytes()
ASSIGNMENT = (BODIES / "course-assignment-completed.json").read_bytes()
WRAPPED = b'{"Kurs": {"Nummer": 48311, "Stand": 0}, "Teilnehmer": "Erika Mustermann"}'
"""A body whose id and status only a mapping finds, with what no page may show unasked."""

_AXE = (files("axe_playwright_python") / "axe.min.js").read_text()
_FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run")
_STOPS = """(() => {
  const kinds = 'a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex="0"]';
  window.missed = new Set([...document.querySelectorAll(kinds)].filter((one) => one.checkVisibility()));
  return window.missed.size;
})()"""
_STAND = """(() => {
  const at = document.activeElement, ring = getComputedStyle(at);
  window.missed.delete(at);
  return at === document.body || (ring.outlineStyle !== 'none' && parseFloat(ring.outlineWidth) >= 2)
    ? '' : at.outerHTML.slice(0, 200);
})()"""
_MISSED = "[...window.missed].filter((one) => one.isConnected).map((one) => one.outerHTML.slice(0, 200))"
_MOST_STOPS = 200
_PATIENCE_S = 20.0
_SOURCE = """
[[sources.fabrikam.credentials]]
name = "2026"
headers = {{ X-Api-Key = "{key}" }}
[sources.fabrikam]
allow_from = ["203.0.113.0/24"]
[[admin.tokens]]
name = "ops"
role = "operator"
token = "{token}"
[[admin.tokens]]
name = "contoso-admin"
role = "viewer"
sources = ["contoso"]
token = "{viewer}"
"""


class Caller:
    """Calls the webhooks of a bridge as TMS would, by way of a trusted proxy."""

    def __init__(self, bridge: Bridge, session: aiohttp.ClientSession) -> None:
        self._bridge = bridge
        self._session = session

    async def call(
        self,
        body: bytes = CLASS,
        *,
        source: str = "contoso",
        path: str = "class-changed",
        address: str = LISTED,
        password: str = "",
    ) -> int:
        """Post a body with the right password, unless another is named; return the answer's status."""
        shown = f"Webhookuser:{password or self._bridge.password}"
        headers = {
            "Authorization": "Basic " + base64.b64encode(shown.encode()).decode(),
            "X-Forwarded-For": address,
        }
        url = f"{self._bridge.url}/webhooks/{source}/{path}"
        async with self._session.post(url, data=body, headers=headers) as answer:
            return answer.status


@asynccontextmanager
async def calling(bridge: Bridge) -> AsyncIterator[Caller]:
    """Give a caller."""
    async with aiohttp.ClientSession() as session:
        yield Caller(bridge, session)


@contextmanager
def running(amqp_url: str) -> Iterator[Bridge]:
    """Run a bridge behind a trusted proxy, with two sources, an operator's token and a viewer's."""
    more = _SOURCE.format(key=secrets.token_hex(8), token=TOKEN, viewer=VIEWER)
    bridge = Bridge(amqp_url, more=more)
    text = bridge.configuration.read_text()
    head = (
        '[http]\nclient_address = "x-forwarded-for"\ntrusted_proxies = ["127.0.0.1"]\n'
        'url = "https://hooks.example.com"'
    )
    text = text.replace("[http]", head).replace('"skillable-tms", "127.0.0.1", "::1"', '"203.0.113.0/24"')
    bridge.configuration.write_text(text)
    with bridge:
        yield bridge


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Run the system's Chromium, with a profile of its own and nothing to talk to but the console."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=find_chromium(), args=_FLAGS)
        try:
            yield browser
        finally:
            await browser.close()


class Window:
    """One page of the console, worked by keys alone; remembers what the browser complained of."""

    def __init__(self, page: Page, address: str) -> None:
        self.page = page
        self.complaints: list[str] = []
        self._address = address
        page.on("console", self._note)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _note(self, message: ConsoleMessage) -> None:
        # A page that answers 401 or 404 is one that a test asked for.
        if message.type in {"error", "warning"} and "Failed to load resource" not in message.text:
            self.complaints.append(message.text)

    async def open(self, path: str) -> None:
        """Go to a page of the console."""
        await self.page.goto(self._address + path)

    async def sign_in(self, token: str = TOKEN) -> None:
        """Sign in by typing; the field has the focus."""
        await self.open("/sign-in")
        await self.page.locator("input[name=token]:focus").wait_for()
        await self.page.keyboard.type(token)
        await self.page.keyboard.press("Enter")
        await self.page.wait_for_url(self._address + "/")

    async def shows(self, *words: str) -> None:
        """Wait until a row of the list, the sentence or a note has all of these words."""
        place = self.page.locator("#rows tr, #say, .note, .card")
        for word in words:
            place = place.filter(has_text=word)
        try:
            await place.first.wait_for(timeout=_PATIENCE_S * 1000)
        except BrowserError:
            said = await self.page.locator("body").inner_text()
            raise AssertionError(f"{words} stand in no part of {self.page.url}:\n{said}") from None

    async def go_to(self, label: str) -> None:
        """Press Tab until the focus is on what is called so."""
        for _ in range(_MOST_STOPS):
            await self.page.keyboard.press("Tab")
            if label in await self._focused():
                return
        raise AssertionError(f"no Tab leads to {label}")

    async def press(self, label: str, key: str = "Enter") -> None:
        """Go to what is called so, and press it."""
        await self.go_to(label)
        await self.page.keyboard.press(key)

    async def choose(self, label: str, option: str) -> None:
        """Go to a list of choices, and take one."""
        await self.go_to(label)
        focused = self.page.locator("*:focus")
        for _ in range(_MOST_STOPS):
            if await focused.input_value() == option:
                return
            await self.page.keyboard.press("ArrowDown")
        raise AssertionError(f"{label} offers no {option}")

    async def follow(self, keys: str, page: str) -> None:
        """Type keys that lead to a page."""
        for key in keys.split():
            await self.page.keyboard.press(key)
        await self.page.wait_for_url(self._address + page)

    async def _focused(self) -> str:
        return str(
            await self.page.evaluate(
                "(() => { const at = document.activeElement; if (at === document.body) return '';"
                " return (at.labels?.[0] ?? at).textContent + (at.ariaLabel ?? ''); })()"
            )
        )

    async def faults(self) -> list[str]:
        """Return what axe finds wrong, and whether the page scrolls sideways."""
        await self.page.evaluate(_AXE)
        found = await self.page.evaluate("axe.run({resultTypes: ['violations']})")
        wrong = [
            f"{violation['id']}: {violation['help']} at {node['html'][:200]}"
            for violation in found["violations"]
            for node in violation["nodes"]
        ]
        wide = await self.page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        return wrong if wide <= 0 else [*wrong, f"it is {wide} pixels wider than the window"]

    async def out_of_reach(self) -> list[str]:
        """Return what Tab does not come to, and what does not show that it has the focus."""
        await self.page.reload()
        stops = await self.page.evaluate(_STOPS)
        found = []
        for _ in range(stops + 1):
            await self.page.keyboard.press("Tab")
            if fault := await self.page.evaluate(_STAND):
                found.append(f"no ring around {fault}")
        return [*found, *(f"no Tab leads to {html}" for html in await self.page.evaluate(_MISSED))]


async def window(context: BrowserContext, bridge: Bridge) -> Window:
    """Open a page that is signed in as an operator."""
    opened = Window(await context.new_page(), bridge.admin_url)
    await opened.sign_in()
    return opened
