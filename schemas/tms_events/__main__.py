"""`python -m tms_events export DIR`: what a consumer may rely on, as files for every language."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tms_events.artefact.files import files
from tms_events.topics import EXCHANGE, PREFIX


def main(arguments: Sequence[str]) -> int:
    """Write the artefact into a directory, and print the name of each file."""
    parser = argparse.ArgumentParser(prog="python -m tms_events", description=__doc__)
    export = parser.add_subparsers(required=True, metavar="COMMAND").add_parser(
        "export", help="write JSON Schemas, AsyncAPI, TypeScript types and golden messages into DIR"
    )
    export.add_argument("directory", type=Path, metavar="DIR")
    export.add_argument("--exchange", default=EXCHANGE, help="the topic exchange, if it is another one")
    export.add_argument(
        "--prefix", default=PREFIX, help="the first word of routing keys, if it is another one"
    )
    options = parser.parse_args(arguments)
    for path in write(options.directory, options.exchange, (options.prefix,)):
        sys.stdout.write(f"{path}\n")
    return 0


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
