"""How every command speaks: people on a terminal, JSON with `--json`, diagnostics on standard error."""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import TextIO, TypeVar

import click
import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

F = TypeVar("F", bound=Callable[..., object])

PIPE_WIDTH = 10_000
"""Columns when the output is no terminal: a file or a pipe gets whole lines."""

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

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Print a table for people; into a pipe without colours, rules or blanks at a line's end."""
        cells = [["" if value is None else visible(str(value)) for value in row] for row in rows]
        if not self.console.is_terminal:
            click.echo("\n".join(_aligned([list(columns), *cells] if any(columns) else cells)))
            return
        table = Table(*columns, box=None, pad_edge=False, header_style="bold", show_header=any(columns))
        for row in cells:
            table.add_row(*(Text(cell, style=COLOURS.get(cell, ""), overflow="fold") for cell in row))
        self.console.print(table)


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of a table whose cells may have several."""
    split = [[cell.split("\n") for cell in row] for row in rows]
    widths = [max(len(line) for cell in column for line in cell) for column in zip(*split, strict=True)]
    for row in split:
        for lines in zip_longest(*row, fillvalue=""):
            yield "  ".join(line.ljust(width) for line, width in zip(lines, widths, strict=True)).rstrip()


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
