"""What the console costs: throughput and processor time with five open pages against none, and its memory.

    make bench-console                 two minutes; pages are five readers of the console's stream
    make bench-console BROWSERS=1      the same with five pages in a real Chromium

Rounds with and without open pages take turns in one run, so that the machine's mood touches both. Readers
throw away what the bridge sends, so that their own cost hardly counts. A Chromium takes its share of the same
processors, so that with it only the bridge's own processor time for an event says something.
"""

import argparse
import asyncio
import socket
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from statistics import median
from typing import NoReturn

from aiohttp import web

from brokers import best_installation, broker, place
from comparison import Figures, measure_full, measure_paced
from packages import find_chromium
from receivers import Receiver, bridge
from ride import Nowhere
from tms_bridge import admin, console
from tms_bridge.admin.calls import Filters
from tms_bridge.admin.follow import TICK_S, Tick
from tms_bridge.admin.guard import ANYBODY
from tms_bridge.calls import MAX_ROWS, AnsweredCall, Calls
from tms_bridge.console.frame import Frame
from tms_bridge.console.stream import Live
from tms_bridge.log import Log
from tms_bridge.message import Kind, Message, Messages
from tms_bridge.settings.model import Amqp, Logging, Settings
from tms_bridge.words.standing import Standing

PAGES = 5
RATE = 2000.0
_ROUNDS = 5
_ROUND_S = 6.0
_CHUNK = 1 << 16
_MIB = 1 << 20
_TOLD_S = 20.0

Opened = Callable[[Receiver], AbstractContextManager[Callable[[], int]]]
"""Opens the pages; what it gives counts the bytes that they got, or returns 0 where nobody counts."""


@contextmanager
def readers(receiver: Receiver) -> Iterator[Callable[[], int]]:
    """Read the stream of the overview so many times."""
    request = b"GET /stream?view=overview HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n" % (receiver.admin_port or 0)
    sockets = [socket.create_connection(("127.0.0.1", receiver.admin_port or 0)) for _ in range(PAGES)]
    counts = [0] * PAGES

    def read(place: int) -> None:
        while data := sockets[place].recv(_CHUNK):
            counts[place] += len(data)

    threads = [threading.Thread(target=read, args=(place,), daemon=True) for place in range(PAGES)]
    for one, thread in zip(sockets, threads, strict=True):
        one.sendall(request)
        thread.start()
    try:
        yield lambda: sum(counts)
    finally:
        for one, thread in zip(sockets, threads, strict=True):
            one.shutdown(socket.SHUT_RDWR)
            thread.join()
            one.close()


@contextmanager
def browsers(receiver: Receiver) -> Iterator[Callable[[], int]]:
    """Open the overview in so many pages of a real Chromium, driven by a process of its own."""
    command = [sys.executable, __file__, "--open", f"http://127.0.0.1:{receiver.admin_port}/"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as driver:
        if driver.stdout is None or driver.stdin is None or not driver.stdout.readline():
            raise RuntimeError("Chromium did not open the pages")
        try:
            yield lambda: 0
        finally:
            driver.stdin.close()


async def _open(url: str) -> None:
    """Open the pages, say so, and keep them until standard input ends."""
    from playwright.async_api import async_playwright  # noqa: PLC0415 - with --browsers alone

    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=find_chromium(), args=flags)
        for _ in range(PAGES):
            page = await (await browser.new_context()).new_page()
            await page.goto(url)
            await page.locator("#live", has_text="Live.").wait_for()
        print("open", flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        await browser.close()


def compare(receiver: Receiver, opened: Opened, rounds: int, seconds: float) -> Iterator[str]:
    """Yield a table: each figure without pages, with them, and the ratio of the two, round by round."""
    figures: dict[str, list[tuple[Figures, Figures]]] = {"at saturation": [], f"at {RATE:,.0f}/s": []}
    sent_kb: list[float] = []
    for _ in range(rounds):
        for kind, measure in zip(figures, (measure_full, measure_at_rate), strict=True):
            with suppress(TimeoutError):  # a machine that is busy otherwise keeps no such rate
                without = measure(receiver, seconds)
                with opened(receiver) as count:
                    began = time.monotonic()
                    with_pages = measure(receiver, seconds)
                    sent_kb.append(count() / 1000 / PAGES / (time.monotonic() - began))
                figures[kind].append((without, with_pages))
    yield "| what | without | with | ratio, least to most |"
    for kind, pairs in figures.items():
        yield f"| {kind}: rounds that were kept | {len(pairs)} | {len(pairs)} | |"
        if not pairs:
            continue
        for name in ("per_second", "cpu_us", "p50_ms", "p99_ms"):
            ratios = sorted(after[name] / before[name] for before, after in pairs)
            before, after = (median(pair[place][name] for pair in pairs) for place in (0, 1))
            yield (
                f"| {kind}: {name} | {before:,.1f} | {after:,.1f} "
                f"| {median(ratios):.3f} ({ratios[0]:.3f} to {ratios[-1]:.3f}) |"
            )
    yield f"| sent to a page, KB/s | | {median(sent_kb):.1f} ({min(sent_kb):.1f} to {max(sent_kb):.1f}) | |"


def measure_at_rate(receiver: Receiver, seconds: float) -> Figures:
    """Send at the rate that the console has to bear."""
    return measure_paced(receiver, seconds, rate=RATE)


def told_ms() -> float:
    """Return the processor time, in ms a second, in which the pages are told of events at the rate.

    Without sockets and in processor time, so that it says something on a machine that is busy otherwise too.
    """
    calls, standing = Calls(), Standing(now=time.time())
    settings = Settings(amqp=Amqp(urls=("amqp://localhost",)), sources={})
    board = console.Board(
        calls=calls,
        sessions=console.Sessions(),
        tries=console.Tries(),
        settings=lambda: settings,
        standing=lambda: standing,
        operators=None,
        bus=admin.Bus(calls, "tms.events", _nobody, _nobody),
        logger=Log(Logging(), Nowhere()).logger,
        watchers=admin.Watchers(),
        replica="here",
        version="0",
    )
    frame = Frame(web.Application())
    pages = [_page(board, frame) for _ in range(PAGES)]
    used_s = 0.0
    for number in range(1, round(_TOLD_S / TICK_S) + 1):
        for within in range(round(RATE * TICK_S)):
            row = calls.note(event(number << 16 | within))
            calls.delivered(_message(row.call, within), row.call.at + 0.003, row.call.at + 0.005)
        began = time.process_time()
        tick = Tick(calls, number)
        for page in pages:
            b"".join(page.tick(tick))
        used_s += time.process_time() - began
    return used_s / _TOLD_S * 1000


def _page(board: console.Board, frame: Frame) -> Live:
    return Live(board, frame, ANYBODY, Filters({}), change=0, overview=True)


async def _nobody(*_: str) -> NoReturn:
    """Stand where an operator would send a test event, which nobody does here."""
    raise NotImplementedError


def feed_mb(make: Callable[[int], AnsweredCall]) -> tuple[float, float]:
    """Return the memory of a list that is full of such calls: of its rows, and with the last messages."""
    tracemalloc.start()
    calls = Calls()
    for number in range(2 * MAX_ROWS):  # the first half is forgotten again
        row = calls.note(make(number))
        if row.fate is not None:
            calls.delivered(_message(row.call, number), row.call.at + 0.003, row.call.at + 0.005)
    everything = tracemalloc.get_traced_memory()[0]
    calls.messages = Messages()
    rows = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return rows / _MIB, everything / _MIB


def _message(call: AnsweredCall, number: int) -> Message:
    body = b"%020000d" % number
    parts = (call.source, call.trigger, "scheduled", "tms.class.scheduled", call.entity, 1)
    return Message(call.id, Kind.EVENT, *parts, "d" * 64, "t" * 55, body)


def _fresh(text: str) -> str:
    """Return a text that shares no memory with an equal one, as what a parser makes does not."""
    return text.encode().decode()


def event(number: int) -> AnsweredCall:
    """Return an event through a proxy that shares with others only what the bridge shares."""
    return AnsweredCall(
        at=1.7e9 + number / 7,
        request_id=_fresh(f"{number:08x}-57dc-74c9-acd2-{number:012x}"),
        method="POST",
        path="/webhooks/contoso/course-assignment-changed",
        http_status=202,
        outcome="accepted",
        duration_ms=2 + number / 1e6,
        source="contoso",
        trigger="course_assignment",
        address=_fresh(f"2001:db8:ffff:ffff:ffff:ffff:{number >> 16:04x}:{number & 0xFFFF:04x}"),
        peer=_fresh("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"),
        credential="2026",
        id=_fresh(f"{number:08x}-aaaa-74c9-acd2-{number:012x}"),
        status="completed",
        entity=str(10_000_000 + number),
        routing_key="tms.course_assignment.completed",
    )


def refusal(number: int) -> AnsweredCall:
    """Return a call that was turned away, with the longest path, from an address of its own."""
    parts = {"http_status": 404, "outcome": "unknown_path", "credential": "", "status": "", "entity": ""}
    path, method = _fresh("/" + "p" * 199 + " and 65336 more"), _fresh("M" * 20 + " and 65336 more")
    changes = {
        "id": "",
        "routing_key": "",
        "path": path,
        "method": method,
        "trigger": "",
        "source": "contoso",
    }
    return _changed(event(number), **parts, **changes)


def kept_body(number: int) -> AnsweredCall:
    """Return a body that went to quarantine, with the longest reason, in characters of four bytes each."""
    detail = _fresh("\U0001d4c2" * 150)
    parts = {"http_status": 422, "outcome": "quarantined", "status": "", "entity": "", "routing_key": ""}
    return _changed(event(number), **parts, detail=detail)


def _changed(call: AnsweredCall, **parts: object) -> AnsweredCall:
    known = {name: getattr(call, name) for name in call.__struct_fields__}
    return AnsweredCall(**{**known, **parts})


def main(arguments: Sequence[str]) -> int:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--browsers", action="store_true", help="five pages in a real Chromium")
    parser.add_argument("--quick", action="store_true", help="only what needs no broker and no bridge")
    parser.add_argument("--rounds", type=int, default=_ROUNDS)
    parser.add_argument("--seconds", type=float, default=_ROUND_S)
    parser.add_argument("--open", metavar="URL", help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.open:
        asyncio.run(_open(chosen.open))
        return 0
    for name, make in (("events", event), ("refusals", refusal), ("bodies in quarantine", kept_body)):
        rows, everything = feed_mb(make)
        print(f"feed full of {name}: rows {rows:.1f} MiB, with the last messages {everything:.1f} MiB")
    print(f"five pages at {RATE:,.0f} events a second: {told_ms():.1f} ms of processor time a second")
    if chosen.quick:
        return 0
    opened: Opened = browsers if chosen.browsers else readers
    with broker(best_installation()) as node:
        receiver = bridge(place(node, "console"), journal=True, name="console")
        try:
            receiver.start()
            measure_full(receiver, 1.0)
            print("\n".join(compare(receiver, opened, chosen.rounds, chosen.seconds)))
        finally:
            receiver.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
