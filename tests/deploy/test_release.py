from pathlib import Path

import pytest
import yaml

from checks.rendering import render
from release import _other_versions, contract_version, service_version, write_manifests

ROOT = Path(__file__).parents[2]
PINNED = "ghcr.io/somebody/tms-bridge@sha256:" + "0123456789abcdef" * 4


def test_image_and_manifests_have_the_version_of_the_service() -> None:
    assert [] == list(_other_versions(ROOT, service_version(ROOT)))


@pytest.mark.parametrize(
    "file",
    [
        "Dockerfile",
        "compose.yaml",
        "kustomize/base/kustomization.yaml",
        "kustomize/overlays/production/kustomization.yaml",
        "kustomize/overlays/dev/kustomization.yaml",
        "kustomize/components/allowlist-check/cronjob.yaml",
    ],
)
def test_a_file_that_a_new_version_forgot_is_named(checkout: Path, file: str) -> None:
    version = service_version(ROOT)
    path = checkout / "deploy" / file
    path.write_text(path.read_text().replace(version, "9.9.9"))
    (complaint,) = _other_versions(checkout, version)
    assert f"deploy/{file} says 9.9.9" == complaint


@pytest.mark.parametrize("name", ["base", "overlays/production", "overlays/openshift"])
def test_released_manifests_run_the_image_by_its_digest(tmp_path: Path, name: str) -> None:
    write_manifests(ROOT, PINNED, tmp_path / "manifests")
    text = yaml.safe_dump_all(render(tmp_path / "manifests" / name))
    assert f"image: {PINNED}" in text
    assert "registry.example.com" not in text


def test_the_component_with_an_image_of_its_own_is_pinned_too(tmp_path: Path) -> None:
    write_manifests(ROOT, PINNED, tmp_path / "manifests")
    assert PINNED in (tmp_path / "manifests/components/allowlist-check/cronjob.yaml").read_text()


def test_a_tag_does_not_pin_a_release(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is not NAME@sha256:DIGEST"):
        write_manifests(ROOT, "ghcr.io/somebody/tms-bridge:0.1.0", tmp_path / "manifests")


def test_the_contract_has_a_version_of_its_own() -> None:
    assert 3 == len(contract_version(ROOT).split("."))
