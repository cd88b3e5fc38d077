"""The systemd unit: few rights, time to stop in good order, and the credentials that its example names."""

import contextlib
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from checks.configuration import accepted_in, load_deployed, trapped
from checks.kubernetes import too_short
from checks.verdict import Check, Verdict, judge
from tms_bridge.errors import SettingsError
from tms_bridge.settings.load import Loaded

_CREDENTIALS: Final = "/run/credentials/tms-bridge.service"
# systemd's own measure goes from 0 (safe) to 10; below this it says "OK".
_EXPOSURE: Final = 15
_WANTED: Final = {
    "Type": "notify",
    "WatchdogSec": "30",
    "DynamicUser": "yes",
    "NoNewPrivileges": "yes",
    "ProtectSystem": "strict",
    "StateDirectory": "tms-bridge",
    "Restart": "always",
    "StartLimitIntervalSec": "0",
}


def judge_unit(root: Path) -> Iterator[Verdict]:
    """Check deploy/systemd under the root of a checkout."""
    yield from judge("systemd", root / "deploy" / "systemd", _CHECKS)


def _directives(directory: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in (directory / "tms-bridge.service").read_text().splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(key, []).append(value)
    return found


def _load(directory: Path) -> Loaded:
    credentials = (value.partition(":")[0] for value in _directives(directory).get("LoadCredential", ()))
    files = frozenset(f"{_CREDENTIALS}/{name}" for name in credentials)
    return load_deployed((directory / "tms-bridge.toml").read_text(), files, {})


def _rights(directory: Path) -> Iterator[str]:
    found = _directives(directory)
    for key, value in _WANTED.items():
        if found.get(key) != [value]:
            yield f"{key} is {found.get(key)}, not {value}"


def _exposure(directory: Path) -> Iterator[str]:
    tool = shutil.which("systemd-analyze")
    if tool is None:
        return
    command = [tool, "security", "--offline=true", f"--threshold={_EXPOSURE}"]
    done = subprocess.run(
        [*command, directory / "tms-bridge.service"], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        yield from re.findall(r"(?:→|Unknown).*", done.stdout + done.stderr) or [done.stderr.strip()]


def _configuration(directory: Path) -> Iterator[str]:
    try:
        loaded = _load(directory)
    except SettingsError as error:
        yield str(error)
        return
    yield from trapped(loaded, accepted_in((directory / "tms-bridge.toml").read_text()))
    outbox = loaded.settings.outbox
    if outbox is None or not outbox.dir.startswith("/var/lib/tms-bridge"):
        yield "the outbox does not lie in the StateDirectory"


def _time(directory: Path) -> Iterator[str]:
    (seconds,) = _directives(directory).get("TimeoutStopSec", ["0"])
    with contextlib.suppress(SettingsError):  # said by the check above
        yield from too_short(float(seconds), _load(directory).settings)


_CHECKS: Final[tuple[Check[Path], ...]] = (
    (
        "it runs as a user of its own, may write to its state alone, and starts again, also after it hung",
        _rights,
    ),
    ("`systemd-analyze security` is content, where that is there", _exposure),
    ("its configuration loads with the credentials of the unit, and has no traps", _configuration),
    ("its time to stop outlasts delay, last requests and drain", _time),
)
