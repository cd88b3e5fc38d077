"""`python -m tms_events`: write what a consumer may rely on, or compare it with what was released."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tms_events.artefact.compatibility import compare, releases
from tms_events.artefact.files import files
from tms_events.topics import EXCHANGE, PREFIX


def main(arguments: Sequence[str]) -> int:
    """Run one command, and return its exit code: 1 where a contract breaks a released one."""
    parser = argparse.ArgumentParser(prog="python -m tms_events", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")
    export = commands.add_parser(
        "export", help="write JSON Schemas, AsyncAPI, TypeScript types and golden messages into DIR"
    )
    export.add_argument("directory", type=Path, metavar="DIR")
    export.add_argument("--exchange", default=EXCHANGE, help="the topic exchange, if it is another one")
    export.add_argument(
        "--prefix", default=PREFIX, help="the first word of routing keys, if it is another one"
    )
    gate = commands.add_parser("compare", help="say what the contract in DIR breaks of the RELEASED ones")
    gate.add_argument("released", type=Path, metavar="RELEASED", help="a directory of them, named by version")
    gate.add_argument("directory", type=Path, metavar="DIR")
    options = parser.parse_args(arguments)
    if options.command == "compare":
        return _compare(options.released, options.directory)
    for path in write(options.directory, options.exchange, (options.prefix,)):
        sys.stdout.write(f"{path}\n")
    return 0


def _compare(released: Path, directory: Path) -> int:
    found = {release.name: compare(release, directory) for release in releases(released)}
    for version, breaks in found.items():
        for one in breaks:
            sys.stdout.write(f"breaks {version}: {one.place} {one.reason}\n")
        if not breaks:
            sys.stdout.write(f"keeps {version}\n")
    return 1 if any(found.values()) or not found else 0


def write(directory: Path, exchange: str, prefixes: tuple[str, ...]) -> list[Path]:
    """Write the artefact into a directory, which is made where it is missing, and return each path.

    Raises:
        OSError: a file cannot be written.
    """
    written = []
    for name, content in files(exchange, prefixes).items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        written.append(path)
    return written


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
