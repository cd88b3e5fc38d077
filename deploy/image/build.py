"""Builds the image with buildah, on a base made by debootstrap: no daemon, and no registry but Debian's."""

import os
import shutil
import ssl
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

_TOOLS: Final = ("buildah", "debootstrap")
_SUITE: Final = "bookworm"
_BASE: Final = "localhost/tms-bridge-base:test"
_TRUSTED: Final = "/etc/ssl/certs/ca-certificates.crt"
_PACKAGES: Final = "ca-certificates,python3"


class BuildFailed(Exception):  # noqa: N818 - states the fact
    """A tool ended with an error; the text is the end of what it said."""


class HealthCheck(msgspec.Struct, frozen=True, rename="pascal"):
    """How Docker asks whether the container is well."""

    test: tuple[str, ...] = ()


class Config(msgspec.Struct, frozen=True, rename="pascal"):
    """What the image says about how it is run."""

    user: str
    entrypoint: tuple[str, ...]
    cmd: tuple[str, ...]
    env: tuple[str, ...]
    working_dir: str
    labels: dict[str, str]
    healthcheck: HealthCheck = HealthCheck()


class RootFs(msgspec.Struct, frozen=True):
    """The layers, by the digest of what is in them."""

    diff_ids: tuple[str, ...]


class Docker(msgspec.Struct, frozen=True):
    """The image as Docker's format has it."""

    config: Config
    rootfs: RootFs


class Image(msgspec.Struct, frozen=True, rename={"docker": "Docker", "image_id": "FromImageID"}):
    """A built image, as `buildah inspect` shows it."""

    docker: Docker
    image_id: str

    @property
    def config(self) -> Config:
        """How it is run."""
        return self.docker.config

    @property
    def layers(self) -> tuple[str, ...]:
        """The digests of its layers, the base's first."""
        return self.docker.rootfs.diff_ids


class Builder:
    """Builds in a storage of its own, which the machine's is not."""

    def __init__(self, checkout: Path, directory: Path) -> None:
        self._checkout = checkout
        self._directory = directory
        storage = directory / "storage"
        self._buildah = [
            "buildah",
            *("--root", str(storage / "root"), "--runroot", str(storage / "run")),
            # Slow and needs nothing of the kernel; overlayfs on overlayfs does not work everywhere.
            *("--storage-driver", "vfs"),
        ]

    def base(self) -> None:
        """Make the base image: a plain Debian with its own Python, kept for the next time."""
        root = self._directory / "base"
        if not (root / "usr/bin/python3").exists():
            shutil.rmtree(root, ignore_errors=True)
            _run("debootstrap", "--variant=minbase", f"--include={_PACKAGES}", _SUITE, str(root))
            shutil.rmtree(root / "var/cache/apt")
            shutil.rmtree(root / "var/lib/apt/lists")
            # A network may have an authority of its own, which a fresh Debian does not trust.
            trusted = ssl.get_default_verify_paths().cafile or _TRUSTED
            shutil.copyfile(trusted, root / _TRUSTED.lstrip("/"))
        if self._has(_BASE):
            return
        container = self._do("from", "scratch")
        self._do("add", "--quiet", container, str(root), "/")
        self._do("commit", "--quiet", "--rm", container, _BASE)

    def build(self, name: str, arguments: dict[str, str]) -> Image:
        """Build the image from the checkout, in a moment that is always the same."""
        given = [part for key, value in arguments.items() for part in ("--build-arg", f"{key}={value}")]
        self._do(
            *("build", "--isolation=chroot", "--pull=never", "--format=docker"),
            *("--timestamp", "0", "--file", "deploy/Dockerfile", "--tag", name),
            *("--build-arg", f"BASE_IMAGE={_BASE}", *given, "."),
        )
        return msgspec.json.decode(self._do("inspect", "--type=image", name), type=Image)

    @contextmanager
    def mounted(self, name: str) -> Iterator[Path]:
        """Lay the image's files out as a directory, for as long as the context lasts."""
        container = self._do("from", "--pull=never", name)
        try:
            yield Path(self._do("mount", container))
        finally:
            self._do("rm", container)

    def remove(self, name: str) -> None:
        """Forget an image."""
        self._do("rmi", "--force", name)

    def _has(self, name: str) -> bool:
        done = subprocess.run(
            [*self._buildah, "inspect", "--type=image", name], capture_output=True, check=False
        )
        return done.returncode == 0

    def _do(self, *arguments: str) -> str:
        return _run(*self._buildah, *arguments, cwd=self._checkout)


def install_tools() -> None:
    """Install with apt what is missing of buildah and debootstrap."""
    missing = [tool for tool in _TOOLS if shutil.which(tool) is None]
    if not missing:
        return
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        raise BuildFailed(f"install these as root, then try again: {', '.join(missing)}")
    _run("apt-get", "update", "-qq")
    _run("apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing)


def _run(*command: str, cwd: Path | None = None) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BuildFailed(f"{_shown(command)} failed:\n{(done.stderr or done.stdout)[-3000:]}")
    return done.stdout.strip()


def _shown(command: Sequence[str]) -> str:
    return " ".join(command[:12])
