"""The ride of a usual webhook, from the socket to its 202: which files it crosses, and how often it changes.

    python benchmarks/ride.py             prints the files in the order in which they run
    python benchmarks/ride.py --calls     prints each call

It runs the webhook listener over a real journal in this process, sends a few webhooks to warm up, and traces
one more with `sys.setprofile`, on the event loop and in the writer's thread. Only the bridge's files count.
"""

import argparse
import asyncio
import itertools
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import CodeType, FrameType

from prometheus_client import CollectorRegistry

import tms_bridge
from tms_bridge.calls import Calls
from tms_bridge.http.health import Health
from tms_bridge.http.proxied import build_server
from tms_bridge.http.sockets import open_sockets, start
from tms_bridge.log import Log
from tms_bridge.metrics import Metrics
from tms_bridge.outbox.journal import Journal
from tms_bridge.settings import model as settings
from tms_bridge.web import AccessLog, Routes, Webhooks

PACKAGE = Path(tms_bridge.__file__).parent
_WARM_UP = 5
_SOURCE = settings.Source(
    allow_from=("127.0.0.0/8",),
    credentials=(settings.Credential(name="key", headers={"X-Api-Key": "a key of twenty letters"}),),
)


class Nowhere:
    """Where the log goes."""

    def write(self, line: bytes) -> int:
        """Throw a line away."""
        return len(line)


class Ride:
    """The calls of one thread, in order, as `file: function`."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []
        self._codes: dict[CodeType, tuple[str, str] | None] = {}

    def note(self, frame: FrameType, event: str, _: object) -> None:
        """Be the profile function of a thread."""
        if event == "call":
            code = frame.f_code
            if code not in self._codes:
                self._codes[code] = _place(code)
            if (place := self._codes[code]) is not None:
                self.calls.append(place)

    @property
    def files(self) -> list[str]:
        """Each file where the ride enters it from another."""
        return [name for name, _ in itertools.groupby(name for name, _ in self.calls)]


def _place(code: CodeType) -> tuple[str, str] | None:
    path = Path(code.co_filename)
    return (str(path.relative_to(PACKAGE)), code.co_qualname) if path.is_relative_to(PACKAGE) else None


@asynccontextmanager
async def listening(directory: Path) -> AsyncIterator[tuple[int, Journal]]:
    """Run the webhook listener over a journal; yield its port."""
    metrics, health = Metrics(CollectorRegistry()), Health([])
    health.started = True
    http = settings.Http(listen="127.0.0.1:0")
    journal = await Journal.open(settings.Outbox(dir=str(directory), min_free_bytes=0))
    log = AccessLog(metrics.intake, Log(settings.Logging(), Nowhere()), Calls())
    webhooks = Webhooks(http, Routes(http, {"contoso": _SOURCE}), journal, health, log)
    server = build_server(webhooks.handle, http, webhooks.note_refused, webhooks.take)
    sockets = open_sockets("http.listen", http.listen)
    runner = await start(server, sockets, 1)
    try:
        yield sockets[0].getsockname()[1], journal
    finally:
        await runner.cleanup()
        await journal.close()


def webhook(number: int) -> bytes:
    """Return a usual webhook, as it comes through a proxy."""
    body = b'{"Id": %d, "ConfirmationStatusId": 7, "Name": "Azure Administrator"}' % number
    head = (
        "POST /webhooks/contoso/class-changed HTTP/1.1\r\nHost: bridge\r\n"
        f"X-Api-Key: a key of twenty letters\r\nX-Request-Id: {number:032x}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def ride() -> tuple[Ride, Ride]:
    """Return what one webhook crosses on the event loop, and in the writer's thread."""
    on_loop, in_writer = Ride(), Ride()
    with tempfile.TemporaryDirectory() as directory:
        async with listening(Path(directory)) as (port, journal):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            for number in range(_WARM_UP + 1):
                if number == _WARM_UP:
                    await journal.status()  # so that what the warm-up left is done
                    await _trace_writer(journal, in_writer)
                    sys.setprofile(on_loop.note)
                writer.write(webhook(number))
                answer = await reader.readuntil(b"}")
                sys.setprofile(None)
                if not answer.startswith(b"HTTP/1.1 202"):
                    raise SystemExit(f"the bridge said {answer!r}")
            writer.close()
    return on_loop, in_writer


async def _trace_writer(journal: Journal, in_writer: Ride) -> None:
    """Let the writer's thread be traced from its next job on."""
    await journal._writer.call(lambda _: sys.setprofile(in_writer.note))  # noqa: SLF001 - nobody else may
    in_writer.calls.clear()


def main(arguments: Sequence[str]) -> int:
    """Print the ride."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--calls", action="store_true", help="print each call")
    chosen = parser.parse_args(arguments)
    on_loop, in_writer = asyncio.run(ride())
    for title, one in (("event loop", on_loop), ("writer's thread", in_writer)):
        print(
            f"{title}: {len(one.files) - 1} file changes, {len(set(one.files))} files, {len(one.calls)} calls"
        )
        lines = [f"{name}: {function}" for name, function in one.calls] if chosen.calls else one.files
        print(*(f"  {line}" for line in lines), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
