import os
import subprocess
import sys
from pathlib import Path

import pytest

from cli_page import render

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"


def test_the_page_is_what_the_help_texts_say() -> None:
    assert PAGE.read_text() == render(), "run: make docs"


def test_every_help_text_fits_its_block() -> None:
    assert 120 >= max(map(len, render().splitlines()))


COMPLETES = """\
eval "$(_TMS_BRIDGE_COMPLETE=bash_source tms-bridge)"
COMP_WORDS=({words}) COMP_CWORD={last}
_tms_bridge_completion tms-bridge
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("tms-bridge q", ["quarantine"]),
        ("tms-bridge quarantine re", ["release", "replay"]),
        ("tms-bridge calls --fo", ["--follow"]),
    ],
)
def test_bash_completes_commands_and_options_as_the_page_says(words: str, expected: list[str]) -> None:
    assert COMPLETES.splitlines()[0] in PAGE.read_text()
    script = COMPLETES.format(words=words, last=words.count(" "))
    environ = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["/bin/bash", "-c", script], capture_output=True, text=True, check=False, timeout=60, env=environ
    )
    assert ("", expected) == (done.stderr, done.stdout.splitlines())
