"""Secrets are planted wherever the bridge is given or shown any, and looked for in all that it ever wrote."""

import base64
import http.client
import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import closing
from urllib.parse import quote, urlsplit

import pytest
from click.testing import CliRunner
from tests.waiting import PATIENCE_S

from bridge import Bridge
from rabbitmq import Node
from tms_bridge.cli.program import program

PASSWORD = "canary-password/of+TMS?"
"""Its Base64 differs between the two alphabets, and a URL has to encode it."""

CONFIGURED = {
    "TMS_KEY": "canary-header-credential",
    "ADMIN_TOKEN": "canary-operator-token",
    "VIEWER_TOKEN": "canary-viewer-token",
    "SPARE_PASSWORD": "canary-spare-password",
}
SHOWN = ("canary-wrong-key", "canary-wrong-bearer", "canary-wrong-basic", "canary-cookie", "canary-query")
BODIES = (
    b'{"Id": 7, "ConfirmationStatusId": 7, "Instructor": {"Name": "canary-name"}, "Start": "canary-date"}',
    b'{"Number": "canary-id", "ConfirmationStatusId": 7}',
    b'canary-text {"Id": 7',
)
IN_BODIES = ("canary-name", "canary-date", "canary-id", "canary-text")

MORE = """
[[sources.contoso.credentials]]
name = "key"
headers = { X-Api-Key = "${TMS_KEY}" }
[[sources.contoso.credentials]]
name = "spare"
basic = { username = "Spare", password = "${file:spare}" }
[[admin.tokens]]
name = "operator"
role = "operator"
token = "${ADMIN_TOKEN}"
[[admin.tokens]]
name = "viewer"
token = "${VIEWER_TOKEN}"
[log]
level = "debug"
"""
COMMANDS = (
    *("check --online", "tms-settings --source contoso --url https://x", "status", "calls --json"),
    *("outbox list --json", "quarantine list --json", "topology show", "fields --source contoso"),
)
PAGES = (
    *("/metrics", "/livez", "/readyz", "/api/v1/status", "/api/v1/calls", "/api/v1/events"),
    *("/api/v1/quarantine", "/api/v1/outbox", "/api/v1/openapi.json"),
)
CONSOLE = ("/configuration", "/calls", "/")


def spellings(secret: str) -> Iterator[bytes]:
    """Yield a secret as itself, percent-encoded, and as Basic credentials of either alphabet."""
    yield secret.encode()
    yield quote(secret, safe="").encode()
    for pair in (secret, f"Webhookuser:{secret}", f"Spare:{secret}"):
        yield base64.b64encode(pair.encode()).rstrip(b"=")
        yield base64.urlsafe_b64encode(pair.encode()).rstrip(b"=")


def ask(url: str, method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=PATIENCE_S)
    try:
        connection.request(method, path, body, dict(headers))
        answer = connection.getresponse()
        head = "".join(f"{name}: {value}\n" for name, value in answer.getheaders()).encode()
        return answer.status, head + answer.read()
    finally:
        connection.close()


class Written:
    """All that came out of any process, by what it was."""

    def __init__(self) -> None:
        self.texts: dict[str, bytes] = {}

    def add(self, what: str, text: bytes) -> None:
        self.texts[what] = self.texts.get(what, b"") + text

    def holding(self, secrets: tuple[str, ...]) -> list[tuple[str, str]]:
        """Return which secret was found in what."""
        return [
            (secret, what)
            for secret in secrets
            for what, text in self.texts.items()
            if any(spelling in text for spelling in spellings(secret))
        ]


def run(bridge: Bridge, line: str, written: Written) -> None:
    done = subprocess.run(bridge.command(*line.split()), capture_output=True, check=False, timeout=60)
    written.add(f"tms-bridge {line}", done.stdout + done.stderr)


def call(bridge: Bridge, written: Written) -> list[int]:
    """Call as TMS does, and as strangers do; return what was answered."""
    path, right = "/webhooks/contoso/class-changed?key=canary-query", {"Authorization": bridge.authorization}
    wrong = base64.b64encode(b"Webhookuser:canary-wrong-basic").decode()
    shown = (
        *((body, {**right, "Cookie": "a=canary-cookie"}) for body in BODIES),
        (BODIES[0], {"X-Api-Key": CONFIGURED["TMS_KEY"]}),
        (BODIES[0], {"X-Api-Key": "canary-wrong-key"}),
        (BODIES[0], {"Authorization": "Bearer canary-wrong-bearer"}),
        (BODIES[0], {"Authorization": f"Basic {wrong}"}),
    )
    statuses = []
    for body, headers in shown:
        status, answer = ask(bridge.url, "POST", path, headers, body)
        written.add("answers", answer)
        statuses.append(status)
    return statuses


def look(bridge: Bridge, written: Written) -> None:
    """Look at everything that the admin listener shows without opening a body."""
    for token in ("ADMIN_TOKEN", "VIEWER_TOKEN"):
        headers = {"Authorization": f"Bearer {CONFIGURED[token]}"}
        # The console leads to its sign-in and back to what was asked for, so it repeats a query.
        for page in (*(f"{page}?key=canary-query" for page in PAGES), *CONSOLE):
            written.add(f"GET {page.partition('?')[0]}", ask(bridge.admin_url, "GET", page, headers)[1])
    ask(bridge.admin_url, "GET", "/api/v1/status", {"Authorization": "Bearer canary-wrong-bearer"})


def break_configuration(bridge: Bridge, written: Written) -> None:
    """Let a running bridge, and commands, meet configurations with secrets in wrong places."""
    sound = bridge.configuration.read_text()
    for broken in (
        sound.replace('name = "key"', 'nmae = "canary-spare-password"'),
        sound.replace("${TMS_KEY}", "${TMS_KEY"),
        f'{sound}\n[sources.contoso]\npassword = "canary-spare-password\n',
        sound.replace('urls = ["amqp://', 'urls = ["amqpp://u:canary-spare-password@'),
        sound.replace('urls = ["amqp://', 'urls = ["amqp://u:canary-spare-password@h:port:more/'),
    ):
        bridge.configuration.write_text(broken)
        said = CliRunner().invoke(program, ["check", "--config", str(bridge.configuration)])
        assert 2 == said.exit_code
        written.add("tms-bridge check", said.output.encode())
    bridge.configuration.write_text(sound)


@pytest.fixture
def written(rabbitmq: Node, amqp_url: str, monkeypatch: pytest.MonkeyPatch) -> Written:
    """What a bridge at debug level, its commands and its admin listener write of a day with canaries."""
    written = Written()
    for name, secret in CONFIGURED.items():
        monkeypatch.setenv(name, secret)
    refused = f"amqp://{rabbitmq.user}:{CONFIGURED['SPARE_PASSWORD']}@127.0.0.1:{rabbitmq.port}/"
    for url in (amqp_url, refused):
        bridge = Bridge(url, more=MORE)
        text = bridge.configuration.read_text()
        bridge.configuration.write_text(
            text.replace(json.dumps(bridge.password), json.dumps("${TMS_PASSWORD}"))
        )
        monkeypatch.setenv("TMS_PASSWORD", PASSWORD)
        bridge.password = PASSWORD
        (bridge.configuration.parent / "spare").write_text(CONFIGURED["SPARE_PASSWORD"])
        with closing(bridge):
            bridge.start(timeout_s=60.0)
            assert [202, 422, 422, 202, 401, 401, 401] == call(bridge, written)
            for line in COMMANDS if url == amqp_url else COMMANDS[:1]:
                run(bridge, line, written)
            look(bridge, written)
            if url == amqp_url:
                break_configuration(bridge, written)
            bridge.stop()
            written.add("log", bridge.log.encode())
            for file in sorted(bridge.outbox.iterdir()):
                written.add(f"outbox/{file.name}", file.read_bytes())
    assert b"ACCESS_REFUSED" in written.texts["log"] or b"refused" in written.texts["log"]
    return written


@pytest.mark.long
def test_no_secret_is_found_in_anything_that_was_written(rabbitmq: Node, written: Written) -> None:
    secrets = (PASSWORD, *CONFIGURED.values(), rabbitmq.password, *SHOWN)

    assert [] == written.holding(secrets)
    outside = Written()
    outside.texts = {what: text for what, text in written.texts.items() if not what.startswith("outbox/")}
    assert [] == outside.holding(IN_BODIES)
    # What is looked for can be found: bodies lie in the outbox.
    assert any(b"canary-name" in text for what, text in written.texts.items() if what.startswith("outbox/"))
