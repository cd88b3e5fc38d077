"""`tms-bridge schema export`."""

import json
from pathlib import Path

from tms_events.artefact.files import files

from .conftest import Invoke, Run


def exported(directory: Path, name: str) -> str:
    return (directory / name).read_text()


def test_every_file_of_the_contract_is_written_and_named(
    invoke: Invoke, config: Path, tmp_path: Path
) -> None:
    directory = tmp_path / "new" / "schemas"
    printed = invoke("schema", "export", directory, "--config", config).stdout.splitlines()
    as_json = json.loads(invoke("schema", "export", directory, "--config", config, "--json").stdout)
    assert {"written": printed} == as_json
    assert files() == {name: exported(directory, name) for name in files()}


def test_the_configured_exchange_and_prefixes_are_used(invoke: Invoke, config: Path, tmp_path: Path) -> None:
    text = config.read_text().replace("[amqp]", '[amqp]\nexchange = "acme.events"')
    config.write_text(text.replace("[sources.contoso]", '[sources.contoso]\nrouting_key_prefix = "acme.tms"'))
    assert 0 == invoke("schema", "export", tmp_path, "--config", config).exit_code
    channel = json.loads(exported(tmp_path, "asyncapi.json"))["channels"]["class"]
    assert "acme.events" == channel["bindings"]["amqp"]["exchange"]["name"]
    assert ["acme.tms"] == channel["parameters"]["prefix"]["enum"]
    message = json.loads(exported(tmp_path, "golden/class.denied.json"))
    assert ("acme.events", "acme.tms.class.denied") == (message["exchange"], message["routing_key"])


def test_no_configuration_is_needed_and_a_named_one_must_be_there(run: Run, tmp_path: Path) -> None:
    done = run("schema", "export", "out")
    assert (0, True) == (done.returncode, "there is no tms-bridge.toml" in done.stderr)
    assert files()["asyncapi.json"] == exported(tmp_path / "out", "asyncapi.json")
    assert 2 == run("schema", "export", "out", "--config", "missing.toml").returncode
