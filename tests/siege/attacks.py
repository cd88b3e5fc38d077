"""What anybody can do to a bridge by connecting to it, each attack as a process of its own.

    python -m tests.siege.attacks ORDERS.json

An attack keeps so many callers; each connects from one of many loopback addresses, does its worst until the
bridge ends the connection, and comes back. Paces bound how many come, and come back, in a second: what a line
or a kernel can take is no matter of the bridge. SIGTERM ends it; it then prints what it has done.
"""

import asyncio
import contextlib
import functools
import itertools
import signal
import socket
import ssl
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec

ADDRESSES: Final = [f"127.0.2.{last}" for last in range(1, 61)]
"""Strangers; none of them may use up more than its own part."""

PROXIES: Final = [f"127.0.4.{last}" for last in range(1, 5)]
"""Trusted proxies, which may open any number of connections."""

HONEST: Final = "127.0.0.1"
"""The listed address through which the honest sender comes, and some guessers too."""

PATH: Final = "/webhooks/contoso/class-changed"
LEAKED_PATH: Final = "/webhooks/fabrikam/class-changed"
LEAKED_KEY: Final = "leaked"
"""The credential of another source, which an attacker has found."""

_ROOM_BYTES: Final = 8192
_TRICKLE_S: Final = 1.0
_ENDLESS: Final = b"".join(b"X-%d: %s\r\n" % (number, b"x" * 8000) for number in range(40))
_PIPELINED: Final = 100
_ASK_AGAIN_S: Final = 0.25


class Orders(msgspec.Struct, frozen=True, kw_only=True):
    """What to do, and where.

    Attributes:
        attack: a name in ATTACKS.
        http, admin: the ports of the two listeners on 127.0.0.1.
        share: of its own paces, where several attacks share one machine.
    """

    attack: str
    http: int
    admin: int
    share: float = 1.0


class Done(msgspec.Struct, kw_only=True):
    """What an attack has done.

    Attributes:
        opened: connections that the bridge's kernel took.
        most: how many were open at once.
        refused: connects that failed.
        answers: what was answered, by HTTP status; where nothing was read, none.
    """

    opened: int = 0
    most: int = 0
    refused: int = 0
    answers: dict[str, int] = msgspec.field(default_factory=dict)


class Caller(msgspec.Struct, frozen=True):
    """One connection of an attacker; `number` counts the callers of a listener."""

    number: int
    listener: str
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        """Send, as fast as it is taken."""
        self.writer.write(data)
        await self.writer.drain()

    async def trickle(self, data: Iterator[int]) -> None:
        """Send a byte a second for as long as the bridge lets us."""
        for byte in data:
            if self.reader.at_eof():
                return
            await self.send(bytes([byte]))
            await asyncio.sleep(_TRICKLE_S)

    async def status(self) -> str:
        """Read an answer to its end, and return its status."""
        answer = await self.reader.read()
        return answer[9:12].decode(errors="replace")


Behaviour = Callable[[Caller], Awaitable[str | None]]
"""Does something with a fresh connection; returns the HTTP status of what was answered, where it was read."""


async def send_an_endless_head(caller: Caller) -> str:
    caller.writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n" + _ENDLESS)  # the answer comes before all is taken
    return await caller.status()


async def say_nothing(caller: Caller) -> None:
    await caller.reader.read()


async def send_a_head_slowly(caller: Caller) -> None:
    await caller.trickle(
        itertools.cycle(f"GET {PATH} HTTP/1.1\r\nHost: x\r\nX-Slow: ".encode() + b"x" * 9000)
    )


async def send_a_body_slowly(caller: Caller) -> None:
    """Every fourth knows the credentials of another source, so that its body is waited for."""
    path = LEAKED_PATH if caller.number % 4 == 0 else PATH
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nX-Key: {LEAKED_KEY}\r\nContent-Length: 9000\r\n\r\n"
    await caller.send(head.encode())
    await caller.trickle(iter(b"{" + b" " * 8999))


async def read_no_answer(caller: Caller) -> None:
    """Ask again and again until nothing more is taken; half of them in pipelined requests."""
    path = PATH if caller.listener == "http" else "/metrics"
    one_by_one = caller.number % 2
    for _ in itertools.count():
        await caller.send(
            f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode() * (1 if one_by_one else _PIPELINED)
        )
        await asyncio.sleep(_ASK_AGAIN_S if one_by_one else 0)


async def guess(caller: Caller) -> str:
    """Show wrong credentials."""
    line, path = f"Authorization: Basic d3Jvbmc6{caller.number:04}", PATH
    if caller.listener == "admin":
        line, path = f"Authorization: Bearer wrong-{caller.number}", "/api/v1/status"
    method = "POST" if caller.listener == "http" else "GET"
    await caller.send(f"{method} {path} HTTP/1.1\r\nHost: x\r\n{line}\r\nContent-Length: 0\r\n\r\n".encode())
    return await caller.status()


async def ask_for_what_is_not_there(caller: Caller) -> str:
    await caller.send(
        f"GET /wp-login.php?{caller.number} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
    )
    return await caller.status()


async def cut_a_proxy_header_short(caller: Caller) -> None:
    starts = (b"PROXY TCP4 203.0.113.7 10.0", b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xcb", b"PROXY", b"")
    await caller.send(starts[caller.number % len(starts)])
    if caller.number % 8 < len(starts):  # the others hang up
        await caller.reader.read()


async def never_finish_a_handshake(caller: Caller) -> None:
    """Half of them send a whole hello, which costs an answer; the others a part of one."""
    hello = _hello()
    await caller.send(hello if caller.number % 2 else hello[:60])
    await asyncio.sleep(3600)


@functools.cache
def _hello() -> bytes:
    """Return what a TLS client sends first; made once, for attackers are cheap."""
    context = ssl.create_default_context()
    context.check_hostname = False
    sent = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), sent).do_handshake()
    return sent.read()


class Attack(msgspec.Struct, frozen=True, kw_only=True):
    """One of them.

    Attributes:
        title: for the table.
        callers: how many there are at once.
        come_per_s: how many begin in a second.
        return_per_s: how many of those whose connection was ended come back in a second.
        behave: what each does.
        addresses: where they come from.
        listeners: whom they call.
        tls: the listeners that have to be encrypted for it.
        expected: the HTTP statuses one of which must have been seen, else it was no attack.
    """

    title: str
    callers: int
    behave: Behaviour
    come_per_s: float = 300.0
    return_per_s: float = 100.0
    addresses: tuple[str, ...] = tuple(ADDRESSES)
    listeners: tuple[str, ...] = ("http", "admin")
    tls: frozenset[str] = frozenset()
    expected: frozenset[str] = frozenset()


ATTACKS: Final[Mapping[str, Attack]] = {
    "heads": Attack(
        title="2,000 endless heads",
        callers=2000,
        behave=send_an_endless_head,
        come_per_s=200.0,
        expected=frozenset({"431"}),
    ),
    "idle": Attack(title="5,000 who say nothing", callers=5000, behave=say_nothing, come_per_s=500.0),
    "slow-heads": Attack(title="heads, a byte a second", callers=1000, behave=send_a_head_slowly),
    "slow-bodies": Attack(title="bodies, a byte a second", callers=1000, behave=send_a_body_slowly),
    "unread": Attack(title="answers that nobody reads", callers=1000, behave=read_no_answer),
    "guesses": Attack(
        title="wrong credentials",
        callers=200,
        behave=guess,
        return_per_s=500.0,
        addresses=(*ADDRESSES[:3], HONEST),
        expected=frozenset({"401", "429"}),
    ),
    "unknown-paths": Attack(
        title="unknown paths",
        callers=100,
        behave=ask_for_what_is_not_there,
        return_per_s=500.0,
        expected=frozenset({"404"}),
    ),
    "proxy-headers": Attack(
        title="PROXY headers cut short",
        callers=1000,
        behave=cut_a_proxy_header_short,
        addresses=tuple(PROXIES),
        listeners=("http",),
    ),
    "handshakes": Attack(
        title="TLS handshakes never finished",
        callers=1000,
        behave=never_finish_a_handshake,
        tls=frozenset({"http", "admin"}),
    ),
}


class Pace:
    """Lets so many begin in a second."""

    def __init__(self, per_s: float) -> None:
        self._interval_s = 1 / per_s
        self._due = 0.0

    async def turn(self) -> None:
        """Wait for one's turn."""
        now = asyncio.get_running_loop().time()
        self._due = max(self._due + self._interval_s, now - 0.1)
        await asyncio.sleep(self._due - now)


async def _connect(address: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect from an address, with little room of one's own, for both sides share a kernel here."""
    caller = socket.socket()
    try:
        for room in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            caller.setsockopt(socket.SOL_SOCKET, room, _ROOM_BYTES)
        caller.settimeout(0)
        caller.bind((address, 0))
        await asyncio.get_running_loop().sock_connect(caller, ("127.0.0.1", port))
        return await asyncio.open_connection(sock=caller)
    except BaseException:
        caller.close()
        raise


class Attacker:
    """Runs one attack."""

    def __init__(self, orders: Orders) -> None:
        self._attack = ATTACKS[orders.attack]
        self._ports = {"http": orders.http, "admin": orders.admin}
        self._coming = Pace(self._attack.come_per_s * orders.share)
        self._returning = Pace(self._attack.return_per_s * orders.share)
        self._open = 0
        self._answers = Counter[str]()
        self.done = Done()

    async def run(self) -> None:
        """Attack until cancelled."""
        async with asyncio.TaskGroup() as group:
            for number in range(self._attack.callers):
                group.create_task(self._call_again_and_again(number))

    async def _call_again_and_again(self, number: int) -> None:
        listeners, addresses = self._attack.listeners, self._attack.addresses
        listener = listeners[number % len(listeners)]
        address = addresses[number // len(listeners) % len(addresses)]
        await self._coming.turn()
        while True:
            try:
                reader, writer = await _connect(address, self._ports[listener])
            except OSError:
                self.done.refused += 1
            else:
                await self._behave(Caller(number // len(listeners), listener, reader, writer))
            await self._returning.turn()

    async def _behave(self, caller: Caller) -> None:
        self._open += 1
        self.done.opened += 1
        self.done.most = max(self.done.most, self._open)
        try:
            with contextlib.suppress(OSError):
                status = await self._attack.behave(caller)
                if status:
                    self._answers[status] += 1
        finally:
            self._open -= 1
            caller.writer.transport.abort()

    def sum_up(self) -> Done:
        """Return what was done."""
        self.done.answers = dict(sorted(self._answers.items()))
        return self.done


async def run(orders: Orders) -> Done:
    """Attack until SIGTERM."""
    attacker = Attacker(orders)
    attack = asyncio.create_task(attacker.run())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, attack.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await attack
    return attacker.sum_up()


if __name__ == "__main__":
    done = asyncio.run(run(msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Orders)))
    sys.stdout.buffer.write(msgspec.json.encode(done) + b"\n")
