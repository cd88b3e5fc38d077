"""Checks everything in deploy/, with a line for each check; exits 1 if one fails."""

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml

from checks.combinations import rendered, together
from checks.compose import judge_compose
from checks.image import judge_image
from checks.kubernetes import judge_kustomizations
from checks.rendering import Object, render
from checks.schemas import Schemas
from checks.unit import judge_unit
from checks.verdict import Verdict


def verdicts(root: Path, schemas: Schemas) -> Iterator[Verdict]:
    """Check image, compose file, unit and every kustomization under the root of a checkout."""
    yield from judge_image(root)
    yield from judge_compose(root)
    yield from judge_unit(root)
    yield from judge_kustomizations(root, schemas)


def main(arguments: Sequence[str]) -> int:
    """Print every verdict; return the exit code."""
    options = _parser().parse_args(arguments)
    if options.render:
        write_renderings(options.root, options.render)
        return 0
    failed = 0
    schemas = Schemas(options.crds)
    for verdict in verdicts(options.root, schemas):
        print(f"{'WRONG' if verdict.complaints else 'ok':5} {verdict.sentence}")
        for complaint in verdict.complaints:
            print(f"      {complaint}")
        failed += bool(verdict.complaints)
    for kind in sorted(schemas.unjudged):
        print(f"note  {kind} was not judged: CRD_DIR names no directory that defines its group")
    print(f"{failed} of the checks failed" if failed else "everything in deploy/ is as it should be")
    return 1 if failed else 0


def write_renderings(root: Path, directory: Path) -> None:
    """Write each overlay, and all components together, as a file: what another tool may look at."""
    kustomize = root / "deploy" / "kustomize"
    directory.mkdir(parents=True, exist_ok=True)
    for found in sorted(kustomize.glob("overlays/*/kustomization.yaml")):
        _write(directory / f"{found.parent.name}.yaml", render(found.parent))
    for way_in, names in together(kustomize).items():
        _write(directory / f"all-with-{way_in}.yaml", rendered(kustomize, names, namespace="tms-bridge"))


def _write(path: Path, objects: tuple[Object, ...]) -> None:
    path.write_text(yaml.safe_dump_all(objects, sort_keys=False))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--root", type=Path, default=Path(__file__).parent.parent, help="the checkout to look at"
    )
    parser.add_argument(
        "--crds",
        type=_directory,
        default=os.environ.get("CRD_DIR") or None,
        help="directory of CustomResourceDefinitions, for kinds that Kubernetes itself does not know",
    )
    parser.add_argument(
        "--render",
        type=Path,
        metavar="DIR",
        help="write every rendering to this directory, and check nothing",
    )
    return parser


def _directory(text: str) -> Path:
    path = Path(text)
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"{text} is no directory")
    return path


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
