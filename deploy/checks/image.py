"""The Dockerfile: locked, not root, one base image for both stages, nothing left behind."""

import re
import subprocess
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from checks.verdict import Check, Verdict, judge

_STAGES: Final = 2
_SHELL_WORDS: Final = re.compile(r"\\\n\s*")


def judge_image(root: Path) -> Iterator[Verdict]:
    """Check deploy/Dockerfile under the root of a checkout."""
    yield from judge("image", root / "deploy" / "Dockerfile", _CHECKS)


def _instructions(dockerfile: Path) -> list[tuple[str, str]]:
    lines = [line for line in dockerfile.read_text().splitlines() if not line.lstrip().startswith("#")]
    joined = _SHELL_WORDS.sub(" ", "\n".join(lines))
    words = (line.partition(" ") for line in joined.splitlines() if line.strip())
    return [(word.upper(), rest.strip()) for word, _, rest in words]


def _arguments(dockerfile: Path, instruction: str) -> list[str]:
    return [rest for word, rest in _instructions(dockerfile) if word == instruction]


def _lint(dockerfile: Path) -> Iterator[str]:
    hadolint = Path(sysconfig.get_path("scripts")) / "hadolint"
    done = subprocess.run(
        [hadolint, "--no-color", dockerfile], capture_output=True, text=True, check=False, cwd="/"
    )
    if done.returncode != 0:
        yield from (done.stdout + done.stderr).strip().splitlines() or ["hadolint failed without a word"]


def _one_base(dockerfile: Path) -> Iterator[str]:
    stages = _arguments(dockerfile, "FROM")
    if len(stages) < _STAGES:
        yield "there is one stage alone, so what built the image is left in it"
    for stage in stages:
        if stage.split()[0] not in {"${BASE_IMAGE}", "$BASE_IMAGE"}:
            yield f"`FROM {stage}` does not start from ${{BASE_IMAGE}}"


def _default_base(dockerfile: Path) -> Iterator[str]:
    defaults = [rest for rest in _arguments(dockerfile, "ARG") if rest.startswith("BASE_IMAGE=")]
    if not defaults:
        yield "ARG BASE_IMAGE has no default"
    for default in defaults:
        yield from unpinned(default.partition("=")[2])


def _user(dockerfile: Path) -> Iterator[str]:
    users = _arguments(dockerfile, "USER")
    if not users:
        yield "there is no USER, so the bridge would run as root"
    elif not re.fullmatch(r"[1-9]\d*(:\d+)?", users[-1]):
        yield f"USER {users[-1]} is not a number above 0, so Kubernetes cannot see that it is not root"


def _locked(dockerfile: Path) -> Iterator[str]:
    syncs = [rest for rest in _arguments(dockerfile, "RUN") if "uv sync" in rest]
    if not syncs:
        yield "nothing runs `uv sync`"
    for sync in syncs:
        for option in ("--locked", "--no-dev"):
            if option not in sync.split():
                yield f"`{sync}` lacks {option}"


def _hashed(dockerfile: Path) -> Iterator[str]:
    for run in _arguments(dockerfile, "RUN"):
        if "pip install" in run and "--require-hashes" not in run:
            yield f"`{run}` takes whatever the index serves: add --require-hashes"


def _no_cache(dockerfile: Path) -> Iterator[str]:
    runs = _arguments(dockerfile, "RUN")
    if any("pip install" in run and "--no-cache-dir" not in run for run in runs):
        yield "pip keeps a cache: add --no-cache-dir"
    if not any("UV_NO_CACHE=1" in rest for rest in _arguments(dockerfile, "ENV")):
        yield "uv keeps a cache: set UV_NO_CACHE=1"


def _entrypoint(dockerfile: Path) -> Iterator[str]:
    found = _arguments(dockerfile, "ENTRYPOINT")
    if found != ['["tms-bridge"]']:
        yield f'ENTRYPOINT is {found}, not ["tms-bridge"]: through a shell SIGTERM would not arrive'


def _health(dockerfile: Path) -> Iterator[str]:
    found = _arguments(dockerfile, "HEALTHCHECK")
    if not found or not found[-1].endswith('CMD ["tms-bridge", "live"]'):
        yield f"HEALTHCHECK is {found}, not `tms-bridge live`, which a broker outage does not fail"


def _labels(dockerfile: Path) -> Iterator[str]:
    labels = " ".join(_arguments(dockerfile, "LABEL"))
    for name in ("source", "version", "revision", "licenses"):
        if f"org.opencontainers.image.{name}=" not in labels:
            yield f"the label org.opencontainers.image.{name} is missing"


def unpinned(image: str) -> Iterator[str]:
    """Complain about an image without a tag, or with one that moves."""
    _, colon, tag = image.rpartition("/")[2].partition(":")
    if "@sha256:" not in image and (not colon or tag == "latest"):
        yield f"the image {image} is not pinned by a tag"


_CHECKS: Final[tuple[Check[Path], ...]] = (
    ("hadolint finds nothing in deploy/Dockerfile", _lint),
    ("builder and runtime share the build argument BASE_IMAGE", _one_base),
    ("the default base image is pinned by a tag", _default_base),
    ("dependencies come from uv.lock alone, without those of development", _locked),
    ("what pip installs is checked by hash", _hashed),
    ("no download cache is left", _no_cache),
    ("it runs as a numeric user other than root", _user),
    ("signals reach tms-bridge, without a shell between", _entrypoint),
    ("its health is asked through the CLI, and does not depend on the broker", _health),
    ("its labels say source, version and revision", _labels),
)
