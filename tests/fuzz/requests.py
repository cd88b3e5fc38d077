"""Streams of requests as a stranger, a proxy or TMS might send them, and what may come of each.

Every request that could be taken for an event has a number of its own as its entity's id. So whoever looks
into the outbox afterwards can tell for each event which request it came from, and whether that one was right.
"""

import enum
import ipaddress
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

AUTHORIZATION = "Basic dTphLXBhc3N3b3JkLW9mLXRlc3Rz"
PATH = "/webhooks/contoso/class-changed"
MAX_BODY = 2000
Lines = list[tuple[str, str]]


class Kind(enum.Enum):
    """What may come of a request."""

    EVENT = "one event, if the connection lasts until then"
    NO_EVENT = "a body in quarantine, if the connection lasts until then"
    MAYBE = "at most one event: it is spoilt, and may still be right"
    NOTHING = "no event"


@dataclass(frozen=True)
class Sent:
    """One request on the wire.

    Attributes:
        stays: whether the connection is sure to go on after it, once right credentials came on it.
        broken: whether the parser may refuse it, with all that came in one piece with it.
    """

    raw: bytes
    kind: Kind
    number: int = 0
    stays: bool = False
    broken: bool = False


@dataclass(frozen=True)
class Front:
    """How the client's address comes to the bridge, for a caller who is listed or not."""

    name: str
    listed: bool
    address: str

    @property
    def source(self) -> str:
        """Where the connection comes from."""
        return self.address if self.name == "peer" else "127.0.0.1"

    def start(self, random: Random) -> bytes:
        """Return what the proxy says before the first byte of HTTP."""
        if self.name != "proxy-protocol":
            return b""
        if random.random() < 0.5:
            return f"PROXY TCP4 {self.address} 127.0.0.1 51234 443\r\n".encode()
        more = random.choice((b"", b"\x03\x00\x04abcd", b"\x04\x00\x00"))
        addresses = ipaddress.ip_address(self.address).packed + b"\x7f\0\0\1\x00\x01\x00\x02"
        signature = b"\r\n\r\n\0\r\nQUIT\n\x21\x11"
        return signature + (len(addresses) + len(more)).to_bytes(2, "big") + addresses + more

    def lines(self, random: Random) -> Lines:
        """Return the header lines that the proxy adds, behind whatever its caller wrote."""
        if self.name == "x-forwarded-for":
            spoof = random.choice(("", "127.1.0.9, ", "unknown, ", '", ', ", ,"))
            return [("X-Forwarded-For", f"{spoof}{self.address}")]
        if self.name == "forwarded":
            spoof = random.choice(("", "for=127.1.0.9, ", "for=_x;by=y, ", ", ,"))
            return [("Forwarded", f'{spoof}for="{self.address}:99";proto=https')]
        return random.choice(([], [], [("X-Forwarded-For", "127.1.0.9")], [("Forwarded", "for=127.1.0.9")]))


FRONTS = ("peer", "x-forwarded-for", "forwarded", "proxy-protocol")


def draw_front(name: str, random: Random) -> Front:
    """Return a caller, listed nine times of ten."""
    listed = random.random() < 0.9
    return Front(name, listed, f"127.{1 if listed else 2}.{random.randrange(256)}.{random.randrange(1, 255)}")


class Writer:
    """Writes the requests of one stream."""

    def __init__(self, front: Front, random: Random) -> None:
        self._front = front
        self._random = random

    def stream(self) -> list[Sent]:
        """Return some requests, more where all are right; of a caller who is not listed none may count."""
        if self._random.random() < 0.4:
            weights, most = (85, 7, 8, 0, 0, 0, 0), 20
        else:
            weights, most = (52, 5, 8, 8, 10, 10, 7), 7
        kinds: Sequence[Callable[[], Sent]] = self._random.choices(
            (self.event, self.no_event, self.probe, self.wrong, self.spoilt, self.smuggled, self.odd),
            weights,
            k=self._random.randrange(1, most),
        )
        sent = [make() for make in kinds]
        if self._random.random() < 0.1:
            sent.append(self.event(last=True))
        if self._front.listed:
            return sent
        return [Sent(one.raw, Kind.NOTHING, one.number) for one in sent]

    def event(self, *, last: bool = False) -> Sent:
        """A webhook as TMS, or a proxy before us, may well write it; the last one ends the connection."""
        number, body = self._body()
        version = "1.0" if last and self._random.random() < 0.5 else "1.1"
        lines = self._right()
        if last and version == "1.1":
            lines.append(("Connection", "close"))
        path = self._random.choice(
            (PATH,) * 6 + (PATH + "?a=b", "http://x:1" + PATH, PATH.replace("-", "%2D"))
        )
        if version == "1.1" and self._random.random() < 0.2:
            raw = _head("POST", path, [*lines, ("Transfer-Encoding", "chunked")], version) + self._chunks(
                body
            )
        else:
            if version == "1.1" and self._random.random() < 0.05:
                lines.append(("Expect", "100-continue"))
            raw = _head("POST", path, [*lines, ("Content-Length", str(len(body)))], version) + body
        return Sent(raw, Kind.EVENT, number, stays=not last)

    def no_event(self) -> Sent:
        """Right credentials with a body that cannot be an event; often a request that wants to be one."""
        number, body = self._body()
        body = self._random.choice((body[:-3], b"[" + body, b"null", self._hidden(number)))
        raw = _head("POST", PATH, [*self._right(), ("Content-Length", str(len(body)))]) + body
        return Sent(raw, Kind.NO_EVENT, number, stays=True)

    def probe(self) -> Sent:
        """A look at a path."""
        path = self._random.choice(("/livez", PATH))
        return Sent(_head("GET", path, self._front.lines(self._random)), Kind.NOTHING, stays=True)

    def wrong(self) -> Sent:
        """Whole, and not to be let in."""
        number, body = self._body()
        length = ("Content-Length", str(len(body)))
        lines = self._front.lines(self._random)
        right = [*lines, ("Authorization", AUTHORIZATION)]
        raw = self._random.choice(
            (
                _head("POST", PATH, [*lines, length]) + body,
                _head("POST", PATH, [*lines, length, ("Authorization", AUTHORIZATION + "Zg==")]) + body,
                _head("POST", PATH, [*lines, length, ("Authorization", AUTHORIZATION[:-1])]) + body,
                _head("POST", PATH, [*right, length, ("authorization", AUTHORIZATION)]) + body,
                _head("POST", PATH.replace("contoso", "fabrikam"), [*right, length]) + body,
                _head("POST", "/" + PATH, [*right, length]) + body,
                _head("PUT", PATH, [*right, length]) + body,
                _head("POST", PATH, [*right, length, ("Content-Encoding", "gzip")]) + body,
                _head("POST", PATH, [*right, length, ("Expect", "coffee")]) + body,
                _head("POST", PATH, [*right, ("Content-Length", str(MAX_BODY + 1))]) + body,
                _head("POST", PATH, [*right, length, ("X-Pad", "a" * 40_000)]) + body,
                _head("POST", PATH, [*right, length, *[(f"X-{at}", "a" * 9) for at in range(140)]]) + body,
            )
        )
        return Sent(raw, Kind.NOTHING, number, broken=len(raw) > MAX_BODY)

    def spoilt(self) -> Sent:
        """A right one with some bytes of its head exchanged; its number stays whole."""
        right = self.event()
        head, gap, body = right.raw.partition(b"\r\n\r\n")
        for _ in range(self._random.randrange(1, 4)):
            at = self._random.randrange(len(head))
            put = self._random.choice(
                (
                    b"\r\n",
                    b"\n",
                    b"\r",
                    b"\0",
                    b" ",
                    b"\t",
                    b":",
                    b",",
                    b"\x0b",
                    b"\xff",
                    bytes((self._random.randrange(256),)),
                )
            )
            head = head[:at] + put + head[at + self._random.randrange(2) :]
        return Sent(head + gap + body, Kind.MAYBE, right.number, broken=True)

    def smuggled(self) -> Sent:
        """A request in a request, where two readers of the first could differ; none means the hidden one."""
        number, _ = self._body()
        hidden = self._hidden(number)
        right = self._right()
        size = str(len(hidden))
        chunked = b"0\r\n\r\n" + hidden
        te, cl = "Transfer-Encoding", "Content-Length"
        raw = self._random.choice(
            (
                _head("POST", PATH, [*right, (cl, "0"), (cl, size)]) + hidden,
                _head("POST", PATH, [*right, (cl, size), (cl, "0")]) + hidden,
                _head("POST", PATH, [*right, (cl, f"0, {size}")]) + hidden,
                _head("POST", PATH, [*right, (cl, f"+{size}")]) + hidden,
                _head("POST", PATH, [*right, (cl, f"0x{len(hidden):x}")]) + hidden,
                _head("POST", PATH, [*right, (cl, str(len(chunked))), (te, "chunked")]) + chunked,
                _head("POST", PATH, [*right, (te, "chunked"), (cl, str(len(chunked)))]) + chunked,
                _head("POST", PATH, [*right, (cl, str(len(chunked))), (te, " chunked, identity")]) + chunked,
                _head("POST", PATH, [*right, (cl, str(len(chunked))), (te, "\x0bchunked")]) + chunked,
                _head("POST", PATH, [*right, (cl, str(len(chunked))), (te, "xchunked")]) + chunked,
                _head("POST", PATH, [*right, (cl, str(len(chunked))), (te + " ", "chunked")]) + chunked,
                _head("POST", PATH, [*right, (cl, str(len(chunked))), ("X-A", f"1\n{te}: chunked")])
                + chunked,
                _head("POST", PATH, [*right, (cl, str(len(chunked))), (te, "chunked")], "1.0") + chunked,
                _head("GET", PATH, [*right, (cl, size)]) + hidden,
                _head("GET", PATH, [*right, (cl, size), ("Upgrade", "websocket"), ("Connection", "Upgrade")])
                + hidden,
                _head("GET", "/livez", [*right, (cl, size)]) + hidden,
            )
        )
        return Sent(raw, Kind.NOTHING, number, broken=True)

    def odd(self) -> Sent:
        """Chunks that are not written as they should be."""
        number, body = self._body()
        size = f"{len(body):x}".encode()
        end = b"\r\n0\r\n\r\n"
        written = self._random.choice(
            (
                b"-" + size + b"\r\n" + body + end,
                b"+" + size + b"\r\n" + body + end,
                b"0x" + size + b"\r\n" + body + end,
                size + b" ;\r\n" + body + end,
                size + b"\n" + body + end,
                size + b"\r" + body + end,
                size + b"\r\n" + body + b"0\r\n\r\n",
                size + b"\r\n" + body + b"xx0\r\n\r\n",
                size + b"\r\n" + body + b"\r\n0\r\nContent-Length: 9\r\n\r\n",
                size + b"\r\n" + body + b"\r\n0\r\n X: folded\r\n\r\n",
                b"f" * 17 + b"\r\n" + body + end,
                b"\r\n" + size + b"\r\n" + body + end,
                size + b";" + b"a" * 9000 + b"\r\n" + body + end,
            )
        )
        raw = _head("POST", PATH, [*self._right(), ("Transfer-Encoding", "chunked")]) + written
        return Sent(raw, Kind.MAYBE, number, broken=True)

    def _body(self) -> tuple[int, bytes]:
        number = self._random.randrange(1 << 55, 1 << 62)
        pad = "x" * self._random.choice((0, 0, 0, 10, 700))
        return number, b'{"Id": %d, "ConfirmationStatusId": 7, "Name": "%b"}' % (number, pad.encode())

    def _right(self) -> Lines:
        credential = self._random.choice(
            (("Authorization", AUTHORIZATION), ("x-api-KEY", "s3cret-key-of-tests"))
        )
        lines = [*self._front.lines(self._random), credential, ("Content-Type", "application/json")]
        self._random.shuffle(lines)
        return lines

    def _hidden(self, number: int) -> bytes:
        body = b'{"Id": %d, "ConfirmationStatusId": 7}' % number
        return _head("POST", PATH, [*self._right(), ("Content-Length", str(len(body)))]) + body

    def _chunks(self, body: bytes) -> bytes:
        cuts = sorted(
            {0, len(body), *(self._random.randrange(len(body)) for _ in range(self._random.randrange(3)))}
        )
        pieces = (body[start:end] for start, end in itertools.pairwise(cuts))
        extension = self._random.choice((b"", b"", b";a=b"))
        written = b"".join(b"%x%b\r\n%b\r\n" % (len(piece), extension, piece) for piece in pieces)
        return written + b"0\r\n" + self._random.choice((b"", b"X-Late: 1\r\n")) + b"\r\n"


def _head(method: str, path: str, lines: Lines, version: str = "1.1") -> bytes:
    head = "".join(f"{name}: {value}\r\n" for name, value in [("Host", "bridge"), *lines])
    return f"{method} {path} HTTP/{version}\r\n{head}\r\n".encode("latin-1")


def owed(stream: Sequence[Sent]) -> list[Sent]:
    """Return the requests whose outcome the bridge owes: those before one that may end the connection."""
    if any(one.broken for one in stream):
        return []
    found: list[Sent] = []
    for one in stream:
        if one.kind in (Kind.EVENT, Kind.NO_EVENT):
            found.append(one)
        elif not found:
            break  # nobody has proved themselves yet, which ends a connection that asks on
        if not one.stays:
            break
    return found


LAST = b"GET /livez HTTP/1.1\r\nHost: bridge\r\nConnection: close\r\n\r\n"


def segments(random: Random, start: bytes, stream: Sequence[Sent]) -> list[bytes]:
    """Return what is sent at once: all of it, request by request, or cut anywhere."""
    ends = stream[-1].kind is Kind.EVENT and not stream[-1].stays
    pieces = [start, *[one.raw for one in stream], b"" if ends else LAST]
    way = random.random()
    if way < 0.3:
        return [b"".join(pieces)]
    if way < 0.5:
        return [piece for piece in pieces if piece]
    whole = b"".join(pieces)
    cuts = sorted({0, len(whole), *(random.randrange(len(whole)) for _ in range(random.randrange(1, 9)))})
    return [whole[begin:end] for begin, end in itertools.pairwise(cuts)]
