"""Each kustomization: valid objects, that fit each other and the bridge's own configuration."""

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final

from checks import manifest
from checks.combinations import FILLED_IN, PLACEHOLDER, combinations, rendered
from checks.configuration import (
    accepted_in,
    load_deployed,
    not_everywhere,
    not_reachable,
    spelled_out,
    trapped,
)
from checks.image import unpinned
from checks.rendering import Object, Rendering, RenderingFailed, render
from checks.schemas import Schemas
from checks.verdict import Check, Verdict, judge
from tms_bridge.errors import SettingsError
from tms_bridge.settings.load import Loaded
from tms_bridge.settings.model import Settings

_PROBES: Final = {"startup": "/startupz", "readiness": "/readyz", "liveness": "/livez"}
_INSTANCE: Final = "app.kubernetes.io/instance"
_ONE_WRITER: Final = {("ReadWriteOncePod",), ("ReadWriteOnce",)}

EXAMPLES: Final = frozenset({"overlays/production", "overlays/openshift"})
"""Overlays to copy: what they leave open must be refused until it is filled in."""

Subject = tuple[Rendering, Loaded]


def judge_kustomizations(root: Path, schemas: Schemas) -> Iterator[Verdict]:
    """Check base, overlays and components under the root of a checkout."""
    kustomize = root / "deploy" / "kustomize"
    yield from judge_base(kustomize / "base", schemas)
    for found in sorted(kustomize.glob("overlays/*/kustomization.yaml")):
        yield from judge_overlay(str(found.parent.relative_to(kustomize)), found.parent, schemas)
    # Most of the time goes into kubectl, a process for each.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from pool.map(partial(judge_combination, kustomize, schemas=schemas), combinations(kustomize))


def judge_base(directory: Path, schemas: Schemas) -> Iterator[Verdict]:
    """Check the base by itself, to which an overlay brings the configuration."""
    try:
        objects = render(directory)
        yield Verdict("base: every object fits its schema", tuple(schemas.complaints(objects)))
        yield from judge("base", Rendering(objects), _OBJECT_CHECKS)
    except RenderingFailed as error:
        yield Verdict("base: it renders to one workload", (str(error),))


def judge_overlay(name: str, directory: Path, schemas: Schemas) -> Iterator[Verdict]:
    """Check an overlay; what it accepts with a reason in its own files is not held against it."""
    accepted = accepted_in((directory / "kustomization.yaml").read_text())
    for verdict in _judge_overlay(name, directory, schemas):
        if verdict.sentence.removeprefix(f"{name}: ") not in accepted:
            yield verdict


def _judge_overlay(name: str, directory: Path, schemas: Schemas) -> Iterator[Verdict]:
    try:
        objects = render(directory)
        misfits = tuple(schemas.complaints(objects))
        yield Verdict(f"{name}: every object fits its schema", misfits)
        if misfits:
            return
        rendering = Rendering(objects)
        filled_in = {PLACEHOLDER: FILLED_IN} if name in EXAMPLES else {}
        if filled_in:
            yield Verdict(
                f"{name}: the bridge refuses it until it is filled in", tuple(_left_open(rendering))
            )
        loaded = _load(rendering, filled_in)
    except (RenderingFailed, SettingsError) as error:
        yield Verdict(f"{name}: it renders to one workload with one configuration that loads", (str(error),))
        return
    yield from judge(name, rendering, _OBJECT_CHECKS)
    yield from judge(name, (rendering, loaded), _SETTINGS_CHECKS)


def judge_combination(kustomize: Path, names: tuple[str, ...], schemas: Schemas) -> Verdict:
    """Check the base with some components: all that is asked of an overlay, as one sentence."""
    sentence = f"components: {', '.join(names)} make what an overlay must be"
    try:
        objects = rendered(kustomize, names)
        rendering = Rendering(objects)
        loaded = _load(rendering, {})
    except (RenderingFailed, SettingsError) as error:
        return Verdict(sentence, (str(error),))
    found = (
        *judge("", rendering, _OBJECT_CHECKS),
        *judge("", (rendering, loaded), _SETTINGS_CHECKS),
    )
    wrong = (f"{each.sentence[2:]}: {complaint}" for each in found for complaint in each.complaints)
    return Verdict(sentence, (*schemas.complaints(objects), *_references(objects), *wrong))


def _load(rendering: Rendering, filled_in: Mapping[str, str]) -> Loaded:
    toml = rendering.toml
    for placeholder, value in filled_in.items():
        toml = toml.replace(placeholder, value)
    return load_deployed(toml, frozenset(rendering.secret_files()), {})


def _left_open(rendering: Rendering) -> Iterator[str]:
    try:
        _load(rendering, {})
    except SettingsError as error:
        if "http.trusted_proxies" not in str(error):
            yield f"it is refused for something else: {error}"
    else:
        yield f"it loads as it is: write {PLACEHOLDER} where whoever copies it must decide"


def _references(objects: tuple[Object, ...]) -> Iterator[str]:
    """Complain about two objects of one name, of which a cluster would keep the last."""
    seen = set()
    for found in objects:
        metadata = found.get("metadata")
        name = metadata.get("name") if isinstance(metadata, dict) else None
        key = (found.get("apiVersion"), found.get("kind"), name)
        if key in seen:
            yield f"there are two of {key[1]} {key[2]}"
        seen.add(key)


def _pinned_images(rendering: Rendering) -> Iterator[str]:
    for _, template in rendering.templates():
        for container in template.spec.containers:
            yield from unpinned(container.image)


def _secret_values(subject: Subject) -> Iterator[str]:
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
    if not rendering.claims and isinstance(rendering.workload, manifest.StatefulSet):
        yield "no volumeClaimTemplate: a lost pod would take its events along"
    for claim in rendering.claims:
        if claim.spec.access_modes not in _ONE_WRITER:
            yield f"the claim {claim.metadata.name} may be mounted by two pods: {claim.spec.access_modes}"
        if "storage" not in claim.spec.resources.requests:
            yield f"the claim {claim.metadata.name} names no size"


def _mounts(rendering: Rendering) -> Iterator[str]:
    known = {volume.name for volume in rendering.pod.volumes}
    known |= {claim.metadata.name for claim in rendering.claims}
    for mount in rendering.container.volume_mounts:
        if mount.name not in known:
            yield f"{mount.mount_path} is the volume {mount.name}, which is not there"


def _services(rendering: Rendering) -> Iterator[str]:
    services = tuple(rendering.of_kind(manifest.Service))
    named = {
        port.name
        for _, template in rendering.templates()
        for container in template.spec.containers
        for port in container.ports
    }
    for service in services:
        for port in service.spec.ports:
            if port.target_port not in named:
                yield f"the Service {service.metadata.name} sends to {port.target_port}, which nothing names"
        if service.spec.publish_not_ready_addresses and service.spec.cluster_ip != "None":
            yield f"the Service {service.metadata.name} sends webhooks to pods that are not ready"
    workload = rendering.workload
    if isinstance(workload, manifest.StatefulSet) and workload.spec.service_name not in {
        service.metadata.name for service in services if service.spec.cluster_ip == "None"
    }:
        yield "the StatefulSet's serviceName is no headless Service"


def _selectors(rendering: Rendering) -> Iterator[str]:
    bridge = rendering.workload.metadata.name
    for name, selector in _selections(rendering):
        chosen = [
            maker
            for maker, template in rendering.templates()
            if selector and selector.items() <= template.labels.items()
        ]
        if len(chosen) != 1:
            yield f"the {name} selects {selector or 'every pod'}, which are the pods of {chosen or 'nothing'}"
        elif chosen == [bridge] and _INSTANCE not in selector:
            yield f"the {name} selects without {_INSTANCE}, so it takes another installation's pods too"


def _selections(rendering: Rendering) -> Iterator[tuple[str, dict[str, str]]]:
    for service in rendering.of_kind(manifest.Service):
        yield f"Service {service.metadata.name}", service.spec.selector
    for budget in rendering.of_kind(manifest.DisruptionBudget):
        yield f"PodDisruptionBudget {budget.metadata.name}", budget.spec.selector.match_labels
    for policy in rendering.of_kind(manifest.NetworkPolicy):
        yield f"NetworkPolicy {policy.metadata.name}", policy.spec.pod_selector.match_labels
    for monitor in rendering.of_kind(manifest.PodMonitor):
        yield f"PodMonitor {monitor.metadata.name}", monitor.spec.selector.match_labels


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
        "runAsUser is root": pod.run_as_user != 0,
        "seccompProfile is not RuntimeDefault": pod.seccomp_profile
        == manifest.SeccompProfile(type="RuntimeDefault"),
        "allowPrivilegeEscalation is not false": not container.allow_privilege_escalation,
        "the container is privileged": not container.privileged,
        "not all capabilities are dropped": container.capabilities.drop == ("ALL",),
        "readOnlyRootFilesystem is not true": container.read_only_root_filesystem,
        "a service account's token is mounted": not rendering.pod.automount_service_account_token,
        # Without either, the cluster gives both, as OpenShift does.
        "fsGroup is missing, so the volume belongs to root": pod.run_as_user is None or bool(pod.fs_group),
    }
    yield from (complaint for complaint, holds in wanted.items() if not holds)


def _resources(rendering: Rendering) -> Iterator[str]:
    resources = rendering.container.resources
    yield from (f"no {name} is requested" for name in ("cpu", "memory") if name not in resources.requests)
    if "memory" not in resources.limits:
        yield "memory has no limit"


def _spread(rendering: Rendering) -> Iterator[str]:
    if rendering.workload.spec.replicas < 2:  # noqa: PLR2004 - two is what survives the loss of one
        yield "one replica alone: a node's loss would be an outage"
    if not rendering.pod.topology_spread_constraints:
        yield "nothing spreads the replicas over nodes"


def _grace(subject: Subject) -> Iterator[str]:
    rendering, settings = subject[0], subject[1].settings
    yield from too_short(rendering.pod.termination_grace_period_seconds, settings)


def too_short(grace_s: float, settings: Settings) -> Iterator[str]:
    """Complain about a grace period in which a polite shutdown cannot end."""
    http = settings.http
    needed_s = http.shutdown_delay_s + http.deadline_s + http.drain_timeout_s
    if grace_s <= needed_s:
        yield f"{grace_s:g} s, and delay, last requests and drain may take {needed_s:g} s"


def _ports(subject: Subject) -> Iterator[str]:
    rendering, settings = subject[0], subject[1].settings
    for name, listen in (("http", settings.http.listen), ("admin", settings.admin.listen)):
        yield from not_reachable(f"{name}.listen", listen, rendering.port(name))
        yield from not_everywhere(f"{name}.listen", listen)


def _outbox(subject: Subject) -> Iterator[str]:
    rendering, settings = subject[0], subject[1].settings
    places = {rendering.mount_path(claim.metadata.name) for claim in rendering.claims}
    if settings.outbox is None:
        if places:
            yield "the configuration has no [outbox], so the claims serve nothing"
    elif not any(Path(settings.outbox.dir).is_relative_to(place) for place in places):
        yield f"outbox.dir is {settings.outbox.dir}, and the claims are mounted at {sorted(places)}"


def _traps(subject: Subject) -> Iterator[str]:
    rendering, loaded = subject
    return trapped(loaded, accepted_in(rendering.toml))


_OBJECT_CHECKS: Final[tuple[Check[Rendering], ...]] = (
    ("every image is pinned by a tag", _pinned_images),
    ("startup, readiness and liveness call their own path on the admin port", _probes),
    ("each replica of a StatefulSet has a claim of its own, for one writer", _claim),
    ("every mount is of a volume that is there", _mounts),
    ("Services lead to ports that the container names", _services),
    ("what selects pods selects those of one workload, in one installation", _selectors),
    ("a node's drain takes one replica at a time", _budget),
    ("the pod keeps to the restricted security standard", _restricted),
    ("resources are requested and memory is limited", _resources),
    ("two or more replicas are spread over nodes", _spread),
)
_SETTINGS_CHECKS: Final[tuple[Check[Subject], ...]] = (
    ("no secret value is committed", _secret_values),
    ("`tms-bridge check` warns of nothing in the configuration", _traps),
    ("the grace period outlasts delay, last requests and drain", _grace),
    ("the configuration listens where probes and Services call, over IPv4 and IPv6", _ports),
    ("the outbox, if there is one, lies on the replica's claim", _outbox),
)
