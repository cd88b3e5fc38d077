"""The parts of Kubernetes objects that the checks read, as structs; everything else passes unread."""

from collections.abc import Mapping
from typing import Final

import msgspec


class _Part(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Any part of an object: members in camel case, unknown ones ignored."""


class Metadata(_Part, frozen=True):
    """An object's name and labels."""

    name: str
    labels: dict[str, str] = {}


class HttpGet(_Part, frozen=True):
    """Where a probe calls."""

    path: str
    port: int | str


class Probe(_Part, frozen=True):
    """A probe; the bridge's are by HTTP."""

    http_get: HttpGet = HttpGet(path="nothing", port=0)


class ContainerPort(_Part, frozen=True):
    """A port that a container names."""

    container_port: int
    name: str = ""


class Capabilities(_Part, frozen=True):
    """Linux capabilities taken away."""

    drop: tuple[str, ...] = ()


class SeccompProfile(_Part, frozen=True):
    """The filter on system calls."""

    type: str


class SecurityContext(_Part, frozen=True):
    """What a container, or a pod's containers by default, may do."""

    run_as_non_root: bool = False
    run_as_user: int | None = None
    fs_group: int | None = None
    allow_privilege_escalation: bool = True
    read_only_root_filesystem: bool = False
    privileged: bool = False
    capabilities: Capabilities = Capabilities()
    seccomp_profile: SeccompProfile | None = None


class Resources(_Part, frozen=True):
    """Requests and limits of a container, or of a claim."""

    requests: dict[str, str | int] = {}
    limits: dict[str, str | int] = {}


class Mount(_Part, frozen=True):
    """Where a volume appears in a container."""

    name: str
    mount_path: str


class Container(_Part, frozen=True):
    """One container of a pod."""

    name: str
    image: str
    args: tuple[str, ...] = ()
    ports: tuple[ContainerPort, ...] = ()
    startup_probe: Probe | None = None
    readiness_probe: Probe | None = None
    liveness_probe: Probe | None = None
    resources: Resources = Resources()
    security_context: SecurityContext = SecurityContext()
    volume_mounts: tuple[Mount, ...] = ()


class Item(_Part, frozen=True):
    """A key of a Secret, and the file that it becomes."""

    key: str
    path: str


class SecretSource(_Part, frozen=True):
    """A Secret as a volume."""

    secret_name: str
    items: tuple[Item, ...] = ()


class ConfigMapSource(_Part, frozen=True):
    """A ConfigMap as a volume."""

    name: str


class ProjectedSecret(_Part, frozen=True):
    """A Secret as a part of a projected volume."""

    name: str
    items: tuple[Item, ...] = ()


class Projection(_Part, frozen=True):
    """One of the parts of a projected volume."""

    secret: ProjectedSecret | None = None


class Projected(_Part, frozen=True):
    """Several sources as one volume."""

    sources: tuple[Projection, ...]


class Volume(_Part, frozen=True):
    """A volume of a pod."""

    name: str
    secret: SecretSource | None = None
    config_map: ConfigMapSource | None = None
    projected: Projected | None = None


class PodSpec(_Part, frozen=True):
    """What a pod runs, and how."""

    containers: tuple[Container, ...]
    volumes: tuple[Volume, ...] = ()
    security_context: SecurityContext = SecurityContext()
    automount_service_account_token: bool = True
    termination_grace_period_seconds: float = 30
    topology_spread_constraints: tuple[object, ...] = ()


class PodTemplate(_Part, frozen=True):
    """A pod as its StatefulSet makes it."""

    spec: PodSpec
    metadata: dict[str, dict[str, str]] = {}

    @property
    def labels(self) -> dict[str, str]:
        """The labels that Services and others select by."""
        return self.metadata.get("labels", {})


class ClaimSpec(_Part, frozen=True):
    """What a claim asks of the storage."""

    access_modes: tuple[str, ...]
    resources: Resources


class Claim(_Part, frozen=True):
    """A volume that each pod gets of its own."""

    metadata: Metadata
    spec: ClaimSpec


class StatefulSetSpec(_Part, frozen=True):
    """How many pods, and with what."""

    service_name: str
    template: PodTemplate
    replicas: int = 1
    volume_claim_templates: tuple[Claim, ...] = ()


class StatefulSet(_Part, frozen=True):
    """Replicas with a volume each."""

    metadata: Metadata
    spec: StatefulSetSpec


class DeploymentSpec(_Part, frozen=True):
    """How many pods, and with what."""

    template: PodTemplate
    replicas: int = 1


class Deployment(_Part, frozen=True):
    """Replicas without volumes of their own."""

    metadata: Metadata
    spec: DeploymentSpec


Workload = StatefulSet | Deployment
"""What makes the bridge's pods."""


class ServicePort(_Part, frozen=True):
    """A port of a Service."""

    port: int
    name: str = ""
    target_port: int | str | None = None


class ServiceSpec(_Part, frozen=True):
    """What a Service selects, and on which ports."""

    ports: tuple[ServicePort, ...]
    selector: dict[str, str] = {}
    cluster_ip: str = msgspec.field(name="clusterIP", default="")
    publish_not_ready_addresses: bool = False


class Service(_Part, frozen=True):
    """One name for several pods."""

    metadata: Metadata
    spec: ServiceSpec


class Selector(_Part, frozen=True):
    """Which pods an object is about; an empty one means all of the namespace."""

    match_labels: dict[str, str] = {}


class DisruptionBudgetSpec(_Part, frozen=True):
    """How many pods may be away on purpose."""

    selector: Selector
    max_unavailable: int | str | None = None
    min_available: int | str | None = None


class DisruptionBudget(_Part, frozen=True):
    """The brake on node drains."""

    metadata: Metadata
    spec: DisruptionBudgetSpec


class NetworkPolicySpec(_Part, frozen=True):
    """Which pods a policy is about."""

    pod_selector: Selector


class PodMonitorSpec(_Part, frozen=True):
    """Which pods Prometheus scrapes."""

    selector: Selector


class PodMonitor(_Part, frozen=True):
    """How Prometheus finds the pods."""

    metadata: Metadata
    spec: PodMonitorSpec


class JobPod(_Part, frozen=True):
    """A Job's pods."""

    template: PodTemplate


class JobTemplate(_Part, frozen=True):
    """A Job as its CronJob makes it."""

    spec: JobPod


class CronJobSpec(_Part, frozen=True):
    """What is run at its times."""

    job_template: JobTemplate


class CronJob(_Part, frozen=True):
    """What is run again and again."""

    metadata: Metadata
    spec: CronJobSpec


class NetworkPolicy(_Part, frozen=True):
    """Who may talk to the pods, and to whom they may talk."""

    metadata: Metadata
    spec: NetworkPolicySpec


class ConfigMap(_Part, frozen=True):
    """Files for a pod."""

    metadata: Metadata
    data: dict[str, str] = {}


KINDS: Final[Mapping[str, type[msgspec.Struct]]] = {
    "ConfigMap": ConfigMap,
    "CronJob": CronJob,
    "Deployment": Deployment,
    "NetworkPolicy": NetworkPolicy,
    "PodDisruptionBudget": DisruptionBudget,
    "PodMonitor": PodMonitor,
    "Service": Service,
    "StatefulSet": StatefulSet,
}
"""What is read of the objects, by their kind."""
