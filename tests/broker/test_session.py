"""Opening a connection to a host that is not what it should be."""

import asyncio
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
