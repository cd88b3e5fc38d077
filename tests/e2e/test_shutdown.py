import http.client
import json
from urllib.parse import urlsplit

import pytest
from tests.waiting import PATIENCE_S, wait_until

from bridge import Bridge

BODY = json.dumps({"Id": 1, "ConfirmationStatusId": 0}).encode()


def _get_status(url: str, path: str) -> int:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=PATIENCE_S)
    connection.request("GET", path)
    response = connection.getresponse()
    response.read()
    connection.close()
    return response.status


def _post(bridge: Bridge) -> tuple[int, str | None]:
    connection = http.client.HTTPConnection(urlsplit(bridge.url).netloc, timeout=PATIENCE_S)
    headers = {"Authorization": bridge.authorization}
    connection.request("POST", "/webhooks/contoso/class-changed", BODY, headers)
    response = connection.getresponse()
    response.read()
    connection.close()
    return response.status, response.getheader("Connection")


def test_a_stopping_bridge_is_not_ready_but_still_takes_in_until_a_second_signal(vhost: str) -> None:
    with Bridge(vhost, shutdown_delay_s=10 * PATIENCE_S) as bridge:
        bridge.terminate()
        wait_until(lambda: _get_status(bridge.url, "/readyz") == 503, "the bridge to be not ready")
        assert _get_status(bridge.admin_url, "/readyz") == 503
        assert _get_status(bridge.url, "/livez") == 200
        assert _post(bridge) == (202, "close")
        assert bridge.stop(timeout_s=PATIENCE_S) == 0
        with pytest.raises(ConnectionRefusedError):
            _post(bridge)
        assert json.loads(bridge.log.splitlines()[-1])["event"] == "stopped"


def test_what_was_accepted_before_a_kill_is_there_after_it(vhost: str) -> None:
    with Bridge(vhost) as bridge:
        assert _post(bridge)[0] == 202
        bridge.kill()
        bridge.start()
        assert _post(bridge)[0] == 202
        assert bridge.stop(timeout_s=PATIENCE_S) == 0
