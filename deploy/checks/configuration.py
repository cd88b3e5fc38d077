"""A configuration file as the bridge itself reads it, with stand-ins for what its secrets would hold."""

import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from tms_bridge.settings.load import Loaded, read
from tms_bridge.settings.network import parse_listens
from tms_bridge.settings.traps import warnings

_ACCEPTED: Final = re.compile(r"^# accepted: (.+?) - .+$", re.MULTILINE)
_STAND_IN: Final = "a-stand-in-as-long-as-a-secret"
_STAND_IN_URL: Final = f"amqps://bridge:{_STAND_IN}@rabbitmq.example.com:5671/"


def load_deployed(toml: str, secret_files: frozenset[str], environ: Mapping[str, str]) -> Loaded:
    """Load the text as it would load where it is deployed.

    Args:
        toml: the configuration file's text.
        secret_files: paths of the files that the deployment provides; no other is there.
        environ: the environment that the deployment provides.

    Raises:
        SettingsError: the bridge would not start with it.
    """
    with tempfile.TemporaryDirectory() as directory:
        for path in secret_files:
            stand_in = Path(directory) / path.lstrip("/")
            stand_in.parent.mkdir(parents=True, exist_ok=True)
            stand_in.write_text(_STAND_IN_URL if "url" in stand_in.name else _STAND_IN)
            toml = toml.replace(f"${{file:{path}}}", f"${{file:{stand_in}}}")
        file = Path(directory) / "tms-bridge.toml"
        file.write_text(toml)
        return read(file, environ)


def accepted_in(text: str) -> frozenset[str]:
    """Return what a file accepts with a reason: `# accepted: WHAT - why`."""
    return frozenset(_ACCEPTED.findall(text))


def spelled_out(loaded: Loaded) -> Iterator[str]:
    """Complain about each secret that stands in the configuration itself."""
    yield from (f"{key} holds the secret itself" for key in loaded.literal_secrets)


def trapped(loaded: Loaded, accepted: frozenset[str] = frozenset()) -> Iterator[str]:
    """Complain about what is mostly not meant, except at keys where it is accepted with a reason."""
    for problem in warnings(loaded.settings):
        if problem.key not in accepted:
            yield str(problem)


def not_reachable(key: str, listen: str | tuple[str, ...], port: int) -> Iterator[str]:
    """Complain when no listen address is open to other machines on this port."""
    listens = parse_listens(listen)
    if not any(found.port == port and not found.is_loopback for found in listens):
        shown = ", ".join(str(found) for found in listens)
        yield f"{key} is {shown}, and others call port {port} from outside"


def not_everywhere(key: str, listen: str | tuple[str, ...]) -> Iterator[str]:
    """Complain when a cluster of IPv4, or one of IPv6, could not reach it."""
    hosts = {found.host for found in parse_listens(listen) if not found.is_loopback}
    if None not in hosts and not {"0.0.0.0", "::"} <= hosts:  # noqa: S104 - it is looked for, not listened on
        yield f'{key} is {listen}, which not every cluster can call: write ":PORT"'
