from pathlib import Path

import pytest
from tests import certificates

from tms_bridge.errors import SettingsError
from tms_bridge.settings.load import read

REST = """
[amqp]
urls = ["amqp://localhost"]
[sources.contoso]
allow_from = ["any"]
[[sources.contoso.credentials]]
name = "a"
basic = { username = "u", password = "p" }
"""


def written(directory: Path, text: str) -> Path:
    path = directory / "tms-bridge.toml"
    path.write_text(text + REST)
    return path


@pytest.mark.parametrize("table", ["http.tls", "admin.tls"])
def test_paths_begin_at_the_file_and_are_watched(tmp_path: Path, table: str) -> None:
    certificates.make(tmp_path, "a")
    loaded = read(
        written(tmp_path, f'[{table}]\ncertificate = "a.pem"\nkey = "a.key"\nclient_ca = "a.pem"\n'), {}
    )

    assert {tmp_path / "a.pem", tmp_path / "a.key"} < set(loaded.files)


@pytest.mark.parametrize(
    ("certificate", "key", "client_ca", "words"),
    [
        ("none.pem", "a.key", "", "http.tls.certificate: .*none.pem cannot be read"),
        ("a.pem", "none.key", "", "http.tls.key: .*none.key cannot be read"),
        ("a.pem", "a.key", "none.pem", "http.tls.client_ca: .*none.pem cannot be read"),
        ("a.pem", "b.key", "", "http.tls: cannot be used .*the key is the certificate's"),
        ("a.key", "a.key", "", "http.tls: cannot be used"),
        ("a.pem", "locked.key", "", "http.tls: cannot be used .*has no password"),
        ("a.pem", "a.key", "a.key", "http.tls: cannot be used"),
    ],
)
def test_what_cannot_be_used_is_named(
    tmp_path: Path, certificate: str, key: str, client_ca: str, words: str
) -> None:
    certificates.make(tmp_path, "a")
    certificates.make(tmp_path, "b")
    certificates.lock(tmp_path / "a.key", tmp_path / "locked.key")
    more = f'client_ca = "{client_ca}"\n' if client_ca else ""
    path = written(tmp_path, f'[http.tls]\ncertificate = "{certificate}"\nkey = "{key}"\n{more}')

    with pytest.raises(SettingsError, match=words):
        read(path, {})


def test_proxy_protocol_and_tls_do_not_go_together(tmp_path: Path) -> None:
    pair = certificates.make(tmp_path, "a")
    http = '[http]\nclient_address = "proxy-protocol"\ntrusted_proxies = ["192.0.2.1"]\n'

    with pytest.raises(SettingsError, match="PROXY protocol, whose header stands before TLS"):
        read(written(tmp_path, http + pair.as_toml("http.tls")), {})
