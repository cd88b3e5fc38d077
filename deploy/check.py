"""Checks everything in deploy/, with a line for each check; exits 1 if one fails."""

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from checks.compose import judge_compose
from checks.image import judge_image
from checks.kubernetes import judge_kustomizations
from checks.schemas import Schemas
from checks.verdict import Verdict


def verdicts(root: Path, definitions: Path | None = None) -> Iterator[Verdict]:
    """Check image, compose file and every kustomization under the root of a checkout."""
    yield from judge_image(root)
    yield from judge_compose(root)
    yield from judge_kustomizations(root, Schemas(definitions))


def main(arguments: Sequence[str]) -> int:
    """Print every verdict; return the exit code."""
    options = _parser().parse_args(arguments)
    failed = 0
    for verdict in verdicts(options.root, options.crds):
        print(f"{'WRONG' if verdict.complaints else 'ok':5} {verdict.sentence}")
        for complaint in verdict.complaints:
            print(f"      {complaint}")
        failed += bool(verdict.complaints)
    print(f"{failed} of the checks failed" if failed else "everything in deploy/ is as it should be")
    return 1 if failed else 0


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
    return parser


def _directory(text: str) -> Path:
    path = Path(text)
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"{text} is no directory")
    return path


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
