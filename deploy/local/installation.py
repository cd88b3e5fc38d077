"""Where the RabbitMQ programs are, and how they are called."""

import shutil
from dataclasses import dataclass
from pathlib import Path

# Packages put a wrapper on PATH that insists on its own user and directories; the real scripts lie here.
_SCRIPT_DIRECTORIES = (
    "/usr/lib/rabbitmq/bin",
    "/usr/lib64/rabbitmq/bin",
    "/opt/homebrew/sbin",
    "/usr/local/sbin",
)


@dataclass(frozen=True)
class Installation:
    """The programs of one RabbitMQ on this machine.

    Attributes:
        scripts: the directory of `rabbitmq-server` and `rabbitmqctl`, as the programs see it.
        prefix: the command that enters the root of the installation; empty when that is `/`.
        root: where that root lies for us; `/` unless the installation lives in a chroot.
    """

    scripts: str
    prefix: tuple[str, ...] = ()
    root: Path = Path("/")

    def command(self, program: str, *arguments: str) -> list[str]:
        """Return the command line of a RabbitMQ script."""
        return [*self.prefix, f"{self.scripts}/{program}", *arguments]

    def erlang(self, program: str, *arguments: str) -> list[str]:
        """Return the command line of a program of Erlang's, which is on PATH there."""
        return [*self.prefix, program, *arguments]


def find_installation() -> Installation | None:
    """Look for a RabbitMQ on this machine; None when there is none."""
    candidates = [Path(directory) for directory in _SCRIPT_DIRECTORIES]
    on_path = shutil.which("rabbitmq-server")
    if on_path is not None:
        candidates.append(Path(on_path).resolve().parent)
    for directory in candidates:
        if (directory / "rabbitmq-server").exists() and (directory / "rabbitmqctl").exists():
            return Installation(str(directory))
    return None
