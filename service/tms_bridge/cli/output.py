"""What every command has: its configuration, and how it speaks.

People on a terminal get text, `--json` gives JSON, and diagnostics go to standard error.
"""

import os
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate, zip_longest
from pathlib import Path
from typing import TextIO, TypeVar
from urllib.parse import urlsplit

import click
import msgspec
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from tms_bridge.errors import SettingsError
from tms_bridge.settings.load import read
from tms_bridge.settings.model import Settings, Source

F = TypeVar("F", bound=Callable[..., object])

PIPE_WIDTH = 10_000
"""Columns when the output is no terminal: a file or a pipe gets whole lines."""

GAP = "  "
INDENT = "    "
LEAST_PROSE = 24
"""Columns that prose needs to be readable."""

COLOURS = {"ok": "green", "warn": "yellow", "fail": "bold red"}


class BridgeConsole(Console):
    """A console that reports a broken pipe like any other writer, and interprets nothing that it prints."""

    def __init__(self, file: TextIO) -> None:
        width = None if file.isatty() else PIPE_WIDTH
        super().__init__(file=file, width=width, markup=False, highlight=False, emoji=False)

    def on_broken_pipe(self) -> None:
        """Leave it to the program, which ends quietly."""
        raise BrokenPipeError


class Output:
    """Where one command's answer goes, and in which form."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self.console = BridgeConsole(sys.stdout)

    def document(self, value: object) -> None:
        """Print one JSON document, over several lines for whoever reads along."""
        click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2))

    def line(self, value: object) -> None:
        """Print one line of JSON, at once, since its reader may be waiting for it."""
        click.echo(msgspec.json.encode(value))

    def text(self, text: str, *, style: str = "") -> None:
        """Print a line for people."""
        self.console.print(Text(text, style=style), soft_wrap=True)

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[object]], *, prose: bool = False) -> None:
        """Print a table for people; without headings it is a block of labels and values.

        No value is ever folded or cut, since people copy them. Where the columns are wider than the terminal,
        those that do not fit stand under each row, with their labels; what a column without a heading says
        comes first, broken between words. `prose` lets the last column break between words instead.
        """
        cells = [["" if value is None else visible(str(value)) for value in row] for row in rows]
        width = self.console.width if self.console.is_terminal else PIPE_WIDTH
        for number, line in enumerate(laid_out(columns, cells, width, prose=prose)):
            self._print(line, "bold" if number == 0 and any(columns) else "")

    def block(self, rows: Iterable[tuple[str, object, str]]) -> None:
        """Print one thing for people: label and value on a line, and under it in prose what it means."""
        rows = list(rows)
        indent = max(len(label) for label, _, _ in rows) + len(GAP)
        for label, value, meaning in rows:
            values = "" if value is None else visible(str(value))
            for number, line in enumerate(values.split("\n")):
                self._print(("" if number else label).ljust(indent) + line)
            for line in _broken(meaning, max(self.console.width - indent, LEAST_PROSE)).split("\n"):
                self._print(" " * indent + line, "dim")

    def _print(self, line: str, style: str = "") -> None:
        if not self.console.is_terminal:
            click.echo(line.rstrip())
            return
        text = Text(line, style)
        for word, colour in COLOURS.items():
            text.highlight_regex(rf"(?<=  ){word}(?=  |$)", colour)
        self.console.print(text, soft_wrap=True)


def laid_out(
    columns: Sequence[str], rows: Sequence[Sequence[str]], width: int, *, prose: bool = False
) -> Iterator[str]:
    """Yield the lines of a table, none of whose values is folded or cut."""
    headed = [list(columns), *rows] if any(columns) else list(rows)
    if not headed:
        return
    widths = [max(map(_width, column)) for column in zip(*headed, strict=True)]
    ends = list(accumulate(width + len(GAP) for width in widths))
    fitting = sum(end - len(GAP) <= width for end in ends)
    room = width - (ends[-2] if len(ends) > 1 else 0)
    if fitting == len(widths) or not any(columns):
        yield from _aligned(headed, widths)
    elif prose and room >= LEAST_PROSE:
        yield from _aligned([[*row[:-1], _broken(row[-1], room)] for row in headed], [*widths[:-1], room])
    else:
        yield from _stacked(columns, rows, widths[: max(fitting, 1)], width - len(INDENT))


def _stacked(
    columns: Sequence[str], rows: Sequence[Sequence[str]], widths: Sequence[int], room: int
) -> Iterator[str]:
    """Yield each row as the columns that fit; under it what has no label, then the labelled."""
    first = len(widths)
    yield from _aligned([columns[:first]], widths)
    for row in rows:
        yield from _aligned([row[:first]], widths)
        rest = [told for told in zip(columns[first:], row[first:], strict=True) if told[1]]
        for prose in (value for label, value in rest if not label):
            yield from (INDENT + line for line in _broken(prose, max(room, LEAST_PROSE)).split("\n"))
        yield from (INDENT + line for line in _filled([" ".join(told) for told in rest if told[0]], room))


def _filled(values: Iterable[str], room: int) -> Iterator[str]:
    """Yield lines of as many values as there is room for; one that is longer has a line to itself."""
    line = ""
    for value in values:
        longer = f"{line}{GAP}{value}" if line else value
        if line and cell_len(longer) > room:
            yield line
            longer = value
        line = longer
    if line:
        yield line


def _aligned(rows: Iterable[Sequence[str]], widths: Sequence[int]) -> Iterator[str]:
    """Yield the lines of rows whose cells may have several."""
    for row in rows:
        for lines in zip_longest(*(cell.split("\n") for cell in row), fillvalue=""):
            padded = (
                line + " " * (width - cell_len(line)) for line, width in zip(lines, widths, strict=True)
            )
            yield GAP.join(padded).rstrip()


def _width(cell: str) -> int:
    return max(map(cell_len, cell.split("\n")))


def _broken(text: str, width: int) -> str:
    """Break prose between its words alone; a path or an id stays whole, however long it is."""
    return "\n".join(textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False))


def visible(text: str) -> str:
    r"""Spell control characters out, so that what a sender wrote cannot steer the reader's terminal.

    >>> visible("a\x1b[2Jb")
    'a\\x1b[2Jb'
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)


def note(text: str) -> None:
    """Say something to whoever runs the command, apart from its answer."""
    click.echo(text, err=True)


def base_url(_ctx: click.Context, _param: click.Parameter, value: str) -> str:
    """Take the start of a webhook's URL, and nothing of its path; the rest is made of source and trigger."""
    try:
        parts = urlsplit(value)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise click.BadParameter("its host or port cannot be read") from None
    if parts.scheme not in ("http", "https") or not host:
        bare = value.partition("://")[2] or value
        raise click.BadParameter(f"write it with http:// or https:// before it, as https://{bare}")
    if "/webhooks" in parts.path or parts.query or parts.fragment:
        whole = f"{parts.scheme}://{parts.netloc}{parts.path.partition('/webhooks')[0]}"
        raise click.BadParameter(f"end it before /webhooks, as {whole}; the rest is added to it")
    return value.rstrip("/")


def as_output(_ctx: click.Context, _param: click.Parameter, value: object) -> Output:
    """Turn the flag `--json` into the command's output."""
    return Output(as_json=bool(value))


def output_option(command: F) -> F:
    """Give a command its `--json`."""
    option = click.option(
        "--json",
        "out",
        is_flag=True,
        callback=as_output,
        help="Print JSON (one document, or a line for each item) instead of text.",
    )
    return option(command)


def config_option(command: F) -> F:
    """Give a command its `--config`."""
    option = click.option(
        "--config",
        type=click.Path(dir_okay=False, path_type=Path),
        default="tms-bridge.toml",
        envvar="TMS_BRIDGE_CONFIG",
        show_default=True,
        show_envvar=True,
        metavar="FILE",
        help="The configuration.",
    )
    return option(command)


def common_options(command: F) -> F:
    """Give a command what every command takes: `--config` and `--json`."""
    return config_option(output_option(command))


def load(path: Path) -> Settings:
    """Read the file, with the environment's values filled in.

    Raises:
        SettingsError: it is missing or cannot be used.
    """
    return read(path, os.environ).settings


def source_of(settings: Settings, name: str) -> Source:
    """Return the source of this name.

    Raises:
        SettingsError: there is none.
    """
    source = settings.sources.get(name)
    if source is None:
        known = ", ".join(settings.sources)
        raise SettingsError(f'there is no source "{name}"; configured: {known}')
    return source
