"""The command `live`."""

from pathlib import Path

import click

from tms_bridge.cli.admin_api import AdminApi
from tms_bridge.cli.configuration import load
from tms_bridge.cli.output import Output, common_options
from tms_bridge.cli.program import DONE, NO


@click.command()
@common_options
def live(*, config: Path, out: Output) -> int:
    """Ask the running bridge whether it is alive, as a container's health check does.

    Exits 0 if it answers /livez on [admin] listen, 1 if it does not. A broker that is away does not count
    against it: a restart would fix nothing.

    \b
    Example:
      tms-bridge live
    """  # noqa: D301 - \b is how click is told to keep line breaks
    admin = AdminApi(load(config).admin)
    lives = admin.lives()
    if out.as_json:
        out.document({"live": lives})
    else:
        out.text("the bridge is alive" if lives else f"the bridge at {admin} does not answer /livez")
    return DONE if lives else NO
