"""The command `serve`."""

import os
from pathlib import Path

import click
import msgspec

from tms_bridge import bootstrap
from tms_bridge.cli.output import Output, common_options
from tms_bridge.settings.load import Loaded, read


@click.command()
@common_options
def serve(*, config: Path, out: Output) -> int:
    """Run the bridge.

    It takes the webhooks of TMS, keeps each on disk before it answers 202, and publishes it to RabbitMQ,
    until SIGTERM or Ctrl-C stops it cleanly. The log goes to standard output: for people on a
    terminal, as JSON elsewhere, unless [log] format decides; --json makes it JSON whatever it says. SIGHUP,
    or a change of the file, reloads sources, queues, tokens and log level.

    \b
    Example:
      tms-bridge serve --config /etc/tms-bridge/tms-bridge.toml
    """  # noqa: D301 - \b is how click is told to keep line breaks
    return bootstrap.serve(lambda: _read(config, as_json=out.as_json))


def _read(config: Path, *, as_json: bool) -> Loaded:
    loaded = read(config, os.environ)
    if not as_json:
        return loaded
    log = msgspec.structs.replace(loaded.settings.log, format="json")
    settings = msgspec.structs.replace(loaded.settings, log=log)
    return msgspec.structs.replace(loaded, settings=settings)
