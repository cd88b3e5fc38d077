"""What operators hand over: the configuration, the vendor's page, the lines of an import."""

# ruff: noqa: E501 - lists of odd words are no prose

import base64
import json
import re
import tempfile
from pathlib import Path

import msgspec
from tests.admin.fuzz import ROW
from tests.fuzz.mutation import JsonMutator, Mutator
from tests.fuzz.target import Target

from tms_bridge.cli.allowlist import addresses
from tms_bridge.errors import InvalidQuery, SettingsError
from tms_bridge.outbox.operators import _imported
from tms_bridge.outbox.rows import Row
from tms_bridge.settings.load import read
from tms_bridge.settings.reference import template
from tms_bridge.settings.traps import contradictions, warnings

CANARY = "canary-that-nobody-may-see"
_ENVIRON = {"AMQP_URL": f"amqp://bridge:{CANARY}@broker:5672/", "SECRET": CANARY, "EMPTY": "", "NUMBER": "7"}
_DIRECTORY = tempfile.TemporaryDirectory(prefix="tms-fuzz-")
_FILE = Path(_DIRECTORY.name) / "tms-bridge.toml"
(_FILE.parent / "list.txt").write_text("192.0.2.0/24 # ours\n2001:db8::7\n")
(_FILE.parent / "secret").write_text(f"{CANARY}\n")

_EVERYTHING = template("${SECRET}").replace("\n# ", "\n").replace("\n#   ", "\n")
_SMALL = """\
[http]
listen = ["127.0.0.1:0", "[::]:8080"]
client_address = "forwarded"
trusted_proxies = ["10.0.0.0/8", "@list.txt"]
[admin]
token = "${file:secret}"
[[admin.tokens]]
name = "v"
token = "${SECRET}"
sources = ["contoso"]
[amqp]
urls = ["${AMQP_URL}", "amqps://a:${SECRET}@[::1]:5671/v%2fh?cafile=ca.pem"]
queues = [{ name = "crm", bindings = ["tms.class.*"] }]
[sources.contoso]
allow_from = ["skillable-tms", "any", "@list.txt", "192.0.2.7"]
timeout_s = "${NUMBER}"
fields.class = { status = "/Class/State", name = "/a~1b/0" }
[[sources.contoso.credentials]]
name = "2026"
headers = { X-Api-Key = "${SECRET}", "X-Other" = "$${a}${NONE:-b}" }
[[sources.contoso.credentials]]
name = "old"
basic = { username = "u", password = "${SECRET}" }
"""
_CONFIGURATION = Mutator(
    [_SMALL.encode(), template("${SECRET}").encode(), _EVERYTHING.encode()],
    [
        b"${SECRET}", b"${file:secret}", b"${file:}", b"${file:.}", b"${file:/dev/null}", b"${NONE}", b"${", b"$${",
        b"${A:-${SECRET}}", b'"', b"'", b'"""', b"[", b"]", b"[[", b"]]", b"{", b"}", b"=", b",", b"\n", b"#", b"\\",
        b"\\u0000", b"\xff", b"\xef\xbb\xbf", b"nan", b"inf", b"-1", b"0", b"1e400", b"9" * 30, b"true", b"1979-05-27",
        b"0.0.0.0/0", b"::/0", b"@list.txt", b"@nowhere", b"any", b"amqp://", b"amqps://[", b":99999", b"%zz", b"a" * 300,
        b"[sources.contoso]\n", b"[http.tls]\n", b"listen = 1\n", b"x = 1\n", b"." * 50, b"[" * 200, b"name = ",
    ],
    most=3,
)  # fmt: skip


_SECRET = re.compile(rb"SECRET|file:|AMQP_URL")
_LINES = frozenset(
    line for text in (_SMALL, template("${SECRET}"), _EVERYTHING) for line in text.encode().split(b"\n")
)


def _is_told(given: bytes) -> bool:
    """Return whether a secret stands where it may be shown: whoever puts one into a name has told it."""
    moved = any(_SECRET.search(line) for line in given.split(b"\n") if line not in _LINES)
    return moved or b'"""' in given or b"'''" in given


def _judge_configuration(given: bytes) -> None:
    """It can be used, or what is wrong is said by key, and no secret with it."""
    _FILE.write_bytes(given)
    try:
        loaded = read(_FILE, _ENVIRON)
    except SettingsError as error:
        said = str(error)
        assert said.startswith(f"{_FILE}: ")
    else:
        said = "\n".join(map(str, (*contradictions(loaded.settings), *warnings(loaded.settings))))
        said += repr(loaded.settings)
    assert CANARY not in said or _is_told(given)


_PAGE = Mutator(
    [
        b"# Webhooks\n\nWrite to 198.51.100.9.\n\n```plaintext\n13.65.147.174\n2001:db8::7\n```\n| 192.0.2.1 |\n",
        b"<!DOCTYPE html><html><body><p>Write</p><pre><code>13.65.147.174\n<span>13.66.35.217</span></code></pre><ul><li>172.206.138.0/24</li></ul><script>var a = '\n203.0.113.1\n'</script></body></html>",
    ],
    [
        b"<", b">", b"</", b"<!--", b"-->", b"<![CDATA[", b"]]>", b"<?", b"<!", b"&#49;", b"&#x110000;", b"&", b"<script>",
        b"</script>", b"<table><tr><td>", b"<div ", b"a='", b'"', b"\n", b"\r", b"\x00", b"\xff", b"\xe2\x80\xa8", b"`",
        b"10.0.0.0/33", b"::/0", b"1.2.3.4/0.0.0.255", b"0.0.0.0/0", b"01.2.3.4", b"<p" * 500, b"<!-" * 500, b"&a" * 500,
    ],
)  # fmt: skip


def _judge_page(given: bytes) -> None:
    """Every page has addresses or none; one more line has one more, where it is no HTML."""
    page = given.decode("utf-8", "replace")
    found = addresses(page)
    if "<" not in page:
        assert "192.0.2.77/32" in map(str, addresses(page + "\n192.0.2.77\n"))
        assert found <= addresses(page + "\n192.0.2.77\n")


_GOOD_ROW = json.dumps({**ROW, "id": "fuzz-1", "body": base64.b64encode(b"{}").decode()}).encode()
_ROWS = JsonMutator(
    [_GOOD_ROW],
    [json.dumps(name).encode() for name in (*ROW, "test", "bytes", "received_at", "x")],
    [
        b"null", b"true", b"-1", b"0", b"1", b"1.5", b"1e308", b"9223372036854775807", b"9223372036854775808", b"[]", b"{}",
        b'""', b'"x"', b'"\\u0000"', b'"\\ud800"', b'"a/b"', b'"pending"', b'"refused"', b'"held"', b'"undecodable"',
        b'"event"', b'"quarantine"', b'"_w=="', b'"===="', b'"AAA"', b'"' + b"a" * 300 + b'"', b'"../../x"',
    ],
)  # fmt: skip


def _judge_row(given: bytes) -> None:
    """A line is a row that can be exported and imported again as it is, or what is wrong is said."""
    try:
        row = _imported(given, 7)
    except InvalidQuery as error:
        refused = str(error)
    else:
        _check_row(row)
        return
    assert "line 7 " in refused


def _check_row(row: Row) -> None:
    again = _imported(msgspec.json.encode(row), 7)
    assert row == again
    assert len(row.message.routing_key) <= 255


CONFIGURATION = Target("configuration", _CONFIGURATION, _judge_configuration)
PAGE = Target("page", _PAGE, _judge_page)
ROWS = Target("rows", _ROWS, _judge_row)
