"""Installs what tests and demo start, with the system's package manager, asking first where it can."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

# Debian asks this program before it starts a service that it has just installed; 101 means no. We start
# our own node, and whoever installs a test dependency does not want a broker in the machine's boot.
_POLICY = Path("/usr/sbin/policy-rc.d")
_NO_SERVICES = "#!/bin/sh\nexit 101\n"

_MANAGERS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "apt-get": (
        ("apt-get", "update", "-qq"),
        ("apt-get", "install", "-y", "-qq", "--no-install-recommends"),
    ),
    "dnf": (("dnf", "install", "-y", "-q"),),
    "apk": (("apk", "add", "--no-cache"),),
    "pacman": (("pacman", "-S", "--noconfirm"),),
    "zypper": (("zypper", "--non-interactive", "install"),),
    "brew": (("brew", "install", "--quiet"),),
}
_RABBITMQ = {"pacman": "rabbitmq", "brew": "rabbitmq"}
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_PROMETHEUS = {"dnf": "golang-github-prometheus", "zypper": "golang-github-prometheus-prometheus"}


class NotInstalledError(Exception):
    """A package could not be installed; the text says what to do."""


_WAYS_OUT = """\
RabbitMQ is needed, and there is neither rabbitmq-server nor Docker here{why}. Three ways out:
  1. install it: {install}
  2. start Docker, whose image of RabbitMQ is then used
  3. name a broker that you have: AMQP_URL=amqp://user:password@host:5672/ make demo"""


_NoWay = Callable[[str, str], NotInstalledError]
"""Told why a package cannot be installed and what would install it, returns what else can be done."""


def install_rabbitmq() -> None:
    """Install `rabbitmq-server` without letting it start.

    Raises:
        NotInstalledError: it cannot be; the text says what else can be done.
    """
    manager = _manager("rabbitmq-server", _no_broker)
    _install(manager, _RABBITMQ.get(manager, "rabbitmq-server"), _no_broker)


def find_promtool() -> Path:
    """Return where `promtool` is, with `prometheus` beside it; install them first where they are missing.

    Raises:
        NotInstalledError: they cannot be installed.
    """
    if (found := shutil.which("promtool")) is None:
        manager = _manager("prometheus", _no_promtool)
        _install(manager, _PROMETHEUS.get(manager, "prometheus"), _no_promtool)
        found = shutil.which("promtool")
    if found is None:
        raise NotInstalledError("the package of Prometheus brought no promtool")
    return Path(found)


def find_front(name: str) -> Path:
    """Return where `nginx` or `haproxy` is; install it first where it is missing.

    Raises:
        NotInstalledError: it cannot be installed.
    """
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    if shutil.which(name, path=path) is None:
        _install(_manager(name, _no_front), name, _no_front)
    found = shutil.which(name, path=path)
    if found is None:
        raise NotInstalledError(f"the package {name} brought no program of that name")
    return Path(found)


def find_chromium() -> Path:
    """Return where Chromium, or Chrome, is; install it first where it is missing.

    Raises:
        NotInstalledError: it cannot be installed.
    """
    if (found := _chromium()) is None:
        _install(_manager("chromium", _no_browser), "chromium", _no_browser)
        found = _chromium()
    if found is None:
        raise NotInstalledError("the package chromium brought no program of that name")
    return Path(found)


def _chromium() -> str | None:
    return next(filter(None, map(shutil.which, _BROWSERS)), None)


def _no_browser(why: str, install: str) -> NotInstalledError:
    return NotInstalledError(
        f"Chromium is needed, which is not here{why}. Install it: {install}; or leave out tests/console"
    )


def _no_front(why: str, install: str) -> NotInstalledError:
    return NotInstalledError(
        f"a proxy is needed, which is not here{why}. Install it: {install}; or leave out tests/fronts"
    )


def _no_broker(why: str, install: str) -> NotInstalledError:
    return NotInstalledError(_WAYS_OUT.format(why=why, install=install))


def _no_promtool(why: str, install: str) -> NotInstalledError:
    return NotInstalledError(
        f"promtool is needed, which is not here{why}. Install it: {install}; or leave out tests/monitoring"
    )


def _manager(package: str, no_way: _NoWay) -> str:
    manager = next((name for name in _MANAGERS if shutil.which(name)), None)
    if manager is None:
        raise no_way(", nor a package manager that we know", f"{package}, by the means of this system")
    return manager


def _install(manager: str, package: str, no_way: _NoWay) -> None:
    *before, install = _MANAGERS[manager]
    commands = [*before, (*install, package)]
    said = " ".join(commands[-1])
    if (root := _as_root(manager)) is None:
        raise no_way(", nor the right to install it", f"{said}, as root, and try again")
    if not _agreed(manager, package):
        raise no_way("", said)
    print(f"installing {package} with {manager} ...", file=sys.stderr, flush=True)
    with _services_stay_down(may_write=manager == "apt-get" and not root):
        for command in commands:
            _run([*root, *command])


def _as_root(manager: str) -> list[str] | None:
    """Return what to put before a command so that it runs as root, which Homebrew refuses; None: no way."""
    if os.geteuid() == 0 or manager == "brew":
        return []
    return ["sudo", "env", "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1"] if shutil.which("sudo") else None


def _agreed(manager: str, package: str) -> bool:
    if not sys.stdin.isatty():
        return True
    answer = input(f"{package} is needed. Install it with {manager}? [Y/n] ")
    return not answer.strip().lower().startswith("n")


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
