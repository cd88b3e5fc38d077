"""The README's blocks, run as they stand there, in their order; only what needs a network is stood in for."""

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
SECOND_TERMINAL = re.findall(
    r"`(tms-bridge [^`]+)`", README.partition("In a second terminal, ")[2].partition("!")[0]
)

STAND_IN = """\
set -e
pip() {{
    test "$*" = "install ./schemas ." || {{ echo "asked for: pip $*"; return 1; }}
    cat > venv/bin/tms-bridge <<'END'
#!/bin/sh
"{python}" -m tms_bridge "$@" || exit
[ "$1" != init ] || sed -i 's/:8080"/:{http}"/; s/:8081"/:{admin}"/' tms-bridge.toml
END
    chmod +x venv/bin/tms-bridge
}}
"""
"""Stands in for an installation from the package index, which `make pip-check` tries, and chooses ports."""


def test_there_are_no_blocks_but_those_that_are_run() -> None:
    assert ["make demo", "python3 -m venv venv"] == [block.splitlines()[0].split("  ")[0] for block in BLOCKS]
    assert ["tms-bridge simulate", "tms-bridge status"] == [
        " ".join(command.split()[:2]) for command in SECOND_TERMINAL
    ]


def test_the_first_block_is_of_targets_that_make_has() -> None:
    for line in BLOCKS[0].splitlines():
        command = line.partition("#")[0].split()
        done = subprocess.run([*command, "--dry-run"], cwd=ROOT, capture_output=True, text=True, check=False)
        assert (command, 0) == (command, done.returncode), done.stderr


@asynccontextmanager
async def running(script: str, directory: Path, **environ: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a script as a terminal does, in a group of its own; Ctrl-C reaches all of it."""
    process = await asyncio.create_subprocess_exec(
        *("sh", "-c", script),
        cwd=directory,
        env=os.environ | environ,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):  # it has ended, and nobody was told yet
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


async def test_the_second_block_ends_with_a_bridge_that_the_second_terminal_finds(
    tmp_path: Path, vhost: str, unused_tcp_port_factory: Callable[[], int]
) -> None:
    http, admin = unused_tcp_port_factory(), unused_tcp_port_factory()
    script = STAND_IN.format(python=sys.executable, http=http, admin=admin) + BLOCKS[1]
    async with asyncio.timeout(300), running(script, tmp_path, AMQP_URL=vhost) as process:
        assert process.stdout is not None
        said = ""
        while '"event":"ready"' not in said:
            line = await process.stdout.readline()
            assert line, said
            said += line.decode()
        assert "lets the bridge in" in said
        told = [await _second_terminal(command, tmp_path, http, admin) for command in SECOND_TERMINAL]
        async with aiohttp.ClientSession() as client, client.get(f"http://127.0.0.1:{admin}/") as page:
            assert (200, True) == (page.status, "Overview" in await page.text())
        os.killpg(process.pid, signal.SIGINT)
        rest = (await process.stdout.read()).decode()
    assert ['"event":"stopped"', False] == [re.findall('"event":"stopped"', rest)[0], "Traceback" in rest]
    assert re.search(r"^accepted +100$", told[0], re.MULTILINE)
    assert "tms.unroutable" in told[1]


async def _second_terminal(command: str, directory: Path, http: int, admin: int) -> str:
    here = command.replace(":8080", f":{http}").replace(":8081", f":{admin}")
    async with running(f". venv/bin/activate\n{here}", directory) as process:
        said, _ = await process.communicate()
    assert (command, 0) == (command, process.returncode), said.decode()
    return said.decode()
