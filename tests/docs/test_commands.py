"""Every command that a page shows is one that there is, with options that it has."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click
import pytest

from tms_bridge.cli.program import program

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    str(path.relative_to(ROOT))
    for pattern in ("*.md", "docs/*.md", "docs/adr/*.md", "schemas/*.md", "examples/*.md")
    for path in ROOT.glob(pattern)
)
FENCED = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
SHELL = {"", "sh", "text", "console"}
"""Languages of blocks that may hold commands."""
SPAN = re.compile(r"`([^`\n]+)`")
OPERATORS = {"|", "&&", ";", ">", "<", "2>&1"}
ELLIPSIS = {"…", "...", "[…]"}


class Shown(NamedTuple):
    """A command as a page shows it; in a block it is whole, in a sentence it may be named alone."""

    page: str
    words: tuple[str, ...]
    whole: bool


def shown(page: str) -> Iterator[Shown]:
    text = (ROOT / page).read_text()
    for block in (block for language, block in FENCED.findall(text) if language in SHELL):
        for line in block.replace("\\\n", " ").splitlines():
            yield from _commands(page, line.strip(), whole=True)
    for span in SPAN.findall(FENCED.sub("", text)):
        yield from _commands(page, span, whole=False)


def _commands(page: str, line: str, *, whole: bool) -> Iterator[Shown]:
    """Yield the commands of a line of shell."""
    try:
        words = shlex.split(line.removeprefix("$ "), comments=True)
    except ValueError:
        return  # no shell: a sentence with an apostrophe
    command: list[str] = []
    for word in [*words, ";"]:
        if word in OPERATORS or word in ELLIPSIS or word == "--":
            yield Shown(page, tuple(command), whole and word not in ELLIPSIS)
            command = []
        else:
            command.append(word)


def ours(page: str) -> list[Shown]:
    return [one for one in shown(page) if one.words[:1] == ("tms-bridge",)]


def resolved(words: tuple[str, ...]) -> tuple[click.Command, list[str]]:
    command: click.Command = program
    rest = list(words)
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        inner = command.get_command(click.Context(command), rest[0])
        assert inner is not None, f"there is no command {' '.join(words)}"
        command = inner
        del rest[0]
    return command, rest


@pytest.mark.parametrize("page", [page for page in PAGES if ours(page)])
def test_every_command_of_ours_takes_the_options_that_a_page_gives_it(page: str) -> None:
    for one in ours(page):
        command, rest = resolved(one.words[1:])
        context = click.Context(command, info_name=" ".join(one.words), help_option_names=["-h", "--help"])
        try:
            given, surplus, _ = command.make_parser(context).parse_args(rest)
        except click.UsageError as error:
            if one.whole or not isinstance(error, click.BadOptionUsage):
                raise AssertionError(f"{page}: {' '.join(one.words)}: {error.message}") from None
            continue  # a sentence may name an option without its value
        assert [] == surplus or isinstance(command, click.Group), f"{page}: {one.words}"
        missing = [
            param.name for param in command.params if param.required and given.get(param.name or "") is None
        ]
        assert [] == missing or not one.whole, f"{page}: {' '.join(one.words)} lacks {missing}"


@pytest.mark.parametrize("page", PAGES)
def test_every_target_of_make_is_there(page: str) -> None:
    targets = set(re.findall(r"^([a-z][\w-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    asked = {
        word for one in shown(page) if one.words[:1] == ("make",) for word in one.words[1:2] if word.islower()
    }
    assert set() == asked - targets
