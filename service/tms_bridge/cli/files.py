"""The commands that write files: `init` a configuration, `schema export` the message contract."""

import os
from pathlib import Path

import click
from click.core import ParameterSource

from tms_bridge.cli.output import Output, common_options, load, note
from tms_bridge.settings.reference import template
from tms_events import EXCHANGE, PREFIX
from tms_events.__main__ import write

OWNER_ONLY = 0o600


@click.command()
@common_options
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path), required=False)
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
def init(*, config: Path, out: Output, file: Path | None, force: bool) -> None:
    """Write a commented configuration that starts.

    It has one source, `contoso`, with a random password; only its owner may read it. FILE is what
    --config names, unless given.

    \b
    Example:
      tms-bridge init && tms-bridge serve
    """  # noqa: D301 - \b is how click is told to keep line breaks
    path = file or config
    _write(path, template(), force=force)
    named = "" if path == Path("tms-bridge.toml") else f" --config {path}"
    steps = {
        f"tms-bridge check --online{named}": "look the file over, and try the broker",
        f"tms-bridge serve{named}": "run the bridge",
        f"tms-bridge tms-settings{named} --source contoso --reveal": "see what to put into TMS",
    }
    if out.as_json:
        out.document({"written": str(path), "next": list(steps)})
        return
    out.text(f"Wrote {path}. Next:")
    for step, why in steps.items():
        out.text(f"  {step}")
        out.text(f"      {why}", style="dim")


def _write(path: Path, text: str, *, force: bool) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    mode = os.O_TRUNC if force else os.O_EXCL
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | mode, OWNER_ONLY)
    except FileExistsError:
        raise click.UsageError(f"{path} already exists; --force overwrites it") from None
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


@click.group()
def schema() -> None:
    """Write JSON Schemas, the AsyncAPI document, TypeScript types and golden messages."""


@schema.command()
@common_options
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path), metavar="DIR")
def export(*, config: Path, out: Output, directory: Path) -> None:
    """Write the message contract into DIR, with the exchange and the prefixes that are configured.

    `python -m tms_events export DIR` does the same where there is no configuration.

    \b
    Example:
      tms-bridge schema export docs/schemas
    """  # noqa: D301 - \b is how click is told to keep line breaks
    exchange, prefixes = _configured(config)
    written = [str(path) for path in write(directory, exchange, prefixes)]
    if out.as_json:
        out.document({"written": written})
    else:
        out.text("\n".join(written))


def _configured(config: Path) -> tuple[str, tuple[str, ...]]:
    named = click.get_current_context().get_parameter_source("config") is not ParameterSource.DEFAULT
    if not named and not config.exists():
        note(f"there is no {config}: written for the exchange {EXCHANGE} and the prefix {PREFIX}")
        return EXCHANGE, (PREFIX,)
    settings = load(config)
    prefixes = dict.fromkeys(source.routing_key_prefix for source in settings.sources.values())
    return settings.amqp.exchange, tuple(prefixes)
