"""What a release needs: `check` says whether its parts agree, `manifests` pins the image that was pushed.

.venv/bin/python deploy/release.py check
.venv/bin/python deploy/release.py manifests --image REGISTRY/NAME@sha256:... --to DIR
"""

import argparse
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import tomllib
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec
import yaml

from checks.rendering import render
from checks.verdict import Verdict

ROOT: Final = Path(__file__).resolve().parents[1]
_IMAGE: Final = "registry.example.com/tms-bridge"
_PINNED: Final = re.compile(r"[\w.:/-]+@sha256:[0-9a-f]{64}")
_VERSIONED: Final = (
    ("deploy/Dockerfile", r"^ARG VERSION=(\S+)"),
    ("deploy/compose.yaml", r"image: tms-bridge:(\S+)"),
    ("deploy/kustomize/base/kustomization.yaml", r"newTag: (\S+)"),
    ("deploy/kustomize/overlays/production/kustomization.yaml", r"newTag: (\S+)"),
    ("deploy/kustomize/overlays/dev/kustomization.yaml", r"newTag: (\S+)"),
    ("deploy/kustomize/components/allowlist-check/cronjob.yaml", rf"image: {re.escape(_IMAGE)}:(\S+)"),
)
_WHEELS: Final = {
    "tms_bridge": ("tms_bridge/py.typed", "tms_bridge/auth/skillable-tms.json"),
    "tms_events": ("tms_events/py.typed",),
}


class _Npm(msgspec.Struct):
    version: str


def service_version(root: Path) -> str:
    """Return the version of service, image and manifests: the one place is pyproject.toml."""
    return str(tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"])


def contract_version(root: Path) -> str:
    """Return the version of the message contract: the one place is the package itself."""
    text = (root / "schemas" / "tms_events" / "__init__.py").read_text()
    (version,) = re.findall(r'^__version__ = "(.+)"$', text, re.MULTILINE)
    return str(version)


def verdicts(root: Path) -> Iterator[Verdict]:
    """Check that everything that is released together says the same."""
    service, contract = service_version(root), contract_version(root)
    yield Verdict(f"image and manifests are those of {service}", tuple(_other_versions(root, service)))
    npm = msgspec.json.decode((root / "schemas" / "package.json").read_bytes(), type=_Npm).version
    yield Verdict(f"the npm package is {contract} too", () if npm == contract else (f"it is {npm}",))
    with tempfile.TemporaryDirectory() as directory:
        yield from _wheels(root, Path(directory), {"tms_bridge": service, "tms_events": contract})
    yield Verdict("the changelog can be built from its fragments", tuple(_changelog(root, service)))
    with tempfile.TemporaryDirectory() as directory:
        pinned = f"{_IMAGE}@sha256:{'0' * 64}"
        write_manifests(root, pinned, Path(directory, "manifests"))
        yield Verdict(
            "released manifests run the image by its digest", tuple(_unpinned(Path(directory), pinned))
        )


def write_manifests(root: Path, image: str, to: Path) -> None:
    """Copy the kustomization, with the image's digest in the place of every tag.

    Raises:
        ValueError: the image is not named by a digest.
    """
    if not _PINNED.fullmatch(image):
        raise ValueError(f"{image} is not NAME@sha256:DIGEST")
    name, _, digest = image.partition("@")
    shutil.copytree(root / "deploy" / "kustomize", to)
    for file in to.rglob("*.yaml"):
        text = file.read_text()
        text = re.sub(rf"{re.escape(_IMAGE)}:\S+", image, text)
        text = text.replace(_IMAGE, name)
        text = re.sub(r"newTag: \S+", f"digest: {digest}", text)
        file.write_text(text)


def _other_versions(root: Path, version: str) -> Iterator[str]:
    for file, pattern in _VERSIONED:
        found = re.findall(pattern, (root / file).read_text(), re.MULTILINE)
        if found != [version]:
            yield f"{file} says {', '.join(found) or 'nothing'}"


def _wheels(root: Path, directory: Path, versions: dict[str, str]) -> Iterator[Verdict]:
    uv = Path(sysconfig.get_path("scripts")) / "uv"
    command = [str(uv), "build", "--all-packages", "--quiet", "--out-dir", str(directory)]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        yield Verdict("both packages can be built", (done.stderr.strip(),))
        return
    for name, version in versions.items():
        file = directory / f"{name}-{version}-py3-none-any.whl"
        sentence = f"the wheel of {name} is {version}, with its data and licence"
        if not file.exists():
            yield Verdict(sentence, tuple(f"there is {found.name}" for found in directory.glob(f"{name}*")))
            continue
        inside = zipfile.ZipFile(file).namelist()
        missing = [part for part in _WHEELS[name] if part not in inside]
        yield Verdict(sentence, tuple(f"{part} is not in it" for part in missing))


def _changelog(root: Path, version: str) -> Iterator[str]:
    towncrier = Path(sysconfig.get_path("scripts")) / "towncrier"
    command = [str(towncrier), "build", "--draft", "--version", version]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    built = f"\n## {version} (" in (root / "CHANGELOG.md").read_text()
    if done.returncode != 0:
        yield done.stderr.strip()
    elif "No significant changes" in done.stdout and not built:
        yield f"there is neither a fragment nor a section for {version}"


def _unpinned(directory: Path, image: str) -> Iterator[str]:
    for name in ("base", "overlays/production", "overlays/openshift"):
        text = yaml.safe_dump_all(render(directory / "manifests" / name))
        if f"image: {image}" not in text:
            yield f"{name} does not run {image}"


def main(arguments: Sequence[str]) -> int:
    """Do what is asked; return the exit code."""
    options = _parser().parse_args(arguments)
    if options.what == "manifests":
        write_manifests(options.root, options.image, options.to)
        return 0
    failed = 0
    for verdict in verdicts(options.root):
        print(f"{'WRONG' if verdict.complaints else 'ok':5} release: {verdict.sentence}")
        for complaint in verdict.complaints:
            print(f"      {complaint}")
        failed += bool(verdict.complaints)
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", type=Path, default=ROOT, help="the checkout to look at")
    commands = parser.add_subparsers(dest="what", required=True)
    commands.add_parser("check", help="say whether the parts of a release agree")
    manifests = commands.add_parser("manifests", help="write the kustomization for a pushed image")
    manifests.add_argument("--image", required=True, help="NAME@sha256:DIGEST")
    manifests.add_argument("--to", type=Path, required=True, help="a directory that is not there yet")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
