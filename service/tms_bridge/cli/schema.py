"""The command `schema export`: what a consumer may rely on, as files for every language."""

from pathlib import Path

import click
from click.core import ParameterSource

from tms_bridge.cli.configuration import load
from tms_bridge.cli.output import Output, common_options, note
from tms_events import EXCHANGE, PREFIX
from tms_events.__main__ import write


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
