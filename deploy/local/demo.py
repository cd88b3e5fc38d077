"""The demonstration: a broker, the bridge, the twelve events as TMS would send them, and what arrived.

`--stay` keeps everything up afterwards and shows what else arrives. Whatever was started here is gone
when this program is, however it ends.
"""

import argparse
import asyncio
import os
import secrets
import signal
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import aio_pika
import aiohttp
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bridge import Address, Bridge, BridgeFailedError, tms_settings
from bus import EXCHANGE, Inbox, listening
from packages import NotInstalledError
from rabbitmq import BrokerFailedError, Node

ROOT = Path(__file__).resolve().parents[2]
BODIES = ROOT / "examples" / "bodies"
EVENTS = {
    "course-assignment": ("started", "completed", "expired", "cancelled"),
    "class": (
        "requested",
        "tentative",
        "scheduled",
        "guaranteed_to_run",
        "cancelled",
        "denied",
        "rescheduled",
        "completed",
    ),
}
"""The trigger events by the start of their path, and the statuses of each, as TMS documents them."""

_ARRIVE_TIMEOUT_S = 15.0
_CONNECT_TIMEOUT_S = 5.0
_INTERRUPTED = 130


class DemoFailedError(Exception):
    """An event did not arrive as it should; the text says which."""


@dataclass
class Event:
    """One webhook: what is sent, what was answered, and what arrived.

    Attributes:
        trigger: the start of its path.
        status: the status that its body tells.
        sent_at: monotonic time of the call.
        http_status: of the answer.
        id: as the bridge answered it; empty when it refused.
        detail: why it refused.
    """

    trigger: str
    status: str
    sent_at: float = 0.0
    http_status: int = 0
    id: str = ""
    detail: str = ""

    @property
    def routing_key(self) -> str:
        """Where it must arrive."""
        return f"tms.{self.trigger.replace('-', '_')}.{self.status}"

    @property
    def body(self) -> bytes:
        """The sample body that stands for it."""
        return (BODIES / f"{self.trigger}-{self.status}.json").read_bytes()


class Arrival(NamedTuple):
    """How one event reached the consumer."""

    routing_key: str
    latency_ms: float


def main(arguments: Sequence[str]) -> int:
    """Run the demonstration; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stay", action="store_true", help="stay up until interrupted")
    options = parser.parse_args(arguments)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    console = Console(highlight=False)
    try:
        _run(console, stay=options.stay)
    except KeyboardInterrupt:
        console.print("stopped; nothing is left running")
        return 0 if options.stay else _INTERRUPTED
    except (
        DemoFailedError,
        BridgeFailedError,
        BrokerFailedError,
        NotInstalledError,
        aio_pika.exceptions.AMQPError,
        aiohttp.ClientError,
        OSError,
    ) as error:
        Console(stderr=True, highlight=False).print(f"[bold red]demo failed:[/] {escape(str(error))}")
        return 1
    return 0


def _run(console: Console, *, stay: bool) -> None:
    with ExitStack() as started:
        amqp_url = _broker(console, started)
        bridge = Bridge(amqp_url, address=lasting_address() if stay else None)
        started.callback(bridge.close)
        with _step(console, "bridge ", bridge.url):
            bridge.start()
        asyncio.run(_demonstrate(console, bridge, amqp_url, stay=stay))
        with _step(console, "stopped", "the bridge drained and ended"):
            bridge.stop()


def _broker(console: Console, started: ExitStack) -> str:
    """Return the URL of the given broker, or of a private one that ends with the stack."""
    given = os.environ.get("AMQP_URL")
    if given:
        with _step(console, "broker ", f"AMQP_URL, on {_host(given)}"):
            asyncio.run(_try(given))
        return given
    node = Node()
    started.callback(node.close)
    with _step(console, "broker ", f"a private RabbitMQ on 127.0.0.1:{node.port}"):
        node.start()
    return node.url


def _host(amqp_url: str) -> str:
    """Return host and port of a URL, and nothing of its password."""
    try:
        parts = urlsplit(amqp_url)
        scheme, host, port = parts.scheme, parts.hostname, parts.port
    except ValueError:
        scheme, host, port = "", None, None
    if scheme not in ("amqp", "amqps") or host is None:
        raise DemoFailedError("AMQP_URL is no AMQP URL; write amqp://user:password@host:5672/")
    return f"{host}:{port}" if port else host


async def _try(amqp_url: str) -> None:
    """Connect once: a broker that is not there is to be told here, not at the first event.

    Raises:
        DemoFailedError: nobody answers, or nobody lets us in.
    """
    try:
        connection = await aio_pika.connect(amqp_url, timeout=_CONNECT_TIMEOUT_S)
    except (aio_pika.exceptions.AMQPError, OSError, TimeoutError) as error:
        reason = str(error) or type(error).__name__
        raise DemoFailedError(
            f"the broker of AMQP_URL, {_host(amqp_url)}, does not let us in: {reason}\n"
            "Start it, or unset AMQP_URL: then a private one is started here."
        ) from None
    await connection.close()


def lasting_address() -> Address:
    """Return the ports and the password of `make run`: the same each time, so that a tunnel stays good."""
    file = ROOT / "var" / "run-password"
    if not file.exists():
        file.parent.mkdir(exist_ok=True)
        file.touch(mode=0o600)
        file.write_text(secrets.token_urlsafe(12))
    password = os.environ.get("RUN_PASSWORD") or file.read_text().strip()
    return Address(_port("HTTP_PORT", 8080), _port("ADMIN_PORT", 8081), password)


def _port(name: str, default: int) -> int:
    """Return the port that a variable names; taken ports are told with it, before anything starts."""
    port = int(os.environ.get(name) or default)
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise DemoFailedError(
                f"port {port} cannot be used ({error.strerror}); choose another: {name}=18080 make run"
            ) from None
    return port


@contextmanager
def _step(console: Console, name: str, what: str) -> Iterator[None]:
    begun = time.monotonic()
    with console.status(f"{name.strip()} …"):
        yield
    console.print(f"[green]✓[/] {name}  {escape(what)} [dim]({time.monotonic() - begun:.1f} s)[/]")


async def _demonstrate(console: Console, bridge: Bridge, amqp_url: str, *, stay: bool) -> None:
    events = [Event(trigger, status) for trigger, statuses in EVENTS.items() for status in statuses]
    async with listening(amqp_url) as inbox:
        with _step(console, "sent   ", f"{len(events)} webhooks, as TMS does"):
            await _send(bridge, events)
        with _step(console, "arrived", f"through the exchange {EXCHANGE}"):
            complaints = await _missing(inbox, events)
        arrivals = _arrivals(inbox, events)
        console.print(_table(events, arrivals))
        complaints += _strayed(events, arrivals)
        if complaints:
            raise DemoFailedError("\n".join([*complaints, "the bridge's log:", bridge.log]))
        keys = {arrival.routing_key for arrival in arrivals.values()}
        console.print(f"{len(arrivals)} events arrived on {len(keys)} routing keys")
        if stay:
            await _stay(console, bridge, amqp_url, inbox)


async def _send(bridge: Bridge, events: list[Event]) -> None:
    """Call the bridge as TMS does: one POST for each event, with the configured header."""
    headers = {"Authorization": bridge.authorization, "Content-Type": "application/json"}
    async with aiohttp.ClientSession(bridge.url, headers=headers) as session:
        for event in events:
            event.sent_at = time.monotonic()
            path = f"/webhooks/contoso/{event.trigger}-changed"
            async with session.post(path, data=event.body) as response:
                event.http_status = response.status
                answer = await response.json(content_type=None)
                event.id = answer.get("id", "")
                event.detail = answer.get("detail", "")


async def _missing(inbox: Inbox, events: list[Event]) -> list[str]:
    """Wait for everything that was accepted; return a complaint for each event that did not come."""
    accepted = {event.id for event in events if event.id}
    with suppress(TimeoutError):
        await inbox.wait_for(accepted, timeout_s=_ARRIVE_TIMEOUT_S)
    came = {message.message_id for _, message in inbox.messages}
    return [
        f"{event.routing_key}: {'not on the bus' if event.id else event.detail} (answer {event.http_status})"
        for event in events
        if event.id not in came
    ]


def _arrivals(inbox: Inbox, events: list[Event]) -> dict[str, Arrival]:
    sent_at = {event.id: event.sent_at for event in events}
    return {
        message.message_id: Arrival(message.routing_key or "", (at - sent_at[message.message_id]) * 1000)
        for at, message in inbox.messages
        if message.message_id in sent_at
    }


def _strayed(events: list[Event], arrivals: dict[str, Arrival]) -> list[str]:
    return [
        f"{event.routing_key}: arrived on {arrivals[event.id].routing_key} instead"
        for event in events
        if event.id in arrivals and arrivals[event.id].routing_key != event.routing_key
    ]


def _table(events: list[Event], arrivals: dict[str, Arrival]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for heading in ("TMS sent", "answer", "arrived on routing key"):
        table.add_column(heading, no_wrap=True)
    table.add_column("after", justify="right", no_wrap=True)
    for event in events:
        arrival = arrivals.get(event.id)
        key = f"[green]{arrival.routing_key}[/]" if arrival else "[red]missing[/]"
        after = f"{arrival.latency_ms:.1f} ms" if arrival else ""
        sent = f"{event.trigger.replace('-', ' ').capitalize()}: {event.status.replace('_', ' ')}"
        table.add_row(sent, str(event.http_status), key, after)
    return table


async def _stay(console: Console, bridge: Bridge, amqp_url: str, inbox: Inbox) -> None:
    """Say where everything is, then show what arrives until interrupted."""
    public = os.environ.get("PUBLIC_URL", bridge.url)
    console.print(f"\nwebhooks  {bridge.url}/webhooks/contoso/…\nadmin     {bridge.admin_url}/metrics")
    console.print(f"broker    {escape(amqp_url)}\nsettings  {escape(str(bridge.configuration))}\n")
    settings = await asyncio.to_thread(tms_settings, bridge, "contoso", public)
    console.print(escape(settings), soft_wrap=True)  # what is pasted into TMS must not be folded
    if public == bridge.url:
        console.print(
            "TMS cannot reach this address: put a tunnel in front, and PUBLIC_URL=https://… make run"
        )
    console.print("what arrives now (Ctrl-C ends everything):")
    shown = len(inbox.messages)
    while True:
        await inbox.wait_for_more_than(shown)
        for _, message in inbox.messages[shown:]:
            console.print(f"  {message.routing_key}  {message.message_id}")
        shown = len(inbox.messages)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
