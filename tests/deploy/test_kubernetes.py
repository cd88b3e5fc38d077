import shutil
from pathlib import Path

import pytest

from checks.kubernetes import judge_kustomizations
from checks.schemas import Schemas

RENDERS = "it renders to one StatefulSet with one configuration that loads"
SCHEMA = "every object fits its schema"
PINNED = "every image is pinned by a tag"
SECRETS = "no secret value is committed"
PROBES = "startup, readiness and liveness call their own path on the admin port"
CLAIM = "each replica has a claim of its own, for one pod at a time"
MOUNTS = "every mount is of a volume that is there"
SERVICES = "Services lead to ports that the container names"
SELECTORS = "Services, budget and policy select the bridge's pods and no others"
BUDGET = "a node's drain takes one replica at a time"
RESTRICTED = "the pod keeps to the restricted security standard"
RESOURCES = "resources are requested and memory is limited"
SPREAD = "two or more replicas are spread over nodes"
TRAPS = "`tms-bridge check` warns of nothing in the configuration"
GRACE = "the grace period outlasts delay, last requests and drain"
PORTS = "the configuration listens where probes and Services call"
OUTBOX = "the outbox lies on the replica's claim"

PODS = "statefulset.yaml"
TOML = "tms-bridge.toml"
LABELS = "matchLabels:\n      app.kubernetes.io/name: tms-bridge"
SECRET = "---\napiVersion: v1\nkind: Secret\nmetadata:\n  name: tms-bridge\nstringData:\n  amqp-url: x\n"

BREAKAGES = [
    ("kustomization.yaml", "statefulset.yaml", "missing.yaml", RENDERS),
    (TOML, "[http]", "[htp]", RENDERS),
    (PODS, "- key: contoso-password\n                path: contoso-password", "", RENDERS),
    (PODS, "replicas: 2", "replicas: two", SCHEMA),
    (PODS, "minReadySeconds", "minimumReadySeconds", SCHEMA),
    ("kustomization.yaml", "newTag: 0.1.0", "newTag: latest", PINNED),
    (TOML, "${file:/run/secrets/tms-bridge/contoso-password}", "secret", SECRETS),
    (
        PODS,
        "httpGet:\n              path: /livez\n              port: admin",
        "exec:\n              command: [x]",
        RENDERS,
    ),
    (
        PODS,
        "        - name: tmp\n          emptyDir",
        "        - name: temporary\n          emptyDir",
        MOUNTS,
    ),
    (PODS, "path: /livez", "path: /readyz", PROBES),
    (PODS, "path: /startupz\n              port: admin", "path: /startupz\n              port: http", PROBES),
    (PODS, "[ReadWriteOncePod]", "[ReadWriteMany]", CLAIM),
    ("service.yaml", "targetPort: http", "targetPort: web", SERVICES),
    ("service.yaml", "clusterIP: None\n", "", SERVICES),
    (PODS, "serviceName: tms-bridge-pods", "serviceName: tms-bridge", SERVICES),
    ("poddisruptionbudget.yaml", LABELS, "{}", SELECTORS),
    ("networkpolicy.yaml", LABELS, "{}", SELECTORS),
    ("poddisruptionbudget.yaml", "maxUnavailable: 1", "maxUnavailable: 50%", BUDGET),
    (PODS, "runAsNonRoot: true", "runAsNonRoot: false", RESTRICTED),
    (PODS, "runAsUser: 10001", "runAsUser: 0", RESTRICTED),
    (PODS, "type: RuntimeDefault", "type: Unconfined", RESTRICTED),
    (PODS, "fsGroup: 10001", "supplementalGroups: [10001]", RESTRICTED),
    (PODS, "allowPrivilegeEscalation: false", "allowPrivilegeEscalation: true", RESTRICTED),
    (
        PODS,
        "allowPrivilegeEscalation: false",
        "allowPrivilegeEscalation: false\n            privileged: true",
        RESTRICTED,
    ),
    (PODS, "drop: [ALL]", "drop: [NET_RAW]", RESTRICTED),
    (PODS, "readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false", RESTRICTED),
    (PODS, "automountServiceAccountToken: false", "automountServiceAccountToken: true", RESTRICTED),
    (PODS, "              cpu: 100m\n", "", RESOURCES),
    (PODS, "            limits:\n              memory: 256Mi\n", "", RESOURCES),
    (PODS, "replicas: 2", "replicas: 1", SPREAD),
    (TOML, 'allow_from = ["skillable-tms"]', 'allow_from = ["any"]', TRAPS),
    (PODS, "terminationGracePeriodSeconds: 45", "terminationGracePeriodSeconds: 30", GRACE),
    (TOML, "drain_timeout_s = 20.0", "drain_timeout_s = 60.0", GRACE),
    (TOML, 'listen = "0.0.0.0:8080"', 'listen = "0.0.0.0:9090"', PORTS),
    (TOML, 'listen = "0.0.0.0:8081"', 'listen = "127.0.0.1:8081"', PORTS),
    (PODS, "containerPort: 8081", "containerPort: 9091", PORTS),
    (TOML, 'dir = "/var/lib/tms-bridge/outbox"', 'dir = "/tmp/outbox"', OUTBOX),
]


def failures(checkout: Path, definitions: Path | None = None) -> list[str]:
    verdicts = judge_kustomizations(checkout, Schemas(definitions))
    return [verdict.sentence for verdict in verdicts if verdict.complaints]


def base_alone(checkout: Path) -> Path:
    shutil.rmtree(checkout / "deploy" / "kustomize" / "overlays")
    return checkout / "deploy" / "kustomize" / "base"


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_base_and_overlay_pass(checkout: Path) -> None:
    assert [] == failures(checkout)


@pytest.mark.parametrize(("file", "old", "new", "sentence"), BREAKAGES)
def test_a_broken_base_is_found(checkout: Path, file: str, old: str, new: str, sentence: str) -> None:
    change(base_alone(checkout) / file, old, new)
    assert [f"base: {sentence}"] == failures(checkout)


def test_claims_without_an_outbox_are_found(checkout: Path) -> None:
    change(base_alone(checkout) / TOML, '[outbox]\ndir = "/var/lib/tms-bridge/outbox"', "")
    assert [f"base: {TRAPS}", f"base: {OUTBOX}"] == failures(checkout)


def test_a_committed_secret_is_found(checkout: Path) -> None:
    base = base_alone(checkout)
    (base / "secret.yaml").write_text(SECRET)
    change(base / "kustomization.yaml", "  - service.yaml\n", "  - service.yaml\n  - secret.yaml\n")
    assert [f"base: {SECRETS}"] == failures(checkout)


@pytest.mark.parametrize(
    ("name", "first", "after", "sentence"),
    [
        (PODS, "  volumeClaimTemplates:", None, CLAIM),
        (PODS, "      topologySpreadConstraints:", "      containers:", SPREAD),
        (PODS, "          livenessProbe:", "          resources:", PROBES),
    ],
)
def test_a_missing_part_is_found(
    checkout: Path, name: str, first: str, after: str | None, sentence: str
) -> None:
    path = base_alone(checkout) / name
    before, _, rest = path.read_text().partition(first)
    path.write_text(before + (after + rest.partition(after)[2] if after else ""))
    assert f"base: {sentence}" in failures(checkout)


def test_an_overlay_is_judged_on_its_own(checkout: Path) -> None:
    overlay = checkout / "deploy" / "kustomize" / "overlays" / "production"
    change(overlay / "kustomization.yaml", "count: 3", "count: 1")
    assert [f"overlays/production: {SPREAD}"] == failures(checkout)


class TestACustomResource:
    RESOURCE = (
        "apiVersion: example.com/v1\nkind: Scaler\nmetadata:\n  name: tms-bridge\nspec:\n  target: web\n"
    )
    DEFINITION = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {{name: scalers.example.com}}
spec:
  group: example.com
  names: {{kind: Scaler}}
  versions:
    - name: v1
      schema:
        openAPIV3Schema:
          properties: {{spec: {{properties: {{target: {{type: {type}}}}}}}}}
"""

    @pytest.fixture
    def definitions(self, checkout: Path) -> Path:
        base = base_alone(checkout)
        (base / "scaler.yaml").write_text(self.RESOURCE)
        change(base / "kustomization.yaml", "  - service.yaml\n", "  - service.yaml\n  - scaler.yaml\n")
        directory = checkout / "crds"
        directory.mkdir()
        return directory

    def test_without_its_definition_is_found(self, checkout: Path, definitions: Path) -> None:
        assert [f"base: {SCHEMA}"] == failures(checkout)
        assert [f"base: {SCHEMA}"] == failures(checkout, definitions)

    def test_that_does_not_fit_its_definition_is_found(self, checkout: Path, definitions: Path) -> None:
        (definitions / "scaler.yaml").write_text(self.DEFINITION.format(type="object"))
        assert [f"base: {SCHEMA}"] == failures(checkout, definitions)

    def test_that_fits_passes(self, checkout: Path, definitions: Path) -> None:
        (definitions / "scaler.yaml").write_text(self.DEFINITION.format(type="string"))
        assert [] == failures(checkout, definitions)
