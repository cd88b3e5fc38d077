import http.client
import json
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from bridge import Bridge

BODY = json.dumps({"Id": 1, "ConfirmationStatusId": 0}).encode()


@pytest.fixture
def bridge(vhost: str) -> Iterator[Bridge]:
    """A bridge that this module may end."""
    with Bridge(vhost, shutdown_delay_s=1.5) as running:
        yield running


def _get_status(url: str, path: str) -> int:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
    connection.request("GET", path)
    response = connection.getresponse()
    response.read()
    connection.close()
    return response.status


def _post(bridge: Bridge) -> tuple[int, str | None]:
    connection = http.client.HTTPConnection(urlsplit(bridge.url).netloc, timeout=10)
    headers = {"Authorization": bridge.authorization}
    connection.request("POST", "/webhooks/contoso/class-changed", BODY, headers)
    response = connection.getresponse()
    response.read()
    connection.close()
    return response.status, response.getheader("Connection")


def test_a_stopping_bridge_is_not_ready_but_still_takes_in(bridge: Bridge) -> None:
    codes: list[int] = []
    stopping = threading.Thread(target=lambda: codes.append(bridge.stop()))
    stopping.start()
    while _get_status(bridge.url, "/readyz") == 200:
        assert stopping.is_alive()
    assert _get_status(bridge.url, "/livez") == 200
    assert _post(bridge) == (202, "close")
    stopping.join()
    assert codes == [0]
    with pytest.raises(ConnectionRefusedError):
        _post(bridge)
    assert json.loads(bridge.log.splitlines()[-1])["event"] == "stopped"


def test_what_was_accepted_before_a_kill_is_there_after_it(bridge: Bridge) -> None:
    assert _post(bridge)[0] == 202
    bridge.kill()
    bridge.start()
    assert _post(bridge)[0] == 202
    assert bridge.stop() == 0


def test_a_second_signal_hurries_the_first(bridge: Bridge) -> None:
    process = bridge.pid
    assert process > 0
    threading.Timer(0.2, bridge.terminate).start()
    assert bridge.stop(timeout_s=1.4) == 0
