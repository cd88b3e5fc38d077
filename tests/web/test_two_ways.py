"""The short way and the long way side by side: nobody can tell them apart by what is answered or kept."""

import asyncio
import contextlib
import itertools
import random
import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.waiting import until
from tests.web.running import AUTHORIZATION, SOURCE, Bridge, request, serve

from tms_bridge.settings.model import Http

SMUGGLED = request(b'{"Id": 6, "ConfirmationStatusId": 7}')
CHUNKED = request(b"", Content_Length="", Transfer_Encoding="chunked")
EVENTS = [b'{"Id": %d, "ConfirmationStatusId": 7}' % number for number in range(3)]
FIRST = request(EVENTS[0])
USUAL = [request(body) for body in EVENTS]
UNUSUAL = [
    request(EVENTS[1], Authorization="", X_Api_Key="s3cret-key"),
    request(EVENTS[1], Authorization="", x_api_key="s3cret-key"),
    request(EVENTS[1], Expect="100-continue"),
    request(EVENTS[1], Connection="Upgrade", Upgrade="websocket"),
    request(EVENTS[1], Connection="close"),
    request(EVENTS[1], Authorization=AUTHORIZATION + "x"),
    request(EVENTS[1], path="/webhooks/contoso/class%2Dchanged"),
    request(EVENTS[1], path="http://elsewhere/webhooks/contoso/class-changed"),
    request(EVENTS[1], path="/webhooks/fabrikam/class-changed"),
    request(EVENTS[1], Content_Length=f"{len(EVENTS[1]):05d}"),
    request(EVENTS[1], Content_Length=f"+{len(EVENTS[1])}"),
    request(EVENTS[1], Content_Length=f"{len(EVENTS[1])}\r\nContent-Length: {len(EVENTS[1])}"),
    request(EVENTS[1], X_Folded="one\r\n two"),
    request(EVENTS[1], X_Nothing="\0"),
    request(EVENTS[1], Content_Length="4"),
    request(b"x" * len(EVENTS[1])),
    request(SMUGGLED),
    request(b""),
    request(b"x" * 300),
    request(EVENTS[1]).replace(b"HTTP/1.1", b"HTTP/1.0"),
    request(EVENTS[1], Connection="keep-alive").replace(b"HTTP/1.1", b"HTTP/1.0"),
    request(EVENTS[1]).replace(b"\r\n", b"\n"),
    request(EVENTS[1]).replace(b"\r\n\r\n", b"\r\n\n"),
    request(EVENTS[1]).replace(b"\r\nHost", b"\nHost"),
    b"\r\n" + request(EVENTS[1]),
    request(EVENTS[1]) + b"\r\n",
    CHUNKED + b"%x\r\n%b\r\n0\r\n\r\n" % (len(EVENTS[1]), EVENTS[1]),
    CHUNKED + b"%x;a=b\r\n%b\r\n0\r\nX-Late: 1\r\n\r\n" % (len(EVENTS[1]), EVENTS[1]),
    request(method="GET", body=b""),
    request(method="GET", body=b"GET /livez"),
    request(method="GET", body=SMUGGLED, Connection="Upgrade", Upgrade="websocket"),
    request(method="HEAD", body=b""),
    request(method="PUT"),
    b"GET /livez HTTP/1.1\r\nHost: bridge\r\n\r\n",
    b"\x16\x03\x01 no HTTP at all\r\n\r\n",
]

LAST = b"GET /livez HTTP/1.1\r\nHost: bridge\r\nConnection: close\r\n\r\n"
VARYING = re.compile(rb'(?<=Date: )[^\r]+|(?<=X-Request-Id: )\w+|(?<="request_id":")\w+')


@dataclass(frozen=True)
class Sending:
    """Requests that follow each other on one connection, and where the stream of their bytes is cut."""

    requests: Sequence[bytes]
    cuts: Sequence[int] = ()

    def segments(self) -> list[bytes]:
        """Return what is sent at once."""
        stream = b"".join(self.requests)
        places = [0, *sorted({1 + cut % len(stream) for cut in self.cuts} - {len(stream)}), len(stream)]
        return [stream[start:end] for start, end in itertools.pairwise(places)]


@dataclass(frozen=True)
class HangingUp:
    """A caller who sends this and is gone before it is durable."""

    request: bytes


Step = Sending | HangingUp


@dataclass
class Transcript:
    """All that the callers and the outbox have seen."""

    told: list[bytes] = field(default_factory=list)
    kept: list[str | None] = field(default_factory=list)
    quarantined: list[bytes] = field(default_factory=list)
    answered: list[int] = field(default_factory=list)
    taken_back: list[int] = field(default_factory=list)
    logged: list[tuple[object, ...]] = field(default_factory=list)


async def send(bridge: Bridge, sending: Sending) -> bytes:
    """Return all that was answered, up to the end of the connection."""
    loop, answered = asyncio.get_running_loop(), b""
    with socket.socket() as caller:
        caller.settimeout(0)
        caller.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await loop.sock_connect(caller, ("127.0.0.1", bridge.port))
        with contextlib.suppress(ConnectionError):  # it was refused, and says so
            for segment in [*sending.segments(), LAST]:
                await loop.sock_sendall(caller, segment)
                for _ in range(20):  # what came whole is answered by then
                    await asyncio.sleep(0)
        with contextlib.suppress(ConnectionResetError):  # what it did not read of us; its answer came first
            while chunk := await loop.sock_recv(caller, 65_536):
                answered += chunk
    return answered


async def hang_up(bridge: Bridge, raw: bytes) -> None:
    """Send a request, be gone, and let it become durable after that."""
    before = len(bridge.lines.of("webhook"))
    bridge.shelf.open.clear()
    _, writer = await bridge.connect()
    writer.write(raw)
    await until(lambda: bridge.webhooks.in_flight.count == 1)
    writer.transport.abort()
    await until(lambda: all(one.transport is None for one in bridge.server.connections))
    bridge.shelf.open.set()
    await until(lambda: len(bridge.lines.of("webhook")) > before)


async def play(steps: Sequence[Step], *, short_way: bool) -> tuple[Transcript, int]:
    """Return what was seen of these steps, and how many requests took the short way."""
    http = Http(deadline_s=2.0, max_body_bytes=250)
    transcript = Transcript()
    async with serve(http, {"contoso": SOURCE}, short_way=short_way) as bridge:
        for step in steps:
            if isinstance(step, Sending):
                transcript.told.append(await send(bridge, step))
            else:
                await hang_up(bridge, step.request)
        shelf = bridge.shelf
    transcript.told = [
        anonymous(told, [m.id for m in shelf.accepted + shelf.quarantined]) for told in transcript.told
    ]
    transcript.kept = [message.entity for message in shelf.accepted]
    transcript.quarantined = [message.body for message in shelf.quarantined]
    transcript.answered, transcript.taken_back = shelf.answered, shelf.taken_back
    told = ("outcome", "http_status", "source", "status", "remote", "detail", "answered")
    transcript.logged = [tuple(line.get(name) for name in told) for line in bridge.lines.of("webhook")]
    return transcript, len(bridge.short)


def anonymous(answers: bytes, ids: Sequence[str]) -> bytes:
    """Return answers with their places in the outbox for ids, and without what differs each time."""
    for place, event_id in enumerate(ids):
        answers = answers.replace(event_id.encode(), b"event %d" % place)
    return VARYING.sub(b"", answers)


SENDINGS = st.builds(
    Sending,
    st.lists(st.sampled_from(USUAL) | st.sampled_from(USUAL + UNUSUAL), min_size=1, max_size=5),
    st.lists(st.integers(0, 2000), max_size=6),
)
STEPS = st.lists(SENDINGS | SENDINGS | st.builds(HangingUp, st.sampled_from(USUAL)), min_size=1, max_size=4)


@settings(max_examples=80)
@given(STEPS)
def test_both_ways_answer_keep_and_log_the_same(steps: list[Step]) -> None:
    steps = [Sending([FIRST]), *steps]
    long, none = asyncio.run(play(steps, short_way=False))
    short, _ = asyncio.run(play(steps, short_way=True))

    assert none == 0
    assert long == short


def test_pipelined_and_split_streams_end_the_same() -> None:
    """Four hundred streams, the same each time; what fails here is replayed by its seed."""
    rounds, streams, took_the_short_way = 40, 10, 0
    for seed in range(rounds):
        draw = random.Random(seed)
        steps: list[Step] = [
            Sending(
                draw.choices(USUAL + UNUSUAL, k=draw.randint(1, 8)),
                [draw.randrange(2000) for _ in range(draw.randint(0, 12))],
            )
            for _ in range(streams)
        ]
        long, _ = asyncio.run(play(steps, short_way=False))
        short, count = asyncio.run(play(steps, short_way=True))
        took_the_short_way += count

        assert long == short, f"seed {seed}"
    assert took_the_short_way > rounds
