from collections.abc import Callable
from pathlib import Path

import pytest
from tests.settings.conftest import MINIMAL
from yarl import URL

from tms_bridge.errors import SettingsError
from tms_bridge.settings.load import Loaded, load, read
from tms_bridge.settings.model import Amqp, Basic, Credential, Outbox, Queue, Settings, Source

Read = Callable[..., Loaded]
Complain = Callable[..., str]


def test_a_minimal_file_is_filled_up_with_defaults(tmp_path: Path, read_text: Read) -> None:
    basic = Basic(username="tms", password="s3cret-of-tms")
    expected = Settings(
        amqp=Amqp(urls=("amqp://bridge:s3cret@broker:5672/",)),
        outbox=Outbox(dir=str(tmp_path / "var/outbox")),
        sources={
            "contoso": Source(
                allow_from=("skillable-tms",), credentials=(Credential(name="2026", basic=basic),)
            )
        },
    )
    assert read_text().settings == expected


FULL = """\
[http]
listen = ["0.0.0.0:8080", "[::]:8080"]
client_address = "forwarded"
trusted_proxies = ["10.0.0.0/8"]
max_body_bytes = 1000
deadline_s = 4
max_in_flight = 10
success_status = 200
shutdown_delay_s = 0
drain_timeout_s = 1.5
[admin]
listen = "127.0.0.1:8081"
token = "${file:token}"
[amqp]
urls = ["amqps://bridge:pw@broker/vhost?cafile=/etc/ca.pem"]
exchange = "events"
declare = false
heartbeat_s = 5
confirm_timeout_s = 30
max_outstanding = 4096
[[amqp.queues]]
name = "crm"
bindings = ["tms.class.*", "#"]
[outbox]
dir = "/var/lib/tms-bridge"
max_bytes = 1
min_free_bytes = 0
[quarantine]
max_bytes = 1
max_age_days = 0.5
[dedup]
window_s = 0
[sources.contoso]
allow_from = ["@list", "any"]
on_unlisted_address = "hold"
timeout_s = 30
derive_status = true
routing_key_prefix = "training.tms"
[sources.contoso.fields.class]
status = "/Class/ConfirmationStatusId"
[[sources.contoso.credentials]]
name = "api-key"
headers = { X-Api-Key = "${file:key}" }
[log]
format = "console"
level = "debug"
"""


def test_every_key_of_the_design_is_known(tmp_path: Path, read_text: Read) -> None:
    (tmp_path / "token").write_text("admin-token-0123\n")
    (tmp_path / "key").write_text("abc\n")
    (tmp_path / "list").write_text("# the lab\n192.0.2.1 # one\n\nskillable-tms\n2001:db8::/32")
    settings = read_text(FULL).settings
    source = settings.sources["contoso"]
    assert settings.admin.token == "admin-token-0123"
    assert settings.amqp.queues == (Queue(name="crm", bindings=("tms.class.*", "#")),)
    assert source.allow_from == ("192.0.2.1", "skillable-tms", "2001:db8::/32", "any")
    assert source.credentials[0].headers == {"X-Api-Key": "abc"}
    assert source.fields == {"class": {"status": "/Class/ConfirmationStatusId"}}
    assert (settings.http.deadline_s, settings.http.listen) == (4.0, ("0.0.0.0:8080", "[::]:8080"))


def test_the_files_that_a_configuration_names_are_told_once_each(tmp_path: Path, read_text: Read) -> None:
    for name in ("token", "key", "list"):
        (tmp_path / name).write_text("192.0.2.1\n")
    files = read_text(
        FULL + '[sources.b]\nallow_from=["@list"]\ntimeout_s=9\n'
        '[[sources.b.credentials]]\nname="k"\nheaders={X-Key="${file:key}"}\n'
    ).files
    assert files == tuple(tmp_path / name for name in ("tms-bridge.toml", "token", "key", "list"))


def test_load_returns_the_settings_alone(tmp_path: Path, minimal: str) -> None:
    file = tmp_path / "tms-bridge.toml"
    file.write_text(minimal)
    environ = {"AMQP_URL": "amqp://localhost", "TMS_PASSWORD": "x"}
    assert load(file, environ) == read(file, environ).settings


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (
            b"[http",
            "{file}: is not valid TOML: Expected ']' at the end of a table declaration (at end of document)",
        ),
        (b"\xff", "{file}: cannot be read (it is not UTF-8 text)"),
        (b"a = " + b"[" * 5000, "{file}: is nested too deeply"),
        (b"", "{file}: amqp: is missing; it has no default\n{file}: sources: is missing; it has no default"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(content: bytes, expected: str, tmp_path: Path) -> None:
    file = tmp_path / "broken.toml"
    file.write_bytes(content)
    with pytest.raises(SettingsError) as caught:
        load(file, {})
    assert str(caught.value) == expected.format(file=file)


def test_a_missing_file_says_how_to_write_one(tmp_path: Path) -> None:
    file = tmp_path / "none.toml"
    with pytest.raises(SettingsError) as caught:
        load(file, {})
    assert str(caught.value) == (
        f"{file}: cannot be read (no such file or directory); `tms-bridge init {file}` writes one"
    )


def test_a_directory_is_no_configuration(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, {})
    assert str(caught.value) == f"{tmp_path}: cannot be read (it is a directory)"


def test_all_problems_are_told_at_once_by_key(complaints_about: Complain) -> None:
    text = complaints_about(
        ("[http]", '[http]\nlistne = "x"\nmax_in_flight = "many"'), ("${TMS_PASSWORD}", "${NOT_SET}")
    )
    assert text.splitlines() == [
        "http.listne: unknown key; did you mean listen?",
        "http.max_in_flight: must be an integer of at least 1, not this text",
        (
            "sources.contoso.credentials[0].basic.password: the environment variable NOT_SET is "
            "not set; set it, or "
            "give a default: ${NOT_SET:-...}"
        ),
    ]


def test_problems_of_values_are_told_at_once_too(complaints_about: Complain) -> None:
    text = complaints_about(
        ("[http]", '[http]\nlisten = "8080"\ndeadline_s = 10'), ("skillable-tms", "skillable")
    )
    assert [line.partition(":")[0] for line in text.splitlines()] == [
        "sources.contoso.allow_from[0]",
        "http.listen",
        "sources.contoso.timeout_s",
    ]


def test_every_relative_path_begins_at_the_file_that_names_it(
    tmp_path: Path, read_text: Read, minimal: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    url = "amqps://bridge:pw@broker/v?cafile=ca.pem&certfile=/etc/c.pem&keyfile=../k.pem&heartbeat=5"
    loaded = read_text(minimal, AMQP_URL=url)

    assert loaded.settings.outbox == Outbox(dir=str(tmp_path / "var/outbox"))
    (placed,) = loaded.settings.amqp.urls
    assert dict(URL(placed).query) == {
        "cafile": str(tmp_path / "ca.pem"),
        "certfile": "/etc/c.pem",
        "keyfile": str(tmp_path / "../k.pem"),
        "heartbeat": "5",
    }
    assert loaded.former_outbox == elsewhere / "var/outbox"


def test_an_outbox_that_was_never_elsewhere_has_no_former_place(
    tmp_path: Path, read_text: Read, minimal: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    absolute = read_text(minimal, ("var/outbox", "/var/lib/tms-bridge"))
    monkeypatch.chdir(tmp_path)

    assert (absolute.former_outbox, read_text(minimal).former_outbox) == (None, None)


def test_a_byte_order_mark_is_no_part_of_any_file(tmp_path: Path, read_text: Read) -> None:
    """Notepad and PowerShell put one before what they save."""
    for name, text in (("token", "admin-token-0123\r\n"), ("key", "abc"), ("list", "192.0.2.1\r\n")):
        (tmp_path / name).write_text(text, encoding="utf-8-sig")
    settings = read_text("\ufeff" + FULL).settings
    source = settings.sources["contoso"]

    assert (settings.admin.token, source.credentials[0].headers) == ("admin-token-0123", {"X-Api-Key": "abc"})
    assert source.allow_from == ("192.0.2.1", "any")


def test_trusted_proxies_may_stand_in_a_list_of_their_own(
    tmp_path: Path, read_text: Read, complaints_about: Complain
) -> None:
    (tmp_path / "proxies").write_text("# ingress\n10.1.2.3\n2001:db8::/64\n")
    proxies = ("[http]", "[http]\ntrusted_proxies = ['192.0.2.1', '@proxies']")
    loaded = read_text(MINIMAL, proxies)

    assert loaded.settings.http.trusted_proxies == ("192.0.2.1", "10.1.2.3", "2001:db8::/64")
    assert tmp_path / "proxies" in loaded.files
    (tmp_path / "proxies").write_text("skillable-tms\n")
    assert complaints_about(proxies) == (
        'http.trusted_proxies[1]: proxies line 1: "skillable-tms" is not an address or range; write '
        '"203.0.113.7", "203.0.113.0/24" or "2001:db8::/32"'
    )
