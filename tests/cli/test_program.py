import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from tms_bridge.cli.program import COMMANDS, program

from .conftest import Invoke, Run


def test_help_names_every_command_and_imports_none() -> None:
    code = (
        "import sys\nfrom tms_bridge.cli import main\ntry:\n main(['--help'])\nfinally:\n print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert [name for name in COMMANDS if f"\n  {name} " in done.stdout] == list(COMMANDS)
    modules = done.stdout.split()
    assert [] == [heavy for heavy in ("aiohttp", "aio_pika", "msgspec", "rich") if heavy in modules]


@pytest.mark.parametrize("name", COMMANDS)
def test_a_summary_is_the_first_sentence_of_the_commands_own_help(name: str) -> None:
    command = program.get_command(click.Context(program), name)
    assert command is not None
    assert COMMANDS[name].summary == (command.help or "").splitlines()[0]


def test_every_command_takes_config_and_json() -> None:
    for command in leaves(program):
        flags = {flag for parameter in command.params for flag in parameter.opts}
        assert {"--config", "--json"} <= flags, command.name


def leaves(command: click.Command) -> list[click.Command]:
    if not isinstance(command, click.Group):
        return [command]
    context = click.Context(command)
    children = [command.get_command(context, name) for name in command.list_commands(context)]
    return [leaf for child in children if child for leaf in leaves(child)]


@pytest.mark.parametrize("columns", [80, 100])
def test_no_name_in_a_help_text_is_broken_at_its_hyphen(columns: int) -> None:
    for path in paths(program):
        shown = CliRunner().invoke(
            program, [*path, "--help"], terminal_width=columns, max_content_width=columns
        )
        assert (path, []) == (path, re.findall(r"\w+-\n.*", shown.stdout))


def paths(command: click.Command, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield above
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            yield from paths(child, (*above, name))


def test_version_is_the_distributions(invoke: Invoke) -> None:
    assert f"tms-bridge, version {version('tms-bridge')}\n" == invoke("--version").output


@pytest.mark.parametrize(
    "args", [[], ["no-such-command"], ["simulate", "--no-such-option"], ["tms-settings"]]
)
def test_a_wrong_call_is_exit_code_2_and_leaves_standard_output_empty(run: Run, args: list[str]) -> None:
    done = run(*args)
    assert (2, "") == (done.returncode, done.stdout)
    assert "Traceback" not in done.stderr


def test_a_configuration_that_is_missing_is_exit_code_2_and_says_what_to_do(run: Run) -> None:
    done = run("tms-settings", "--source", "a")
    assert (2, "") == (done.returncode, done.stdout)
    assert "tms-bridge init tms-bridge.toml" in done.stderr


def test_a_configuration_that_is_wrong_is_exit_code_2_and_names_the_key(run: Run, tmp_path: Path) -> None:
    (tmp_path / "tms-bridge.toml").write_text("[amqp]\nurl = 3\n")
    done = run("tms-settings", "--source", "contoso")
    assert (2, "") == (done.returncode, done.stdout)
    assert "amqp.url: unknown key; did you mean urls?" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_configuration_may_be_named_in_the_environment(run: Run, config: Path) -> None:
    done = run("tms-settings", "--source", "contoso", TMS_BRIDGE_CONFIG=str(config))
    assert 0 == done.returncode


def test_no_escape_sequences_reach_a_pipe(run: Run, config: Path) -> None:
    done = run("tms-settings", "--source", "contoso", "--config", config)
    assert "\x1b" not in done.stdout + done.stderr


def test_a_reader_that_goes_away_is_no_error(config: Path) -> None:
    command = [sys.executable, "-m", "tms_bridge", "tms-settings", "--source=contoso", f"--config={config}"]
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, check=False, timeout=60)
    os.close(writer)
    assert 141 == done.returncode
    assert b"Traceback" not in done.stderr
    assert b"Broken" not in done.stderr


@pytest.mark.parametrize(
    ("stream", "exit_code", "said"),
    [
        (">&-", 0, ""),
        ("<&- >&- 2>&-", 0, ""),
        (">/dev/full", 1, "tms-bridge: no space left on device\n"),
    ],
)
@pytest.mark.parametrize("command", ["check", "--help"])
def test_a_stream_that_is_closed_or_full_is_no_traceback(
    config: Path, command: str, stream: str, exit_code: int, said: str
) -> None:
    called = f'"$1" -m tms_bridge {command} {stream}'
    environment = {**os.environ, "TMS_BRIDGE_CONFIG": str(config)}
    done = subprocess.run(
        ["/bin/sh", "-c", called, "sh", sys.executable],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (exit_code, said) == (done.returncode, done.stderr)


def test_ctrl_c_ends_it_cleanly(unused_tcp_port: int) -> None:
    url = f"http://127.0.0.1:{unused_tcp_port}"
    command = [sys.executable, "-m", "tms_bridge", "simulate", "--url", url, "--source", "a", "--count", "1"]
    process = subprocess.Popen(
        [*command, "--delay", "600", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    wait_for_handler(process.pid, signal.SIGTERM)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert 130 == process.returncode
    assert b'"unfinished": 1' in stdout
    assert b"" == stderr


def wait_for_handler(pid: int, number: signal.Signals) -> None:
    """Return once the process catches this signal, as the kernel tells."""
    while True:
        status = dict(
            line.split(":\t", 1)
            for line in Path(f"/proc/{pid}/status").read_text().splitlines()
            if ":\t" in line
        )
        if int(status["SigCgt"], 16) >> (number - 1) & 1:
            return
        time.sleep(0.01)
