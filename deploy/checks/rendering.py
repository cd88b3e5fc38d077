"""A kustomization as `kubectl kustomize` renders it."""

import os
import re
import subprocess
import sysconfig
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, TypeVar

import msgspec
import yaml

from checks import manifest

TOML_NAME: Final = "tms-bridge.toml"
_CONTAINER: Final = "tms-bridge"

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
    def workload(self) -> manifest.Workload:
        """The StatefulSet, or Deployment, whose pods run the bridge."""
        running = tuple(
            found
            for found in self._workloads()
            if any(container.name == _CONTAINER for container in found.spec.template.spec.containers)
        )
        return one(f"workload with a container {_CONTAINER}", running)

    @property
    def claims(self) -> tuple[manifest.Claim, ...]:
        """The volumes that each replica gets of its own; a Deployment has none."""
        workload = self.workload
        return workload.spec.volume_claim_templates if isinstance(workload, manifest.StatefulSet) else ()

    @property
    def pod(self) -> manifest.PodSpec:
        """What each replica runs."""
        return self.workload.spec.template.spec

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

    def templates(self) -> Iterator[tuple[str, manifest.PodTemplate]]:
        """Yield every kind of pod that is made, with the name of what makes it."""
        for workload in self._workloads():
            yield workload.metadata.name, workload.spec.template
        for job in self.of_kind(manifest.CronJob):
            yield job.metadata.name, job.spec.job_template.spec.template

    def _workloads(self) -> Iterator[manifest.Workload]:
        yield from self.of_kind(manifest.StatefulSet)
        yield from self.of_kind(manifest.Deployment)

    def mount_path(self, volume_name: str) -> str:
        """Where a volume appears in the container."""
        paths = (mount.mount_path for mount in self.container.volume_mounts if mount.name == volume_name)
        return one(f"mount of volume {volume_name}", tuple(paths))

    def secret_files(self) -> Iterator[str]:
        """Paths of all files that the pod gets from Secrets.

        A Secret that is mounted whole, made elsewhere, has whatever keys the configuration asks of it.
        """
        for volume in self.pod.volumes:
            if volume.secret is not None:
                yield from self._files(volume.name, volume.secret.items)
            for source in volume.projected.sources if volume.projected else ():
                if source.secret is not None:
                    yield from self._files(volume.name, source.secret.items)

    def _files(self, volume_name: str, items: tuple[manifest.Item, ...]) -> Iterator[str]:
        at = self.mount_path(volume_name)
        if items:
            yield from (f"{at}/{item.path}" for item in items)
        else:
            yield from re.findall(rf"\$\{{file:({re.escape(at)}/[^/}}]+)\}}", self.toml)

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
    # The C loader, where PyYAML has it: what is rendered is thousands of lines.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return msgspec.convert(list(yaml.load_all(done.stdout, loader)), tuple[Object, ...])


def render_together(
    kustomize: Path, components: Sequence[str], toml: str, **more: object
) -> tuple[Object, ...]:
    """Render the base with components, as an overlay with this configuration would.

    Args:
        kustomize: the directory of base and components.
        components: their names.
        toml: the configuration.
        more: what else stands in the overlay's kustomization.yaml.
    """
    with tempfile.TemporaryDirectory() as directory:
        # Kustomize takes no absolute paths.
        relative = Path(os.path.relpath(kustomize.resolve(), Path(directory).resolve()))
        overlay = {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "resources": [str(relative / "base")],
            "components": [str(relative / "components" / name) for name in components],
            "configMapGenerator": [{"name": "tms-bridge", "files": [TOML_NAME]}],
            "replicas": [{"name": "tms-bridge", "count": 2}],
            **more,
        }
        Path(directory, TOML_NAME).write_text(toml)
        Path(directory, "kustomization.yaml").write_text(yaml.safe_dump(overlay))
        return render(Path(directory))


def _read(found: Object) -> msgspec.Struct:
    kind = str(found["kind"])
    try:
        return msgspec.convert(found, manifest.KINDS[kind])
    except msgspec.ValidationError as error:
        raise RenderingFailed(f"{kind}: {error}") from None
