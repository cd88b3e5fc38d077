"""RabbitMQ 4 where the system's package is older: Debian 13's, in a directory of its own.

`debootstrap` lays the packages out once, into the user's cache; the node is then run inside by `chroot`, so
nothing of the machine changes. Needs root on Debian or Ubuntu; elsewhere the caller takes what there is.
Run as a program it prints the version.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from installation import Installation
from packages import NotInstalledError

_SUITE = "trixie"
_SCRIPTS = "usr/lib/rabbitmq/bin"

# The node reads its own memory from /proc. The mount is seen by the node alone and goes with it; `exec`
# keeps the process id that signals are sent to.
_ENTER = 'mount -t proc proc "$0/proc" && exec chroot "$0" "$@"'


def cached_root() -> Path:
    """Return where the directory lies, made or not."""
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(cache) / "tms-bridge" / "rabbitmq4"


def provide_rabbitmq4() -> Installation:
    """Return RabbitMQ 4, laying it out first if need be; takes about a minute then.

    Raises:
        NotInstalledError: it cannot be had on this machine; the text says why.
    """
    root = cached_root()
    if os.geteuid() != 0:
        raise NotInstalledError("RabbitMQ 4 runs in a chroot, which needs root")
    if not (root / _SCRIPTS / "rabbitmq-server").exists():
        _lay_out(root)
    enter = (_program("unshare"), "--mount", "/bin/sh", "-c", _ENTER, str(root))
    return Installation(f"/{_SCRIPTS}", prefix=enter, root=root)


def version_of(installation: Installation) -> str:
    """Return the version of RabbitMQ, as its directory is named."""
    library = installation.root / installation.scripts.lstrip("/") / ".." / "lib"
    found = sorted(library.glob("rabbitmq_server-*"))
    return found[-1].name.removeprefix("rabbitmq_server-") if found else "unknown"


def _lay_out(root: Path) -> None:
    if shutil.which("debootstrap") is None:
        _install_debootstrap()
    unfinished = root.with_name("rabbitmq4.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    print("laying RabbitMQ 4 out (once, about a minute) ...", file=sys.stderr, flush=True)
    _run([_program("debootstrap"), "--variant=minbase", "--include=rabbitmq-server", _SUITE, str(unfinished)])
    shutil.rmtree(root, ignore_errors=True)
    unfinished.rename(root)  # whoever finds the directory finds all of it


def _install_debootstrap() -> None:
    if shutil.which("apt-get") is None:
        raise NotInstalledError("RabbitMQ 4 is laid out with debootstrap, which this system does not have")
    _run(["apt-get", "update", "-qq"])
    _run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", "debootstrap"])


def _program(name: str) -> str:
    """Return the path of a program; a user's PATH may lack the directories of root's."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") or name


def _run(command: list[str]) -> None:
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise NotInstalledError(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")


if __name__ == "__main__":
    print(version_of(provide_rabbitmq4()))
