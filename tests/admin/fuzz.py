"""A fuzz of the admin API, and of the lines of an import, against a bridge that runs.

`python -m tests.admin.fuzz 100000` does so many calls and as many lines, from the seed that it prints.
"""

import asyncio
import json
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.admin.live import Live, live_bridge
from tests.waiting import patience

EXPECTED = frozenset({200, 400, 401, 403, 404, 405, 408, 409, 413, 417, 422, 431, 503})
IDS = (
    *("none", "0", ".", "..", "%2e%2e", "%ff%fe", "%00", "%0a", "a%0a", "%F0%9F%A6%80", "%ED%A0%80", "a%2Fb"),
    *(
        "a" * 64,
        "a" * 65,
        "a" * 4000,
        "'",
        "%27%20OR%201=1--",
        "?",
        "%3F",
        "retry",
        "replay",
        "*",
        "%",
        "%zz",
    ),
)
NUMBERS = (
    *(
        "0",
        "1",
        "-1",
        "+1",
        "00001",
        "0" * 20 + "9" * 30,
        "9" * 19,
        "9" * 20,
        "9" * 4400,
        "1e3",
        "0x10",
        "1_0",
    ),
    *("9223372036854775807", "9223372036854775808", "18446744073709551616", "4611686018427387905", "", " 1"),
    *("%D9%A1", "%C2%B2", "%ff", "nan", "inf", "null", "1000", "1001", "501", "2", "50"),
)
STATES = ("pending", "refused", "held", "undecodable", "", "x", "%ff", "PENDING", "pending%00")
PATHS = (
    *(
        "outbox",
        "outbox/{id}",
        "outbox/{id}/retry",
        "quarantine",
        "quarantine/{id}",
        "quarantine/{id}/replay",
    ),
    *("quarantine/{id}/release", "events", "status", "openapi.json", "", "{id}", "outbox/{id}/{id}"),
)
VALUES: tuple[object, ...] = (
    *(0, -1, 1, 2**31, 2**53, 2**63 - 1, 2**63, 2**64, 2**70, 10**400, -(2**63) - 1, 1.5, 1e308, True, None),
    *("", "x", "\x00", "\ud800", "\udfff", "a" * 256, "a" * 70_000, "\n", "\x1b[2J", "../../x", "é" * 200),
    *(
        [],
        {},
        [[]],
        "pending",
        "refused",
        "held",
        "undecodable",
        "event",
        "quarantine",
        "_w==",
        "====",
        "AAA",
    ),
)
ROW: dict[str, object] = {
    "state": "pending",
    "seq": 1,
    "why": "",
    "seen": 1,
    "id": "",
    "kind": "event",
    "source": "contoso",
    "trigger": "class",
    "status": "completed",
    "routing_key": "tms.class.completed",
    "entity": "7",
    "received_at_us": 1_785_000_000_000_000,
    "digest": "0" * 64,
    "replayed": False,
    "reason": "",
    "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "body": "e30=",
}


class Caller:
    """Calls the admin API with any bytes, over a connection that it keeps while it may."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def call(
        self, method: bytes, target: bytes, body: bytes = b"", more: bytes = b""
    ) -> tuple[int, bytes]:
        """Make one call; return status and body."""
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port, limit=1 << 24)
        reader, writer = self._streams
        head = b"%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n" % (method, target, len(body))
        writer.write(head + more + b"\r\n" + body)
        async with patience():
            lines = (await reader.readuntil(b"\r\n\r\n")).lower().split(b"\r\n")
            headers = dict(line.split(b": ", 1) for line in lines[1:] if b": " in line)
            content = await reader.readexactly(int(headers.get(b"content-length", b"0")))
        if headers.get(b"connection") == b"close":
            await self.close()
        return int(lines[0].split()[1]), content

    async def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


class Fuzz:
    """The calls and lines of one seed; what was answered, counted."""

    def __init__(self, bridge: Live, seed: int) -> None:
        self._random = random.Random(seed)
        self._bridge = bridge
        self._caller = Caller(bridge.admin)
        self.answers: Counter[int] = Counter()
        self.wrong: list[str] = []
        """What was answered as it must not be."""

    async def calls(self, count: int) -> None:
        for _ in range(count):
            method, target, body = self._call()
            status, content = await self._caller.call(method, target, body)
            self._note(status, content, f"{method!r} {target[:200]!r} {body[:80]!r}")

    async def lines(self, count: int) -> None:
        for number in range(count):
            before = self._random.choice((0, 0, 0, 2))
            line = self._line(number)
            status, content = await self._caller.call(
                b"POST", b"/api/v1/outbox", b"\n" * before + line, b"Content-Type: application/x-ndjson\r\n"
            )
            self._note(status, content, repr(line[:200]))
            if status == 400 and b"line %d " % (before + 1) not in content:
                self.wrong.append(f"{content!r} does not name line {before + 1}")

    async def look(self) -> None:
        """Read all that is stored now, page by page; nothing in it may stand in the way."""
        for noun, state in (
            ("outbox", "pending"),
            ("outbox", "refused"),
            ("quarantine", "held"),
            ("quarantine", "undecodable"),
        ):
            after = 0
            while True:
                target = f"/api/v1/{noun}?state={state}&after={after}&limit=200".encode()
                status, content = await self._caller.call(b"GET", target)
                rows = json.loads(content)["rows"] if status == 200 else []
                self._note(status, content, target.decode())
                if not rows:
                    break
                after = rows[-1]["seq"]

    async def close(self) -> None:
        await self._caller.close()

    def _note(self, status: int, content: bytes, what: str) -> None:
        self.answers[status] += 1
        if status not in EXPECTED:
            self.wrong.append(f"{status} for {what}: {content[:300]!r}")

    def _call(self) -> tuple[bytes, bytes, bytes]:
        pick = self._random.choice
        method = pick(("GET", "GET", "GET", "POST", "DELETE", "PUT", "HEAD2"))
        path = "/api/v1/" + pick(PATHS).replace("{id}", pick(IDS))
        query = "&".join(
            f"{name}={pick(values)}"
            for name, values in (("after", NUMBERS), ("limit", NUMBERS), ("state", STATES), ("as", IDS))
            if self._random.random() < 0.4
        )
        noise = "?" + query if query else ""
        body = self._random.randbytes(self._random.randrange(40)) if method == "POST" else b""
        return method.encode(), (path + noise).encode(), body

    def _line(self, number: int) -> bytes:
        """An exported row with one to three of its parts spoilt, or with its bytes spoilt."""
        row = {**ROW, "id": f"fuzz-{number}"}
        for _ in range(self._random.randrange(4)):
            name = self._random.choice(list(ROW))
            if self._random.random() < 0.2:
                row.pop(name, None)
            else:
                row[name] = self._random.choice(VALUES)
        text = bytearray(json.dumps(row).encode())
        if self._random.random() < 0.2:
            for _ in range(self._random.randrange(1, 4)):
                text[self._random.randrange(len(text))] = self._random.randrange(256)
        if self._random.random() < 0.02:
            text = bytearray(
                self._random.choice((b"[" * 50_000, b'{"a":' * 50_000, text[:-5], b"\x00", b"\xef\xbb\xbf{}"))
            )
        return bytes(text.replace(b"\n", b" "))


async def run(directory: Path, count: int, seed: int) -> Counter[int]:
    """Do so many calls and lines, then see that the bridge is alive and serves."""
    async with live_bridge(directory) as bridge:
        fuzz = Fuzz(bridge, seed)
        for number in range(20):
            assert 202 == await bridge.webhook(number)
        await fuzz.calls(count)
        await fuzz.lines(count)
        await fuzz.look()
        await fuzz.calls(min(count, 1000))  # now with rows of all kinds in it
        await fuzz.close()
        assert [] == fuzz.wrong[:20]
        assert 202 == await bridge.webhook(99)
        assert bridge.alive
        assert [] == bridge.defects()[:3]
        return fuzz.answers


def main() -> None:
    """Run as a program."""
    count, seed = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(1 << 32)
    print(f"seed {seed}")  # noqa: T201 - a program for people
    with tempfile.TemporaryDirectory() as directory:
        print(dict(asyncio.run(run(Path(directory), count, seed))))  # noqa: T201 - as above


if __name__ == "__main__":
    main()
