"""The command `init`."""

import os
from pathlib import Path

import click

from tms_bridge.cli.output import Output, common_options
from tms_bridge.settings.reference import template

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
