"""The program `tms-bridge`: which commands there are, and what their failures mean for the exit code."""

import difflib
import importlib
import os
import sys
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple, Never, cast

import click

from tms_bridge.errors import BridgeError, SettingsError

DONE, NO, WRONG_CALL = 0, 1, 2
INTERRUPTED, BROKEN_PIPE = 130, 141


class _Entry(NamedTuple):
    """Where a command lives, so that only the one that is called gets imported."""

    module: str
    attribute: str
    summary: str


COMMANDS = {
    "serve": _Entry("serve", "serve", "Run the bridge."),
    "init": _Entry("files", "init", "Write a commented configuration that starts."),
    "check": _Entry("check", "check", "Check the configuration, and with --online the broker."),
    "live": _Entry(
        "bridge.admin_api",
        "live",
        "Ask the running bridge whether it is alive, as a container's health check does.",
    ),
    "tms-settings": _Entry("tms_settings", "tms_settings", "Say what to put into the TMS webhook form."),
    "explain": _Entry("fields", "explain_body", "Show how a captured body is understood."),
    "fields": _Entry(
        "fields", "show_fields", "Show which members TMS really sends: names and types, never a value."
    ),
    "simulate": _Entry("simulate.command", "simulate", "Play TMS against a bridge."),
    "tail": _Entry("bus.tail", "tail", "Show events as they arrive on the bus."),
    "replay": _Entry("bus.replay", "replay", "Copy events from the archive into one queue."),
    "topology": _Entry("bus.broker", "topology", "Compare exchanges, queues and bindings with the broker's."),
    "bindings": _Entry(
        "bus.bindings", "bindings", "See which events a queue gets, which it does not, and why."
    ),
    "status": _Entry("bridge.status", "status", "Say how a running bridge is, in a sentence and in numbers."),
    "calls": _Entry("bridge.status", "calls", "Show the calls to a running bridge, and what became of each."),
    "outbox": _Entry("bridge.stored", "outbox", "Look at the events that wait or were refused."),
    "quarantine": _Entry("bridge.stored", "quarantine", "Look at bodies not understood and events held."),
    "unroutable": _Entry("bus.broker", "unroutable", "Look at events that no queue wanted."),
    "allowlist": _Entry("allowlist", "allowlist", "Compare the allowlist with the vendor's page."),
    "schema": _Entry(
        "files", "schema", "Write JSON Schemas, the AsyncAPI document, TypeScript types and golden messages."
    ),
}


class _WholeWords(click.HelpFormatter):
    """Breaks help texts between words alone: a file or an option with a hyphen in its name stays whole."""

    def write(self, string: str) -> None:
        """Write what is broken into lines by now."""
        super().write(string.replace(_UNBROKEN, "-"))

    def write_text(self, text: str) -> None:
        """Write a paragraph."""
        super().write_text(text.replace("-", _UNBROKEN))

    def write_dl(self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2) -> None:
        """Write options or commands with what they do."""
        super().write_dl([(term, text.replace("-", _UNBROKEN)) for term, text in rows], col_max, col_spacing)


_UNBROKEN = "\u2011"
"""Stands for a hyphen while lines are broken."""


class _HelpContext(click.Context):
    formatter_class = _WholeWords


def _with_whole_words(command: click.Command) -> click.Command:
    command.context_class = _HelpContext
    for inner in command.commands.values() if isinstance(command, click.Group) else ():
        _with_whole_words(inner)
    return command


class _Program(click.Group):
    """A group that imports a command when it is called, and turns every failure into an exit code."""

    context_class = _HelpContext

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Name the commands in the order in which one meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's
        """Import the command's module, which may be heavy."""
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        module = importlib.import_module(f"tms_bridge.cli.{entry.module}")
        return _with_whole_words(cast("click.Command", getattr(module, entry.attribute)))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that is called, or suggest the one that was meant."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            close = difflib.get_close_matches(args[0], COMMANDS, n=1, cutoff=0.5)
            if not close:
                raise
            text = f"{error.message.rstrip('.')}. Did you mean {close[0]!r}?"
            raise click.UsageError(text, ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's
        """List the commands from the table, so that `--help` imports none of them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Never:
        """Run one command and exit; a failure is said on standard error."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()  # a pipe that broke shows here, not in a traceback at exit
        except BridgeError as error:
            click.echo(f"tms-bridge: {error}", err=True)
            ctx.exit(WRONG_CALL if isinstance(error, SettingsError) else NO)
        except BrokenPipeError:
            _forget_stdout()
            ctx.exit(BROKEN_PIPE)
        except OSError as error:
            click.echo(f"tms-bridge: {_words(error)}", err=True)
            ctx.exit(NO)
        except (click.Abort, KeyboardInterrupt):
            ctx.exit(INTERRUPTED)
        ctx.exit(result if isinstance(result, int) else DONE)


def _words(error: OSError) -> str:
    """Say which file, and why, without Python's notation for it."""
    reason = (error.strerror or str(error)).lower()
    return reason if error.filename is None else f"{error.filename}: {reason}"


def _forget_stdout() -> None:
    """Let the interpreter's own flush at exit go to nowhere: the reader of the pipe is gone."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)


@click.group(cls=_Program, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(version("tms-bridge"), prog_name="tms-bridge")
def program() -> None:
    """Take Skillable TMS webhooks and hand them to RabbitMQ, without losing one.

    Begin with `tms-bridge init`, then `tms-bridge check`, then `tms-bridge serve`.

    Exit codes: 0 done, 1 the answer is no (a check failed, events lost), 2 the call or the configuration
    is wrong.
    """


def main(argv: Sequence[str] | None = None) -> Never:
    """Run the command line; this is the console script."""
    _open_closed()
    try:
        program.main(argv, prog_name="tms-bridge")
    except OSError as error:  # a help text, which is written before any command is called
        _forget_stdout()
        click.echo(f"tms-bridge: {_words(error)}", err=True)
        sys.exit(NO)


def _open_closed() -> None:
    """Let what would be written go to nowhere where a stream was closed by whoever called."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115 - until the end
