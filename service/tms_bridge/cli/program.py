"""The program `tms-bridge`: which commands there are, and what their failures mean for the exit code."""

import difflib
import importlib
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import NamedTuple, Never, cast

import click

from tms_bridge.errors import BridgeError, SettingsError

DONE, NO, WRONG_CALL = 0, 1, 2
INTERRUPTED, BROKEN_PIPE = 130, 141


class Entry(NamedTuple):
    """Where a command lives, so that only the one that is called gets imported."""

    module: str
    attribute: str
    summary: str


COMMANDS = {
    "serve": Entry("serve", "serve", "Run the bridge."),
    "init": Entry("init", "init", "Write a commented configuration that starts."),
    "check": Entry("check", "check", "Check the configuration, and with --online the broker."),
    "live": Entry(
        "live", "live", "Ask the running bridge whether it is alive, as a container's health check does."
    ),
    "tms-settings": Entry("tms_settings", "tms_settings", "Say what to put into the TMS webhook form."),
    "explain": Entry("explain", "explain_body", "Show how a captured body is understood."),
    "fields": Entry(
        "fields", "show_fields", "Show which members TMS really sends: names and types, never a value."
    ),
    "simulate": Entry("simulate.command", "simulate", "Play TMS against a bridge."),
    "tail": Entry("tail", "tail", "Show events as they arrive on the bus."),
    "replay": Entry("replay", "replay", "Copy events from the archive into one queue."),
    "topology": Entry("topology", "topology", "Compare exchanges, queues and bindings with the broker's."),
    "bindings": Entry("bindings", "bindings", "See which events a queue gets, which it does not, and why."),
    "status": Entry("status", "status", "Say how a running bridge is, in a sentence and in numbers."),
    "calls": Entry("calls", "calls", "Show the calls to a running bridge, and what became of each."),
    "outbox": Entry("outbox", "outbox", "Look at the events that wait or were refused."),
    "quarantine": Entry("quarantine", "quarantine", "Look at bodies not understood and events held."),
    "unroutable": Entry("unroutable", "unroutable", "Look at events that no queue wanted."),
    "allowlist": Entry("allowlist", "allowlist", "Compare the allowlist with the vendor's page."),
    "schema": Entry(
        "schema", "schema", "Write JSON Schemas, the AsyncAPI document, TypeScript types and golden messages."
    ),
}


class Program(click.Group):
    """A group that imports a command when it is called, and turns every failure into an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Name the commands in the order in which one meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's
        """Import the command's module, which may be heavy."""
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        module = importlib.import_module(f"tms_bridge.cli.{entry.module}")
        return cast("click.Command", getattr(module, entry.attribute))

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
            click.echo(f"tms-bridge: {error}", err=True)
            ctx.exit(NO)
        except (click.Abort, KeyboardInterrupt):
            ctx.exit(INTERRUPTED)
        ctx.exit(result if isinstance(result, int) else DONE)


def _forget_stdout() -> None:
    """Let the interpreter's own flush at exit go to nowhere: the reader of the pipe is gone."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(version("tms-bridge"), prog_name="tms-bridge")
def program() -> None:
    """Take Skillable TMS webhooks and hand them to RabbitMQ, without losing one.

    Begin with `tms-bridge init`, then `tms-bridge check`, then `tms-bridge serve`.

    Exit codes: 0 done, 1 the answer is no (a check failed, events lost), 2 the call or the configuration
    is wrong.
    """


def main(argv: Sequence[str] | None = None) -> Never:
    """Run the command line; this is the console script."""
    program.main(argv, prog_name="tms-bridge")
