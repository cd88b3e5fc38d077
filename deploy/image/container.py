"""Runs an image as Kubernetes would: its own user, no capabilities, a root file system that is read-only."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from image.build import Config
from janitor import Janitor
from program import Program, ProgramFailedError

_MOUNTS: Final = """
mount --bind "$1" "$1"
mount --bind /dev "$1/dev"
mount -o remount,ro,bind "$1"
mount -t proc proc "$1/proc"
mount -t tmpfs -o mode=1777 tmpfs "$1/tmp"
mount -t tmpfs tmpfs "$1/run"
"""


class ContainerFailedError(ProgramFailedError):
    """The container did not do what was asked."""


class Sandbox:
    """The image's files and rules, in which programs are run.

    Attributes:
        user: who runs, as the image says it or as the cluster chooses.
    """

    def __init__(self, root: Path, config: Config, state: Path, *, user: str = "") -> None:
        self._root = root
        self._config = config
        self._state = state
        self.user = user or config.user

    def command(self, *program: str) -> list[str]:
        """Return the command line that runs a program in it; the process is the program, no shell between."""
        uid, _, gid = self.user.partition(":")
        rights = [f"--reuid={uid}", f"--regid={gid or 0}", "--clear-groups", "--no-new-privs"]
        rights += ["--bounding-set=-all", "--inh-caps=-all"]
        environment = [
            "env",
            "--ignore-environment",
            f"--chdir={self._config.working_dir}",
            *self._config.env,
        ]
        environment.append(f"TMS_BRIDGE_CONFIG={self._config.working_dir}/tms-bridge.toml")
        inside = ["chroot", str(self._root), "setpriv", *rights, *environment, *program]
        # What the volume holds, its configuration too: the image's own directories cannot be written.
        mounts = f'set -e\n{_MOUNTS}mount --bind "$2" "$1{self._config.working_dir}"\nshift 2\nexec "$@"'
        return [
            *("unshare", "--mount", "--propagation", "private", "sh", "-c", mounts, "sh"),
            *(str(self._root), str(self._state), *inside),
        ]

    def serve(self) -> list[str]:
        """Return the command line of the image's own entry point and command."""
        return self.command(*self._config.entrypoint, *self._config.cmd)

    def health(self) -> int:
        """Run the image's health check; return its exit code."""
        kind, *program = self._config.healthcheck.test
        if kind != "CMD":
            raise ContainerFailedError(f"the health check is {kind}, not a program")
        return self.run(program).returncode

    def run(self, program: Sequence[str]) -> "subprocess.CompletedProcess[str]":
        """Run a program to its end."""
        return subprocess.run(
            self.command(*program), capture_output=True, text=True, check=False, timeout=60.0
        )


class Container(Program):
    """The image's bridge, running; use it as a context manager."""

    title = "the container"
    failure = ContainerFailedError

    def __init__(self, sandbox: Sandbox, log: Path, janitor: Janitor) -> None:
        super().__init__(janitor)
        self._sandbox = sandbox
        self._log = log

    @property
    def log(self) -> str:
        """What it has logged."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def start(self, *, timeout_s: float = 30.0) -> None:
        """Start it and wait until it is ready."""
        self._process = self._janitor.spawn(
            self._sandbox.serve(), env=os.environ, cwd=Path("/"), output=self._log
        )
        self.wait_ready(timeout_s=timeout_s)

    def is_ready(self) -> bool:
        """Tell whether its log says so."""
        return '"event":"ready"' in self.log.replace(" ", "")

    def status(self) -> Mapping[str, str]:
        """Return the kernel's view of the process: who it is, what it may, how much memory it takes."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}
