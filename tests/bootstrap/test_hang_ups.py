import signal
import socket
import struct
from pathlib import Path

from tests.bootstrap.running import bridge, configure, webhook

RESET_ON_CLOSE = struct.pack("ii", 1, 0)


def send_and_reset(address: str, raw: bytes) -> None:
    """Send a whole request and tear the connection down at once, as a client that is killed does."""
    host, port = address.rsplit(":", 1)
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(raw)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)


async def test_who_hangs_up_before_being_accepted_is_no_caller_from_a_new_address(tmp_path: Path) -> None:
    async with bridge(configure(tmp_path)) as process:
        process.send(signal.SIGSTOP)
        send_and_reset(process.http, webhook(1))
        process.send(signal.SIGCONT)
        line = await process.until("webhook")
        status, _ = await process.post(1)

    assert (line["outcome"], line["answered"], status) == ("aborted", False, 202)
    assert [line for line in process.lines if line["event"] == "unlisted_address_valid_credentials"] == []
