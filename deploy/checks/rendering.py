"""A kustomization as `kubectl kustomize` renders it."""

import subprocess
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, TypeVar

import msgspec
import yaml

from checks import manifest

TOML_NAME: Final = "tms-bridge.toml"

Part = TypeVar("Part", bound=msgspec.Struct)
Object = dict[str, object]


class RenderingFailed(Exception):  # noqa: N818 - states the fact
    """The kustomization does not render, or lacks an object that the checks are about."""


class Rendering:
    """All objects of one kustomization, as far as the checks read them."""

    def __init__(self, objects: Sequence[Object]) -> None:
        self.kinds = tuple(str(found.get("kind")) for found in objects)
        self._parts = tuple(_read(found) for found in objects if found.get("kind") in manifest.KINDS)

    def of_kind(self, part: type[Part]) -> Iterator[Part]:
        """Yield all objects of a kind."""
        return (found for found in self._parts if isinstance(found, part))

    @property
    def stateful_set(self) -> manifest.StatefulSet:
        """The one StatefulSet."""
        return one("StatefulSet", tuple(self.of_kind(manifest.StatefulSet)))

    @property
    def pod(self) -> manifest.PodSpec:
        """What each replica runs."""
        return self.stateful_set.spec.template.spec

    @property
    def container(self) -> manifest.Container:
        """The one container of a replica."""
        return one("container", self.pod.containers)

    @property
    def toml(self) -> str:
        """The configuration file in the ConfigMap that the pod mounts."""
        mounted = {volume.config_map.name for volume in self.pod.volumes if volume.config_map}
        maps = self.of_kind(manifest.ConfigMap)
        texts = (found.data.get(TOML_NAME) for found in maps if found.metadata.name in mounted)
        return one(f"mounted ConfigMap with {TOML_NAME}", tuple(text for text in texts if text is not None))

    def mount_path(self, volume_name: str) -> str:
        """Where a volume appears in the container."""
        paths = (mount.mount_path for mount in self.container.volume_mounts if mount.name == volume_name)
        return one(f"mount of volume {volume_name}", tuple(paths))

    def secret_files(self) -> Iterator[str]:
        """Paths of all files that the pod gets from Secrets."""
        for volume in self.pod.volumes:
            if volume.secret is not None:
                at = self.mount_path(volume.name)
                yield from (f"{at}/{item.path}" for item in volume.secret.items)

    def port(self, name: str) -> int:
        """The number of the container's port of that name."""
        numbers = (port.container_port for port in self.container.ports if port.name == name)
        return one(f"container port {name}", tuple(numbers))


Found = TypeVar("Found")


def one(what: str, found: tuple[Found, ...]) -> Found:
    """Return the only element, or say that there is none or more than one."""
    if len(found) != 1:
        raise RenderingFailed(f"there should be one {what}, and there are {len(found)}")
    return found[0]


def render(kustomization: Path) -> tuple[Object, ...]:
    """Run `kubectl kustomize` on a directory, with the kubectl of this environment."""
    kubectl = Path(sysconfig.get_path("scripts")) / "kubectl"
    done = subprocess.run([kubectl, "kustomize", kustomization], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RenderingFailed(done.stderr.strip() or "kubectl kustomize failed without a word")
    return msgspec.convert(list(yaml.safe_load_all(done.stdout)), tuple[Object, ...])


def _read(found: Object) -> msgspec.Struct:
    kind = str(found["kind"])
    try:
        return msgspec.convert(found, manifest.KINDS[kind])
    except msgspec.ValidationError as error:
        raise RenderingFailed(f"{kind}: {error}") from None
