import base64
import json
from pathlib import Path

import pytest
from tests import certificates

from .conftest import Invoke

SEED_HEADER = "Authorization=Basic V2ViaG9va3VzZXI6d2ViaG9va3Bhc3N3b3Jk"


def test_both_triggers_get_a_form_of_every_field(invoke: Invoke, config: Path) -> None:
    result = invoke(
        "tms-settings",
        "--config",
        config,
        "--source",
        "contoso",
        "--url",
        "https://hooks.example.com/",
        "--reveal",
        "--json",
    )
    answer = json.loads(result.stdout)
    assert [
        "Course assignment changed",
        "Class changed",
    ] == [webhook["trigger_event"] for webhook in answer["webhooks"]]
    assert {
        "name": "TMS Bridge contoso: class changed",
        "trigger_event": "Class changed",
        "url": "https://hooks.example.com/webhooks/contoso/class-changed",
        "http_headers": [SEED_HEADER],
        "delay_seconds": 0,
        "timeout_seconds": 10.0,
        "max_retries": 5,
        "enabled": True,
    } == answer["webhooks"][1]
    assert set(answer["why"]) == set(answer["webhooks"][0])


@pytest.mark.parametrize("flags", [(), ("--json",)])
@pytest.mark.parametrize("credential", ["2026", "api-key"])
def test_secrets_are_masked_unless_they_are_to_be_revealed(
    invoke: Invoke, config: Path, credential: str, flags: tuple[str, ...]
) -> None:
    args = ("tms-settings", "--config", config, "--source", "contoso", "--credential", credential, *flags)
    secrets = {"2026": SEED_HEADER, "api-key": "X-Api-Key=k3y"}
    assert secrets[credential] not in invoke(*args).output
    assert secrets[credential] in invoke(*args, "--reveal").output


def test_basic_uses_the_url_safe_alphabet_and_utf_8(invoke: Invoke, config: Path) -> None:
    config.write_text(config.read_text().replace(":-webhookpassword", ":-~~~???é"))
    result = invoke("tms-settings", "--config", config, "--source", "contoso", "--reveal", "--json")
    line = json.loads(result.stdout)["webhooks"][0]["http_headers"][0]
    assert "Authorization=Basic " + base64.urlsafe_b64encode("Webhookuser:~~~???é".encode()).decode() == line
    assert "+" not in line
    assert "/" not in line


def test_people_are_warned_of_delays_and_of_doubles(invoke: Invoke, config: Path) -> None:
    result = invoke("tms-settings", "--config", config, "--source", "contoso")
    assert "different Delay Seconds can arrive out of order" in result.stderr
    assert "Two webhooks on one trigger event deliver every event twice" in result.stderr
    assert "Give --url" in result.stderr


def test_an_address_without_tls_is_warned_of(invoke: Invoke, config: Path) -> None:
    result = invoke(
        "tms-settings", "--config", config, "--source", "contoso", "--url", "http://hooks.example.com"
    )
    assert "not https" in result.stderr


@pytest.mark.parametrize("args", [("--source", "fabrikam"), ("--source", "contoso", "--credential", "2025")])
def test_what_is_not_configured_is_exit_code_2_and_names_what_is(
    invoke: Invoke, config: Path, args: tuple[str, ...]
) -> None:
    result = invoke("tms-settings", "--config", config, *args)
    assert (2, "") == (result.exit_code, result.stdout)
    assert "contoso" in result.stderr or "2026, api-key" in result.stderr


def certified(config: Path, directory: Path) -> None:
    """Put a client certificate before the other credentials."""
    pair = certificates.make(directory, "gateway")
    credentials = "[[sources.contoso.credentials]]\n"
    first = f'{credentials}name = "gateway"\nclient_certificate = "gateway"\n{credentials}'
    text = config.read_text().replace(credentials, first, 1)
    config.write_text(text + pair.as_toml("http.tls", client_ca=pair.certificate))


def test_what_tms_cannot_send_is_not_what_it_is_told_to_send(
    invoke: Invoke, config: Path, tmp_path: Path
) -> None:
    certified(config, tmp_path)
    command = ("tms-settings", "--config", config, "--source", "contoso", "--reveal", "--json")
    first = json.loads(invoke(*command).stdout)
    chosen = json.loads(invoke(*command, "--credential", "gateway").stdout)

    assert ("2026", [SEED_HEADER]) == (first["credential"], first["webhooks"][0]["http_headers"])
    assert ("gateway", []) == (chosen["credential"], chosen["webhooks"][0]["http_headers"])
    assert "which TMS cannot show" in chosen["warnings"][-1]
    assert "which TMS cannot show" not in str(first["warnings"])
