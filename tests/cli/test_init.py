import json
from pathlib import Path

from tms_bridge.settings.load import load

from .conftest import Invoke, Run


def test_the_written_file_can_be_used_as_it_is(run: Run, tmp_path: Path) -> None:
    done = run("init")
    assert 0 == done.returncode
    settings = load(tmp_path / "tms-bridge.toml", {})
    assert ["contoso"] == list(settings.sources)
    assert "tms-bridge serve" in done.stdout


def test_only_its_owner_may_read_it(run: Run, tmp_path: Path) -> None:
    run("init", "new/bridge.toml")
    assert 0o600 == (tmp_path / "new" / "bridge.toml").stat().st_mode & 0o777


def test_every_file_gets_a_password_of_its_own(invoke: Invoke, tmp_path: Path) -> None:
    paths = [tmp_path / "a.toml", tmp_path / "b.toml"]
    for path in paths:
        invoke("init", path)
    passwords = [load(path, {}).sources["contoso"].credentials[0].basic for path in paths]
    assert passwords[0] is not None
    assert len(passwords[0].password) >= 32
    assert passwords[0] != passwords[1]


def test_a_file_that_is_there_is_left_alone_unless_forced(invoke: Invoke, tmp_path: Path) -> None:
    path = tmp_path / "bridge.toml"
    path.write_text("mine")
    refused = invoke("init", path)
    assert (2, "", "mine") == (refused.exit_code, refused.stdout, path.read_text())
    assert "--force" in refused.stderr
    assert 0 == invoke("init", path, "--force").exit_code
    assert "[sources.contoso]" in path.read_text()


def test_without_a_file_it_writes_what_config_names_and_its_next_steps_say_so(
    invoke: Invoke, tmp_path: Path
) -> None:
    path = tmp_path / "bridge.toml"
    answer = json.loads(invoke("init", "--config", path, "--json").stdout)
    assert str(path) == answer["written"]
    assert f"tms-bridge serve --config {path}" in answer["next"]


def test_a_file_that_cannot_be_written_is_named_in_plain_words(invoke: Invoke, tmp_path: Path) -> None:
    (path := tmp_path / "file").touch()
    result = invoke("init", path / "tms-bridge.toml")
    assert (1, f"tms-bridge: {path}: file exists\n") == (result.exit_code, result.stderr)
