"""What of a connection that was given up can still arrive."""

import asyncio
import socket
from collections.abc import Callable

import pytest
import uvloop
from tests.waiting import patience
from yarl import URL

from tms_bridge.broker.link import Link, TapFactory

MUCH = 20_000_000
"""More than both ends' kernels take for a peer that does not read."""


class NoTls:
    async def get_context(self) -> None:
        """Return nothing: the connection is plain."""


async def receive(peer: socket.socket) -> int:
    """Read until the end of the stream; return how many bytes came."""
    size = 0
    while chunk := await asyncio.get_running_loop().sock_recv(peer, 1 << 20):
        size += len(chunk)
    return size


async def give_up(*, closing: bool) -> None:
    """Write to a peer that does not read, close as aiormq would, abort; then let the peer read."""
    link = Link()
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0)
        accepted = asyncio.ensure_future(loop.sock_accept(listening))
        url = URL(f"amqp://127.0.0.1:{listening.getsockname()[1]}")
        _, writer = await TapFactory(link).create(url, ssl_context_provider=NoTls())
        peer, _ = await accepted
    with peer:
        peer.settimeout(0)
        writer.write(bytes(MUCH))
        if closing:
            writer.close()
        link.abort()
        async with patience():
            with pytest.raises(ConnectionResetError):
                await receive(peer)


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
@pytest.mark.parametrize("closing", [False, True])
def test_what_an_aborted_connection_had_not_sent_never_arrives(
    new_loop: Callable[[], asyncio.AbstractEventLoop], *, closing: bool
) -> None:
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(give_up(closing=closing))
