from pathlib import Path

import pytest

from checks.image import judge_image, unpinned

SYNC = "uv sync --locked --no-dev --no-editable"
BREAKAGES = [
    ("RUN install -d", "RUN cd / && install -d", "hadolint finds nothing in deploy/Dockerfile"),
    (
        "FROM ${BASE_IMAGE}\n",
        "FROM docker.io/library/debian:12\n",
        "builder and runtime share the build argument BASE_IMAGE",
    ),
    (":3.12-slim-bookworm", "", "the default base image is pinned by a tag"),
    (
        "ARG BASE_IMAGE=docker.io/library/python:3.12-slim-bookworm",
        "ARG BASE_IMAGE",
        "the default base image is pinned by a tag",
    ),
    (SYNC, "uv sync --no-dev", "dependencies come from uv.lock alone, without those of development"),
    (SYNC, "uv sync --locked", "dependencies come from uv.lock alone, without those of development"),
    ("--require-hashes", "", "what pip installs is checked by hash"),
    ("UV_NO_CACHE=1", "UV_OFFLINE=0", "no download cache is left"),
    (
        'CMD ["tms-bridge", "live"]',
        'CMD ["true"]',
        "its health is asked through the CLI, and does not depend on the broker",
    ),
    (
        "org.opencontainers.image.revision",
        "org.opencontainers.image.ref",
        "its labels say source, version and revision",
    ),
    ("USER 10001:0", "USER root", "it runs as a numeric user other than root"),
    ("USER 10001:0", "USER 0", "it runs as a numeric user other than root"),
    ("USER 10001:0", "", "it runs as a numeric user other than root"),
    (
        'ENTRYPOINT ["tms-bridge"]',
        'ENTRYPOINT ["sh", "-c", "tms-bridge"]',
        "signals reach tms-bridge, without a shell between",
    ),
]


def failures(checkout: Path) -> list[str]:
    return [verdict.sentence for verdict in judge_image(checkout) if verdict.complaints]


def test_the_dockerfile_passes(checkout: Path) -> None:
    assert [] == failures(checkout)


@pytest.mark.parametrize(("old", "new", "sentence"), BREAKAGES)
def test_a_broken_dockerfile_is_found(checkout: Path, old: str, new: str, sentence: str) -> None:
    dockerfile = checkout / "deploy" / "Dockerfile"
    text = dockerfile.read_text()
    assert old in text
    dockerfile.write_text(text.replace(old, new))
    assert f"image: {sentence}" in failures(checkout)


def test_one_stage_alone_is_found(checkout: Path) -> None:
    dockerfile = checkout / "deploy" / "Dockerfile"
    dockerfile.write_text(
        dockerfile.read_text().replace("FROM ${BASE_IMAGE}\n", "").replace("--from=builder ", "")
    )
    assert "image: builder and runtime share the build argument BASE_IMAGE" in failures(checkout)


@pytest.mark.parametrize(
    "image", ["rabbitmq:4.2", "registry.example.com:5000/tms-bridge:1.0", "tms-bridge@sha256:" + "0" * 64]
)
def test_a_tag_or_a_digest_pins_an_image(image: str) -> None:
    assert [] == list(unpinned(image))


@pytest.mark.parametrize("image", ["rabbitmq", "rabbitmq:latest", "registry.example.com:5000/tms-bridge"])
def test_no_tag_or_a_moving_one_does_not(image: str) -> None:
    assert [f"the image {image} is not pinned by a tag"] == list(unpinned(image))
