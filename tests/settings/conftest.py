"""What the tests of `settings` share: a configuration to load, whole or changed in one place."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tms_bridge.errors import SettingsError
from tms_bridge.settings.load import Loaded, read

ENVIRONMENT = {"AMQP_URL": "amqp://bridge:s3cret@broker:5672/", "TMS_PASSWORD": "s3cret-of-tms"}

MINIMAL = """\
[http]
[admin]
[amqp]
urls = ["${AMQP_URL}"]
[outbox]
dir = "var/outbox"
[sources.contoso]
allow_from = ["skillable-tms"]
[[sources.contoso.credentials]]
name = "2026"
basic = { username = "tms", password = "${TMS_PASSWORD}" }
"""

Read = Callable[..., Loaded]
Complain = Callable[..., str]


@pytest.fixture
def minimal() -> str:
    return MINIMAL


@pytest.fixture
def read_text(tmp_path: Path) -> Read:
    """Read a configuration of this text, or the minimal one with replacements."""

    def read_text(text: str = MINIMAL, *replacements: tuple[str, str], **environ: str) -> Loaded:
        for old, new in replacements:
            assert old in text
            text = text.replace(old, new, 1)
        file = tmp_path / "tms-bridge.toml"
        file.write_text(text, encoding="utf-8")
        return read(file, ENVIRONMENT | environ)

    return read_text


@pytest.fixture
def complaints_about(read_text: Read, tmp_path: Path) -> Complain:
    """Return what is said against the minimal configuration with replacements, without the file's name."""

    def complaints_about(*replacements: tuple[str, str], **environ: str) -> str:
        with pytest.raises(SettingsError) as caught:
            read_text(MINIMAL, *replacements, **environ)
        assert "s3cret" not in str(caught.value)
        return str(caught.value).replace(f"{tmp_path / 'tms-bridge.toml'}: ", "")

    return complaints_about
