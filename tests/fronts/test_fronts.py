"""What is shipped for nginx and HAProxy: the listed caller comes in, and nobody can pose as them."""

from pathlib import Path

import pytest
from tests.fronts.running import LISTED, STRANGER, front, webhook

VERSION_1 = ("send-proxy-v2", "send-proxy")
FRONTS = [
    pytest.param("nginx.conf", (), id="nginx"),
    pytest.param("haproxy.cfg", (), id="HAProxy"),
    pytest.param("haproxy-tcp.cfg", (), id="HAProxy, PROXY version 2"),
    pytest.param("haproxy-tcp.cfg", (VERSION_1,), id="HAProxy, PROXY version 1"),
]

SPOOFS = [
    (f"X-Forwarded-For: {LISTED}",),
    (f"X-Forwarded-For: {LISTED}", f"X-Forwarded-For: {LISTED}"),
    (f"X-Forwarded-For: {LISTED}, 127.0.0.1",),
    (f"x-forwarded-for: {LISTED}:443",),
    (f"X_Forwarded_For: {LISTED}",),
    (f"X-Forwarded-For:\t{LISTED}",),
    (f"Forwarded: for={LISTED}",),
    (f'Forwarded: for="{LISTED}:1";proto=https',),
    (f"X-Real-IP: {LISTED}",),
    (f"X-Client-IP: {LISTED}", f"True-Client-IP: {LISTED}", f"CF-Connecting-IP: {LISTED}"),
    ("Connection: X-Forwarded-For",),
    ("Connection: close, X-Forwarded-For", f"X-Forwarded-For: {LISTED}"),
]

BEFORE = [
    f"PROXY TCP4 {LISTED} 127.0.0.1 1 2\r\n".encode(),
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\x7f\x00\x00\x07\x7f\x00\x00\x01\x00\x01\x00\x02",
]


@pytest.mark.parametrize(("name", "changes"), FRONTS)
async def test_the_listed_caller_comes_in_and_nobody_can_pose_as_them(
    tmp_path: Path, name: str, changes: tuple[tuple[str, str], ...]
) -> None:
    async with front(tmp_path, name, *changes) as proxy:
        listed = [await proxy.ask(LISTED, webhook(number, *lines)) for number, lines in enumerate(SPOOFS)]
        posing = [await proxy.ask(STRANGER, webhook(100, *lines)) for lines in [(), *SPOOFS]]
        announced = [await proxy.ask(STRANGER, webhook(200, before=before)) for before in BEFORE]

    assert [202] * len(SPOOFS) == listed
    assert {403} == set(posing)
    assert set(announced) <= {0, 400}


@pytest.mark.parametrize("name", ["nginx.conf", "haproxy.cfg"])
async def test_nothing_but_webhooks_is_led_through(tmp_path: Path, name: str) -> None:
    async with front(tmp_path, name) as proxy:
        paths = ("/livez", "/metrics", "/api/v1/status", "/webhooks/../livez")
        raw = [f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode() for path in paths]
        assert [404] * len(paths) == [await proxy.ask(LISTED, one) for one in raw]
