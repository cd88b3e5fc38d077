import select
import socket
from collections.abc import Iterator

import pytest
from tests.web.running import SOURCE, serve

from ports import free_port
from tms_bridge.errors import SettingsError
from tms_bridge.http.sockets import BUFFER_BYTES, name_of, open_sockets
from tms_bridge.settings.model import Http

BUFFERS = (socket.SO_RCVBUF, socket.SO_SNDBUF)


@pytest.fixture
def opened() -> Iterator[list[socket.socket]]:
    sockets: list[socket.socket] = []
    yield sockets
    for one in sockets:
        one.close()


@pytest.mark.parametrize(
    ("listen", "names"),
    [
        ("127.0.0.1:0", ["127.0.0.1"]),
        ("[::1]:0", ["[::1]"]),
        (("127.0.0.1:0", "[::1]:0"), ["127.0.0.1", "[::1]"]),
        (":0", ["[::]"]),
    ],
)
def test_every_address_is_bound(
    opened: list[socket.socket], listen: str | tuple[str, ...], names: list[str]
) -> None:
    opened += open_sockets("http.listen", listen)

    assert [name_of(one).rpartition(":")[0] for one in opened] == names


@pytest.mark.parametrize("listen", [":0", "[::]:0"])
def test_all_addresses_are_those_of_ipv4_too(opened: list[socket.socket], listen: str) -> None:
    opened += open_sockets("http.listen", listen)
    (listening,) = opened
    listening.listen()

    socket.create_connection(("127.0.0.1", listening.getsockname()[1])).close()


def test_both_families_may_be_named_with_one_port(opened: list[socket.socket]) -> None:
    port = free_port()
    opened += open_sockets("http.listen", (f"0.0.0.0:{port}", f"[::]:{port}"))

    assert [one.family for one in opened] == [socket.AF_INET, socket.AF_INET6]


def test_a_taken_port_is_named_with_its_key(opened: list[socket.socket]) -> None:
    opened += open_sockets("http.listen", "127.0.0.1:0")
    taken = name_of(opened[0])
    opened[0].listen()

    with pytest.raises(SettingsError, match=f"admin.listen: cannot listen on .*{taken}: another process"):
        open_sockets("admin.listen", ("127.0.0.1:0", taken))


def test_an_address_of_another_machine_is_said_to_be_one() -> None:
    with pytest.raises(SettingsError, match="this machine has no such address"):
        open_sockets("http.listen", "192.0.2.1:0")


def test_a_name_that_does_not_exist_is_said_too() -> None:
    with pytest.raises(SettingsError, match=r"http.listen: cannot listen on nowhere.invalid:1: .+"):
        open_sockets("http.listen", "nowhere.invalid:1")


def test_the_kernel_holds_little_of_a_connection_either_way() -> None:
    (listening,) = open_sockets("http.listen", "127.0.0.1:0")
    with listening:
        listening.listen()
        with socket.create_connection(listening.getsockname()):
            listening.settimeout(10)
            accepted, _ = listening.accept()
            with accepted:
                sizes = [accepted.getsockopt(socket.SOL_SOCKET, each) for each in BUFFERS]

    assert [2 * BUFFER_BYTES] * 2 == sizes


async def test_a_burst_waits_in_the_kernel_and_is_not_sent_away_for_a_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("resource.getrlimit", lambda _: (512, 512))  # few descriptors shorten no queue
    async with serve(Http(), {"contoso": SOURCE}) as bridge:
        burst = [socket.socket() for _ in range(1000)]
        for one in burst:
            one.settimeout(0)
            one.connect_ex(("127.0.0.1", bridge.port))
        # Nothing was awaited, so that nobody was accepted: whoever is connected stands in the queue.
        queue = select.poll()  # `select` takes no descriptor over 1,024
        for one in burst:
            queue.register(one, select.POLLOUT)
        connected = sum(events == select.POLLOUT for _, events in queue.poll(0))
        for one in burst:
            one.close()
        answer = await bridge.post()  # its turn comes after theirs

    assert (1000, 202) == (connected, answer.status)
