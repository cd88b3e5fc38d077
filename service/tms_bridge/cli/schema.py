"""The command `schema export`: what a consumer may rely on, as JSON Schemas and an AsyncAPI document."""

from pathlib import Path

import click
import msgspec

from tms_bridge.cli.asyncapi import document
from tms_bridge.cli.json_schema import MESSAGES, Schema, json_schema
from tms_bridge.cli.output import Output, common_options


@click.group()
def schema() -> None:
    """Write JSON Schemas and the AsyncAPI document."""


@schema.command()
@common_options
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path), metavar="DIR")
def export(*, config: Path, out: Output, directory: Path) -> None:
    """Write the JSON Schemas of both messages, and the AsyncAPI document, into DIR.

    \b
    Example:
      tms-bridge schema export docs/schemas
    """  # noqa: D301 - \b is how click is told to keep line breaks
    del config  # the message contract is the same in every configuration
    directory.mkdir(parents=True, exist_ok=True)
    written = []
    for name, content in documents().items():
        path = directory / name
        path.write_bytes(msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n")
        written.append(str(path))
    if out.as_json:
        out.document({"written": written})
    else:
        out.text("\n".join(written))


def documents() -> dict[str, Schema]:
    """Return each file's name and content."""
    schemas = {f"{trigger}_changed.json": json_schema(trigger) for trigger in MESSAGES}
    return schemas | {"asyncapi.json": document()}
