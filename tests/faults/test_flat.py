"""What a bridge has been through leaves nothing behind: no descriptor, and no task."""

import contextlib
import http.client
import json
import signal
import socket
import struct
from collections.abc import Callable, Iterator
from typing import Final
from urllib.parse import urlsplit

import pytest
from tests.faults.control import Control
from tests.faults.half_open import Manner
from tests.faults.proxy import Proxy
from tests.faults.records import Binding
from tests.faults.rig import until
from tests.faults.subject import AUTHORIZATION, Subject

from rabbitmq import Node

ROUNDS: Final = 12
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)
_MANNERS: Final = [manner for manner in Manner if "silent" not in manner]
_BODY: Final = json.dumps({"Id": 7, "ConfirmationStatusId": 7}).encode()


class Bench:
    """A bridge whose broker is behind a proxy, and who calls it."""

    def __init__(self, subject: Subject, proxy: Proxy) -> None:
        self.subject = subject
        self.proxy = proxy
        self.address = (urlsplit(subject.url).hostname or "", urlsplit(subject.url).port or 0)

    def deliver(self) -> None:
        """Let one event go all the way: a connection that has confirmed something is exchanged at once."""
        connection = http.client.HTTPConnection(*self.address, timeout=10)
        with contextlib.closing(connection):
            path = "/webhooks/contoso/class-changed"
            connection.request("POST", path, _BODY, {"Authorization": AUTHORIZATION})
            assert 202 == connection.getresponse().status
        until(lambda: self.subject.metrics()["tms_bridge_outbox_events"] == 0, "delivery")

    def lose(self) -> None:
        """Lose the broker's connection."""
        self.proxy.reset()
        self.deliver()

    def meet_no_broker(self) -> None:
        """Lose it to what is no broker, once in each manner."""
        for manner in _MANNERS:
            self.proxy.half_open(manner)
            seen = self.proxy.accepted
            until(lambda seen=seen: self.proxy.accepted > seen, f"an attempt at what would {manner}")  # type: ignore[misc]
        self.proxy.heal()
        self.deliver()

    def reload(self) -> None:
        """Read the configuration anew."""
        count = self.subject.log.count("configuration reloaded")
        self.subject.send_signal(signal.SIGHUP)
        until(lambda: self.subject.log.count("configuration reloaded") > count, "a reload")

    def hang_up(self) -> None:
        """Break calls off: in the head, in the body, and before the answer."""
        head = (
            f"POST /webhooks/contoso/class-changed HTTP/1.1\r\nHost: x\r\nAuthorization: {AUTHORIZATION}\r\n"
        )
        whole = f"{head}Content-Length: {len(_BODY)}\r\n\r\n".encode() + _BODY
        for sent in (b"", whole[:20], whole[:-5], whole):
            for linger in (True, False):
                with socket.create_connection(self.address) as connection:
                    if linger:
                        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
                    connection.sendall(sent)

    def watch(self) -> None:
        """Follow the streams of the admin API for a moment, and leave."""
        for path in ("/api/v1/events/stream", "/api/v1/calls/stream"):
            # Sixteen may follow at once, and who has left is noticed a little later.
            until(lambda path=path: self._is_followed(path), "a place among those who follow")  # type: ignore[misc]

    def _is_followed(self, path: str) -> bool:
        connection = http.client.HTTPConnection(urlsplit(self.subject.admin_url).netloc, timeout=10)
        with contextlib.closing(connection):
            connection.request("GET", path)
            return connection.getresponse().status == http.client.OK


@pytest.fixture
def bench(broker: Node) -> Iterator[Bench]:
    Control(broker).declare([Binding("classes", "tms.class.*")], {})
    with Proxy(broker.port) as proxy:
        url = broker.url.replace(f":{broker.port}", f":{proxy.port}")
        with Subject([url]) as subject:
            yield Bench(subject, proxy)


@pytest.mark.parametrize(
    "befall",
    [
        Bench.lose,
        pytest.param(Bench.meet_no_broker, marks=pytest.mark.long),
        Bench.reload,
        Bench.hang_up,
        Bench.watch,
    ],
)
def test_what_has_befallen_a_bridge_leaves_no_descriptor_and_no_task(
    bench: Bench, befall: Callable[[Bench], None]
) -> None:
    befall(bench)  # what is made once and kept is there from now on
    bench.deliver()
    before = _standing(bench)
    for _ in range(ROUNDS):
        befall(bench)
    bench.deliver()
    until(
        lambda: all(now <= then for now, then in zip(_standing(bench), before, strict=True)),
        f"no more than {before} descriptors and tasks",
    )


def _standing(bench: Bench) -> tuple[int, int]:
    """Return how many descriptors and tasks there are."""
    return bench.subject.open_descriptors(), bench.subject.tasks()
