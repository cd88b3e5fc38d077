"""Each kustomization: valid objects, that fit each other and the bridge's own configuration."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from checks import manifest
from checks.configuration import load_deployed, not_reachable, spelled_out, trapped
from checks.image import unpinned
from checks.rendering import Rendering, RenderingFailed, render
from checks.schemas import Schemas
from checks.verdict import Check, Verdict, judge
from tms_bridge.errors import SettingsError
from tms_bridge.settings.load import Loaded
from tms_bridge.settings.model import Settings

_PROBES: Final = {"startup": "/startupz", "readiness": "/readyz", "liveness": "/livez"}


def judge_kustomizations(root: Path, schemas: Schemas) -> Iterator[Verdict]:
    """Check the base and every overlay under the root of a checkout."""
    kustomize = root / "deploy" / "kustomize"
    for found in sorted(kustomize.rglob("kustomization.yaml")):
        name = str(found.parent.relative_to(kustomize))
        yield from _judge_one(name, found.parent, schemas)


def _judge_one(name: str, directory: Path, schemas: Schemas) -> Iterator[Verdict]:
    renders = f"{name}: it renders to one StatefulSet with one configuration that loads"
    try:
        objects = render(directory)
        misfits = tuple(schemas.complaints(objects))
        yield Verdict(f"{name}: every object fits its schema", misfits)
        if misfits:
            return
        rendering = Rendering(objects)
        loaded = load_deployed(rendering.toml, frozenset(rendering.secret_files()), {})
    except (RenderingFailed, SettingsError) as error:
        yield Verdict(renders, (str(error),))
        return
    yield Verdict(renders, ())
    yield from judge(name, rendering, _OBJECT_CHECKS)
    yield from judge(name, (rendering, loaded), _SETTINGS_CHECKS)


def _pinned_images(rendering: Rendering) -> Iterator[str]:
    for container in rendering.pod.containers:
        yield from unpinned(container.image)


def _secret_values(subject: tuple[Rendering, Loaded]) -> Iterator[str]:
    rendering, loaded = subject
    yield from spelled_out(loaded)
    if "Secret" in rendering.kinds:
        yield "a Secret is rendered: refer to one that is made elsewhere"


def _probes(rendering: Rendering) -> Iterator[str]:
    container = rendering.container
    found = {
        "startup": container.startup_probe,
        "readiness": container.readiness_probe,
        "liveness": container.liveness_probe,
    }
    for name, probe in found.items():
        if probe is None:
            yield f"there is no {name} probe"
        elif (probe.http_get.path, probe.http_get.port) != (_PROBES[name], "admin"):
            yield f"the {name} probe calls {probe.http_get.path} on port {probe.http_get.port}"


def _claim(rendering: Rendering) -> Iterator[str]:
    claims = rendering.stateful_set.spec.volume_claim_templates
    if not claims:
        yield "no volumeClaimTemplate: a lost pod would take its events along"
    for claim in claims:
        if claim.spec.access_modes != ("ReadWriteOncePod",):
            yield f"the claim {claim.metadata.name} may be mounted by two pods: {claim.spec.access_modes}"
        if "storage" not in claim.spec.resources.requests:
            yield f"the claim {claim.metadata.name} names no size"


def _mounts(rendering: Rendering) -> Iterator[str]:
    claims = rendering.stateful_set.spec.volume_claim_templates
    known = {volume.name for volume in rendering.pod.volumes} | {claim.metadata.name for claim in claims}
    for mount in rendering.container.volume_mounts:
        if mount.name not in known:
            yield f"{mount.mount_path} is the volume {mount.name}, which is not there"


def _services(rendering: Rendering) -> Iterator[str]:
    services = tuple(rendering.of_kind(manifest.Service))
    named = {port.name for port in rendering.container.ports}
    for service in services:
        for port in service.spec.ports:
            if port.target_port not in named:
                yield f"the Service {service.metadata.name} sends to {port.target_port}, which nothing names"
        if service.spec.publish_not_ready_addresses and service.spec.cluster_ip != "None":
            yield f"the Service {service.metadata.name} sends webhooks to pods that are not ready"
    if rendering.stateful_set.spec.service_name not in {
        service.metadata.name for service in services if service.spec.cluster_ip == "None"
    }:
        yield "the StatefulSet's serviceName is no headless Service"


def _selectors(rendering: Rendering) -> Iterator[str]:
    labels = rendering.stateful_set.spec.template.labels
    found = {
        f"Service {service.metadata.name}": service.spec.selector
        for service in rendering.of_kind(manifest.Service)
    }
    for budget in rendering.of_kind(manifest.DisruptionBudget):
        found[f"PodDisruptionBudget {budget.metadata.name}"] = budget.spec.selector.match_labels
    for policy in rendering.of_kind(manifest.NetworkPolicy):
        found[f"NetworkPolicy {policy.metadata.name}"] = policy.spec.pod_selector.match_labels
    for name, selector in found.items():
        if not selector or not selector.items() <= labels.items():
            yield f"the {name} selects {selector or 'every pod'}, and the pods are {labels}"


def _budget(rendering: Rendering) -> Iterator[str]:
    budgets = tuple(rendering.of_kind(manifest.DisruptionBudget))
    if not budgets:
        yield "there is no PodDisruptionBudget"
    for budget in budgets:
        if budget.spec.max_unavailable != 1:
            yield f"maxUnavailable is {budget.spec.max_unavailable}, not 1"


def _restricted(rendering: Rendering) -> Iterator[str]:
    pod, container = rendering.pod.security_context, rendering.container.security_context
    wanted = {
        "runAsNonRoot is not true": pod.run_as_non_root,
        "runAsUser is root": pod.run_as_user > 0,
        "seccompProfile is not RuntimeDefault": pod.seccomp_profile
        == manifest.SeccompProfile(type="RuntimeDefault"),
        "allowPrivilegeEscalation is not false": not container.allow_privilege_escalation,
        "the container is privileged": not container.privileged,
        "not all capabilities are dropped": container.capabilities.drop == ("ALL",),
        "readOnlyRootFilesystem is not true": container.read_only_root_filesystem,
        "a service account's token is mounted": not rendering.pod.automount_service_account_token,
        "fsGroup is missing, so the volume belongs to root": pod.fs_group > 0,
    }
    yield from (complaint for complaint, holds in wanted.items() if not holds)


def _resources(rendering: Rendering) -> Iterator[str]:
    resources = rendering.container.resources
    yield from (f"no {name} is requested" for name in ("cpu", "memory") if name not in resources.requests)
    if "memory" not in resources.limits:
        yield "memory has no limit"


def _spread(rendering: Rendering) -> Iterator[str]:
    if rendering.stateful_set.spec.replicas < 2:  # noqa: PLR2004 - two is what survives the loss of one
        yield "one replica alone: a node's loss would be an outage"
    if not rendering.pod.topology_spread_constraints:
        yield "nothing spreads the replicas over nodes"


def _grace(subject: tuple[Rendering, Loaded]) -> Iterator[str]:
    rendering, settings = subject[0], subject[1].settings
    yield from too_short(rendering.pod.termination_grace_period_seconds, settings)


def too_short(grace_s: float, settings: Settings) -> Iterator[str]:
    """Complain about a grace period in which a polite shutdown cannot end."""
    http = settings.http
    needed_s = http.shutdown_delay_s + http.deadline_s + http.drain_timeout_s
    if grace_s <= needed_s:
        yield f"{grace_s:g} s, and delay, last requests and drain may take {needed_s:g} s"


def _ports(subject: tuple[Rendering, Loaded]) -> Iterator[str]:
    rendering, settings = subject[0], subject[1].settings
    for name, listen in (("http", settings.http.listen), ("admin", settings.admin.listen)):
        yield from not_reachable(f"{name}.listen", listen, rendering.port(name))


def _outbox(subject: tuple[Rendering, Loaded]) -> Iterator[str]:
    rendering, settings = subject[0], subject[1].settings
    claims = rendering.stateful_set.spec.volume_claim_templates
    places = {rendering.mount_path(claim.metadata.name) for claim in claims}
    if settings.outbox is None:
        yield "the configuration has no [outbox], so the claims serve nothing"
    elif not any(Path(settings.outbox.dir).is_relative_to(place) for place in places):
        yield f"outbox.dir is {settings.outbox.dir}, and the claims are mounted at {sorted(places)}"


_OBJECT_CHECKS: Final[tuple[Check[Rendering], ...]] = (
    ("every image is pinned by a tag", _pinned_images),
    ("startup, readiness and liveness call their own path on the admin port", _probes),
    ("each replica has a claim of its own, for one pod at a time", _claim),
    ("every mount is of a volume that is there", _mounts),
    ("Services lead to ports that the container names", _services),
    ("Services, budget and policy select the bridge's pods and no others", _selectors),
    ("a node's drain takes one replica at a time", _budget),
    ("the pod keeps to the restricted security standard", _restricted),
    ("resources are requested and memory is limited", _resources),
    ("two or more replicas are spread over nodes", _spread),
)
_SETTINGS_CHECKS: Final[tuple[Check[tuple[Rendering, Loaded]], ...]] = (
    ("no secret value is committed", _secret_values),
    ("`tms-bridge check` warns of nothing in the configuration", lambda subject: trapped(subject[1])),
    ("the grace period outlasts delay, last requests and drain", _grace),
    ("the configuration listens where probes and Services call", _ports),
    ("the outbox lies on the replica's claim", _outbox),
)
