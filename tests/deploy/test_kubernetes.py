import shutil
from pathlib import Path

import pytest

from checks import manifest
from checks.combinations import combinations, configuration, rendered
from checks.kubernetes import judge_base, judge_combination, judge_overlay
from checks.rendering import Rendering, render, render_together
from checks.schemas import Schemas

LOADS = "it renders to one workload with one configuration that loads"
OPEN = "the bridge refuses it until it is filled in"
SCHEMA = "every object fits its schema"
PINNED = "every image is pinned by a tag"
SECRETS = "no secret value is committed"
PROBES = "startup, readiness and liveness call their own path on the admin port"
CLAIM = "each replica of a StatefulSet has a claim of its own, for one writer"
MOUNTS = "every mount is of a volume that is there"
SERVICES = "Services lead to ports that the container names"
SELECTORS = "what selects pods selects those of one workload, in one installation"
BUDGET = "a node's drain takes one replica at a time"
RESTRICTED = "the pod keeps to the restricted security standard"
RESOURCES = "resources are requested and memory is limited"
SPREAD = "two or more replicas are spread over nodes"
TRAPS = "`tms-bridge check` warns of nothing in the configuration"
GRACE = "the grace period outlasts delay, last requests and drain"
PORTS = "the configuration listens where probes and Services call, over IPv4 and IPv6"
OUTBOX = "the outbox, if there is one, lies on the replica's claim"

PODS = "base/statefulset.yaml"
SERVICE = "base/service.yaml"
TOML = "overlays/production/tms-bridge.toml"
OVERLAY = "overlays/production/kustomization.yaml"
POLICY = "components/networkpolicy/networkpolicy.yaml"
SECRET = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: tms-bridge\nstringData:\n  amqp-url: x\n"

BREAKAGES = [
    (OVERLAY, "- tms-bridge.toml", "- missing.toml", LOADS),
    (TOML, "[http]", "[htp]", OPEN),
    (TOML, '["CHANGE-ME"]', '["10.0.0.0/8"]', OPEN),
    (TOML, "tms-bridge/contoso-password", "elsewhere/contoso-password", LOADS),
    (PODS, "minReadySeconds: 5", "minReadySeconds: five", SCHEMA),
    (PODS, "minReadySeconds", "minimumReadySeconds", SCHEMA),
    (OVERLAY, "newTag: 0.1.0", "newTag: latest", PINNED),
    (TOML, "${file:/run/secrets/tms-bridge/contoso-password}", "secret", SECRETS),
    (
        PODS,
        "httpGet:\n              path: /livez\n              port: admin",
        "exec:\n              command: [x]",
        PROBES,
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
    (SERVICE, "targetPort: http", "targetPort: web", SERVICES),
    (SERVICE, "clusterIP: None\n", "", SERVICES),
    (PODS, "serviceName: tms-bridge-pods", "serviceName: tms-bridge", SERVICES),
    (
        POLICY,
        "      app.kubernetes.io/name: tms-bridge\n      app.kubernetes.io/instance: tms-bridge",
        "      {}",
        SELECTORS,
    ),
    (POLICY, "      app.kubernetes.io/instance: tms-bridge\n", "", SELECTORS),
    ("base/kustomization.yaml", "      app.kubernetes.io/instance: tms-bridge\n", "", SELECTORS),
    ("base/poddisruptionbudget.yaml", "maxUnavailable: 1", "maxUnavailable: 50%", BUDGET),
    (PODS, "runAsNonRoot: true", "runAsNonRoot: false", RESTRICTED),
    (PODS, "runAsUser: 10001", "runAsUser: 0", RESTRICTED),
    (PODS, "type: RuntimeDefault", "type: Unconfined", RESTRICTED),
    (PODS, "fsGroup: 10001", "supplementalGroups: [10001]", RESTRICTED),
    (PODS, "allowPrivilegeEscalation: false", "allowPrivilegeEscalation: true", RESTRICTED),
    (PODS, "allowPrivilegeEscalation: false", "privileged: true", RESTRICTED),
    (PODS, "drop: [ALL]", "drop: [NET_RAW]", RESTRICTED),
    (PODS, "readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false", RESTRICTED),
    (PODS, "automountServiceAccountToken: false", "automountServiceAccountToken: true", RESTRICTED),
    (PODS, "              cpu: 100m\n", "", RESOURCES),
    (PODS, "            limits:\n              memory: 256Mi\n", "", RESOURCES),
    (OVERLAY, "count: 2", "count: 1", SPREAD),
    (TOML, 'allow_from = ["skillable-tms"]', 'allow_from = ["any"]', TRAPS),
    (PODS, "terminationGracePeriodSeconds: 45", "terminationGracePeriodSeconds: 30", GRACE),
    (TOML, "drain_timeout_s = 20.0", "drain_timeout_s = 60.0", GRACE),
    (TOML, 'listen = ":8080"', 'listen = ":9090"', PORTS),
    (TOML, 'listen = ":8080"', 'listen = "0.0.0.0:8080"', PORTS),
    (TOML, 'listen = ":8081"', 'listen = "127.0.0.1:8081"', PORTS),
    (PODS, "containerPort: 8081", "containerPort: 9091", PORTS),
    (TOML, 'dir = "/var/lib/tms-bridge/outbox"', 'dir = "/tmp/outbox"', OUTBOX),
]


@pytest.fixture
def kustomize(checkout: Path) -> Path:
    return checkout / "deploy" / "kustomize"


def production(kustomize: Path, definitions: Path | None = None) -> list[str]:
    directory = kustomize / "overlays" / "production"
    verdicts = judge_overlay("overlays/production", directory, Schemas(definitions))
    return [
        verdict.sentence.removeprefix("overlays/production: ") for verdict in verdicts if verdict.complaints
    ]


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def add_to_production(kustomize: Path, name: str, text: str) -> None:
    (kustomize / "overlays" / "production" / name).write_text(text)
    change(kustomize / OVERLAY, "  - ../../base\n", f"  - ../../base\n  - {name}\n")


@pytest.mark.parametrize("name", ["dev", "openshift", "production"])
def test_an_overlay_passes(kustomize: Path, name: str) -> None:
    verdicts = judge_overlay(f"overlays/{name}", kustomize / "overlays" / name, Schemas(None))
    assert [] == [verdict for verdict in verdicts if verdict.complaints]


def test_the_base_passes_by_itself_and_holds_no_configuration(kustomize: Path) -> None:
    base = kustomize / "base"
    assert [] == [verdict for verdict in judge_base(base, Schemas(None)) if verdict.complaints]
    assert "ConfigMap" not in Rendering(render(base)).kinds


def test_every_component_is_judged_alone_and_with_every_other(kustomize: Path) -> None:
    names = {found.name for found in (kustomize / "components").iterdir()}
    judged = list(combinations(kustomize))
    assert {(name,) for name in names} <= set(judged)
    assert {frozenset((one, other)) for one in names for other in names} <= {
        frozenset(each) for each in judged
    }
    assert names == set().union(*(each for each in judged if len(each) > 2))


@pytest.mark.parametrize(("file", "old", "new", "sentence"), BREAKAGES)
def test_what_is_broken_is_found(kustomize: Path, file: str, old: str, new: str, sentence: str) -> None:
    change(kustomize / file, old, new)
    assert sentence in production(kustomize)


def test_claims_without_an_outbox_are_found(kustomize: Path) -> None:
    change(kustomize / TOML, '[outbox]\ndir = "/var/lib/tms-bridge/outbox"', "")
    assert [TRAPS, OUTBOX] == production(kustomize)


def test_a_committed_secret_is_found(kustomize: Path) -> None:
    add_to_production(kustomize, "secret.yaml", SECRET)
    assert [SECRETS] == production(kustomize)


@pytest.mark.parametrize(
    ("first", "after", "sentence"),
    [
        ("  volumeClaimTemplates:", None, CLAIM),
        ("      topologySpreadConstraints:", "      containers:", SPREAD),
        ("          livenessProbe:", "          resources:", PROBES),
    ],
)
def test_a_missing_part_is_found(kustomize: Path, first: str, after: str | None, sentence: str) -> None:
    path = kustomize / PODS
    before, _, rest = path.read_text().partition(first)
    path.write_text(before + (after + rest.partition(after)[2] if after else ""))
    assert sentence in production(kustomize)


def test_a_copy_that_was_not_filled_in_is_found(kustomize: Path) -> None:
    copy = shutil.copytree(kustomize / "overlays" / "production", kustomize / "overlays" / "mine")
    (last,) = (each for each in judge_overlay("overlays/mine", copy, Schemas(None)) if each.complaints)
    assert f"overlays/mine: {LOADS}" == last.sentence
    assert "CHANGE-ME" in last.complaints[0]


def test_a_component_that_breaks_another_is_found(kustomize: Path) -> None:
    change(
        kustomize / "components/rabbitmq/bridge.yaml",
        "    name: rabbitmq\n    mountPath",
        "    name: nothing\n    mountPath",
    )
    assert judge_combination(kustomize, ("diskless", "rabbitmq"), Schemas(None)).complaints


def test_what_a_component_wants_in_the_configuration_stands_in_its_own_file(kustomize: Path) -> None:
    toml = configuration(kustomize, ("rabbitmq",))
    assert 1 == toml.count("\nurls = ")
    assert "declare = false" in toml
    assert "?cafile=/run/secrets/rabbitmq/ca.crt" in toml


def test_a_second_installation_in_the_namespace_shares_no_selector(kustomize: Path) -> None:
    names = ("gateway", "monitoring", "networkpolicy", "rabbitmq")
    labels = [
        {
            "pairs": {"app.kubernetes.io/instance": "second"},
            "includeSelectors": True,
            "fields": [{"path": "spec/selector/matchLabels", "kind": "PodMonitor", "create": True}],
        }
    ]
    toml = configuration(kustomize, names)
    first, second = (
        render_together(kustomize, names, toml),
        render_together(kustomize, names, toml, nameSuffix="-second", labels=labels),
    )
    assert set() == {name_of(each) for each in first} & {name_of(each) for each in second}
    both = Rendering((*first, *second))
    makers = [maker for maker, _ in both.templates()]
    assert ["tms-bridge", "tms-bridge-second"] == sorted(makers)
    for service in both.of_kind(manifest.Service):
        chosen = [
            maker
            for maker, template in both.templates()
            if service.spec.selector.items() <= template.labels.items()
        ]
        assert [service.metadata.name.replace("-pods", "")] == chosen
    assert "'tms-bridge-second'" in str([each for each in second if each["kind"] == "HTTPRoute"])


def name_of(found: dict[str, object]) -> tuple[object, object]:
    metadata = found["metadata"]
    assert isinstance(metadata, dict)
    return found["kind"], metadata["name"]


def test_openshift_may_choose_user_and_group(kustomize: Path) -> None:
    pod = Rendering(render(kustomize / "overlays" / "openshift")).pod.security_context
    assert (None, None, True) == (pod.run_as_user, pod.fs_group, pod.run_as_non_root)


def test_without_a_disk_there_are_no_claims(kustomize: Path) -> None:
    rendering = Rendering(rendered(kustomize, ("diskless",)))
    assert isinstance(rendering.workload, manifest.Deployment)
    assert not [mount for mount in rendering.container.volume_mounts if mount.name == "outbox"]


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
  names: {{kind: {kind}}}
  versions:
    - name: v1
      schema:
        openAPIV3Schema:
          properties: {{spec: {{properties: {{target: {{type: {type}}}}}}}}}
"""

    @pytest.fixture
    def definitions(self, checkout: Path, kustomize: Path) -> Path:
        add_to_production(kustomize, "scaler.yaml", self.RESOURCE)
        directory = checkout / "crds"
        directory.mkdir()
        return directory

    def test_whose_group_nothing_defines_is_named_as_not_judged(
        self, kustomize: Path, definitions: Path
    ) -> None:
        schemas = Schemas(definitions)
        assert [] == list(schemas.complaints(render(kustomize / "overlays" / "production")))
        assert {"Scaler (example.com/v1)"} == schemas.unjudged

    def test_that_its_group_does_not_define_is_found(self, kustomize: Path, definitions: Path) -> None:
        (definitions / "scaler.yaml").write_text(self.DEFINITION.format(kind="Sealer", type="string"))
        assert [SCHEMA] == production(kustomize, definitions)

    def test_that_does_not_fit_its_definition_is_found(self, kustomize: Path, definitions: Path) -> None:
        (definitions / "scaler.yaml").write_text(self.DEFINITION.format(kind="Scaler", type="object"))
        assert [SCHEMA] == production(kustomize, definitions)

    def test_that_fits_passes(self, kustomize: Path, definitions: Path) -> None:
        (definitions / "scaler.yaml").write_text(self.DEFINITION.format(kind="Scaler", type="string"))
        assert [] == production(kustomize, definitions)


def test_a_wrong_kind_of_kubernetes_own_is_found(kustomize: Path) -> None:
    change(kustomize / "base/poddisruptionbudget.yaml", "kind: PodDisruptionBudget", "kind: PodBudget")
    assert SCHEMA in production(kustomize)
