"""Where the RabbitMQ programs are, and how they are called: on this machine, in a chroot, or in Docker."""

import os
import secrets
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from packages import NotInstalledError, install_rabbitmq

# Packages put a wrapper on PATH that insists on its own user and directories; the real scripts lie here.
_SCRIPT_DIRECTORIES = (
    "/usr/lib/rabbitmq/bin",
    "/usr/lib64/rabbitmq/bin",
    "/opt/homebrew/sbin",
    "/usr/local/sbin",
)
_IMAGE = "rabbitmq:4"


@dataclass(frozen=True)
class Installation:
    """The programs of one RabbitMQ on this machine.

    Attributes:
        scripts: the directory of `rabbitmq-server` and `rabbitmqctl`, as the programs see it.
        prefix: the command that enters the root of the installation; empty when that is `/`.
        root: where that root lies for us; `/` unless the installation lives in a chroot.
        listen: the address on which the node must listen to be reached on 127.0.0.1.
    """

    scripts: str
    prefix: tuple[str, ...] = ()
    root: Path = Path("/")
    listen: str = "127.0.0.1"

    @property
    def cleanup(self) -> str:
        """A shell command that ends what killing the node's process would leave."""
        return ":"

    def server(self, _environment: Mapping[str, str], _directory: Path, _port: int) -> list[str]:
        """Return the command line that becomes the node."""
        return self.program("rabbitmq-server")

    def control(self, _environment: Mapping[str, str], *arguments: str) -> list[str]:
        """Return the command line of `rabbitmqctl`."""
        return self.program("rabbitmqctl", *arguments)

    def program(self, name: str, *arguments: str) -> list[str]:
        """Return the command line of a RabbitMQ script."""
        return [*self.prefix, f"{self.scripts}/{name}", *arguments]

    def erlang(self, name: str, *arguments: str) -> list[str] | None:
        """Return the command line of a program of Erlang's; None when it cannot be called from here."""
        known = [self.root / "usr/bin" / name, self.root / "usr/lib/erlang/bin" / name]
        if self.prefix or any(path.exists() for path in known) or shutil.which(name):
            return [*self.prefix, name, *arguments]
        return None

    def signal(self, process: subprocess.Popen[bytes], number: int) -> None:
        """Send a signal to the node."""
        process.send_signal(number)


@dataclass(frozen=True)
class DockerInstallation(Installation):
    """RabbitMQ's official image, a container for each node."""

    scripts: str = "/opt/rabbitmq/sbin"
    listen: str = "0.0.0.0"  # noqa: S104 - inside the container; Docker publishes it on 127.0.0.1 alone
    container: str = field(default_factory=lambda: f"tms-rabbitmq-{secrets.token_hex(4)}")

    @property
    def cleanup(self) -> str:
        """The container outlives Docker's client when that is killed."""
        return f"docker rm --force {self.container}"

    def server(self, environment: Mapping[str, str], directory: Path, port: int) -> list[str]:
        """Run the container in the foreground, as this user, with the node's directory in its place."""
        user = f"{os.getuid()}:{os.getgid()}"
        run = ["docker", "run", "--rm", "--name", self.container, "--user", user]
        run += ["--volume", f"{directory}:{directory}", "--publish", f"127.0.0.1:{port}:{port}"]
        image = os.environ.get("TMS_BRIDGE_RABBITMQ_IMAGE", _IMAGE)
        return [*run, *_flags(environment), image, "rabbitmq-server"]

    def control(self, environment: Mapping[str, str], *arguments: str) -> list[str]:
        """Run `rabbitmqctl` beside the node, in its container."""
        return ["docker", "exec", *_flags(environment), self.container, "rabbitmqctl", *arguments]

    def erlang(self, name: str, *arguments: str) -> None:
        """Return None: the image starts its own port mapper, which ends with the container."""

    def signal(self, process: subprocess.Popen[bytes], number: int) -> None:
        """Signal the node itself: Docker's client passes on neither SIGKILL nor SIGSTOP."""
        command = ["docker", "kill", "--signal", str(number), self.container]
        subprocess.run(command, check=process.poll() is None, capture_output=True)


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


def provide_installation() -> Installation:
    """Find a RabbitMQ on this machine, else in Docker, else install one.

    Raises:
        NotInstalledError: there is none and it could not be installed; the text says what to do.
    """
    found = find_installation()
    if found is not None:
        return found
    if docker_answers():
        return DockerInstallation()
    install_rabbitmq()
    found = find_installation()
    if found is None:
        raise NotInstalledError(f"rabbitmq-server is installed, but in none of {_SCRIPT_DIRECTORIES}")
    return found


def docker_answers() -> bool:
    """Tell whether there is a Docker that runs containers for us."""
    docker = shutil.which("docker")
    if docker is None:
        return False
    try:
        done = subprocess.run([docker, "info"], capture_output=True, timeout=10.0, check=False)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def _flags(environment: Mapping[str, str]) -> list[str]:
    return [
        word for key, value in environment.items() for word in ("--env", f"{key}={value}") if key != "PATH"
    ]
