"""Installs RabbitMQ with the system's package manager, asking first where there is somebody to ask."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

# Debian asks this program before it starts a service that it has just installed; 101 means no. We start
# our own node, and whoever installs a test dependency does not want a broker in the machine's boot.
_POLICY = Path("/usr/sbin/policy-rc.d")
_NO_SERVICES = "#!/bin/sh\nexit 101\n"

_MANAGERS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "apt-get": (
        ("apt-get", "update", "-qq"),
        ("apt-get", "install", "-y", "-qq", "--no-install-recommends", "rabbitmq-server"),
    ),
    "dnf": (("dnf", "install", "-y", "-q", "rabbitmq-server"),),
    "apk": (("apk", "add", "--no-cache", "rabbitmq-server"),),
    "pacman": (("pacman", "-S", "--noconfirm", "rabbitmq"),),
    "zypper": (("zypper", "--non-interactive", "install", "rabbitmq-server"),),
    "brew": (("brew", "install", "--quiet", "rabbitmq"),),
}


class NotInstalledError(Exception):
    """RabbitMQ could not be installed; the text says what to do."""


_WAYS_OUT = """\
RabbitMQ is needed, and there is neither rabbitmq-server nor Docker here{why}. Three ways out:
  1. install it: {install}
  2. start Docker, whose image of RabbitMQ is then used
  3. name a broker that you have: AMQP_URL=amqp://user:password@host:5672/ make demo"""


def install_rabbitmq() -> None:
    """Install `rabbitmq-server` without letting it start.

    Raises:
        NotInstalledError: it cannot be; the text says what else can be done.
    """
    manager = next((name for name in _MANAGERS if shutil.which(name)), None)
    if manager is None:
        raise _no_way(", nor a package manager that we know", "rabbitmq-server, by the means of this system")
    root = _as_root(manager)
    _ask(manager)
    print(f"installing rabbitmq-server with {manager} ...", file=sys.stderr, flush=True)
    with _services_stay_down(may_write=manager == "apt-get" and not root):
        for command in _MANAGERS[manager]:
            _run([*root, *command])


def _as_root(manager: str) -> list[str]:
    """Return what to put before a command so that it runs as root; Homebrew refuses to."""
    if os.geteuid() == 0 or manager == "brew":
        return []
    if shutil.which("sudo"):
        return ["sudo", "env", "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1"]
    raise _no_way(
        ", nor the right to install it", f"{' '.join(_MANAGERS[manager][-1])}, as root, and try again"
    )


def _ask(manager: str) -> None:
    if not sys.stdin.isatty():
        return
    answer = input(f"RabbitMQ is needed. Install the package rabbitmq-server with {manager}? [Y/n] ")
    if answer.strip().lower().startswith("n"):
        raise _no_way("", f"{' '.join(_MANAGERS[manager][-1])}")


def _no_way(why: str, install: str) -> NotInstalledError:
    return NotInstalledError(_WAYS_OUT.format(why=why, install=install))


@contextmanager
def _services_stay_down(*, may_write: bool) -> Iterator[None]:
    if not may_write or _POLICY.exists():
        yield
        return
    _POLICY.write_text(_NO_SERVICES)
    _POLICY.chmod(0o755)
    try:
        yield
    finally:
        _POLICY.unlink()


def _run(command: list[str]) -> None:
    # RUNLEVEL=1 says the same as the policy file to SysV scripts.
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    done = subprocess.run(
        command,
        env=environment,
        stdin=subprocess.DEVNULL if not sys.stdin.isatty() else None,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise NotInstalledError(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
