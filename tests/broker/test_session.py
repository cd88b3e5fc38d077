"""Opening a connection to a host that is not what it should be."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
from yarl import URL

from tms_bridge.broker.session import open_session
from tms_bridge.errors import BrokerError


@pytest.fixture
async def silent_host() -> AsyncIterator[URL]:
    """A host that accepts connections and never says a word."""
    # No stream: whoever drops its end of one hangs up, since Python 3.13 at once.
    server = await asyncio.get_running_loop().create_server(asyncio.Protocol, "127.0.0.1", 0)
    yield URL(f"amqp://tms:secret@127.0.0.1:{server.sockets[0].getsockname()[1]}/events")
    server.close()


async def test_a_host_that_stays_silent_is_not_said_to_have_hung_up(silent_host: URL) -> None:
    expected = f"connect to amqp://127.0.0.1:{silent_host.port}/events: no answer in time"
    with pytest.raises(BrokerError) as failed:
        await open_session(silent_host, context=None, heartbeat_s=10, name="test", timeout_s=0.3)
    assert expected == str(failed.value)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", "connection refused: no broker listens there"),
        ("localhost", "connection refused: no broker listens there"),
        ("no-such-host.invalid", "the host cannot be found: "),
    ],
)
async def test_where_no_broker_is_plain_words_say_so(host: str, expected: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # nobody listens, and nobody else may
        url = URL(f"amqp://tms:secret@{host}:{free.getsockname()[1]}/")
        with pytest.raises(BrokerError) as failed:
            await open_session(url, context=None, heartbeat_s=10, name="test", timeout_s=30)
    said = str(failed.value).removeprefix(f"connect to {url.with_user(None)}: ")
    assert said.startswith(expected)
    assert "Errno" not in said
