"""`tms-events`: write the contract, compare it with released ones, or torture a consumer."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tms_events.artefact.compatibility import compare, releases
from tms_events.artefact.files import files
from tms_events.topics import EXCHANGE, PREFIX


def main(arguments: Sequence[str]) -> int:
    """Run one command, and return its exit code: 1 where a contract breaks a released one."""
    parser = argparse.ArgumentParser(prog="tms-events", description=__doc__)
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
    commands.add_parser("torture", help="do to a consumer what may happen to it; tell what it did wrong")
    if arguments[:1] == ["torture"]:
        return _torture(arguments[1:])
    options = parser.parse_args(arguments)
    if options.command == "compare":
        return _compare(options.released, options.directory)
    for path in write(options.directory, options.exchange, (options.prefix,)):
        sys.stdout.write(f"{path}\n")
    return 0


def _torture(arguments: Sequence[str]) -> int:
    """Run the command that needs an AMQP client, which readers of messages do without."""
    try:
        from tms_events.torture import command  # noqa: PLC0415 - see above
    except ModuleNotFoundError as error:
        sys.stderr.write(f"{error}: pip install 'tms-events[torture]'\n")
        return 2
    return command.main(arguments)


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


def run() -> None:
    """Run the command `tms-events`."""
    sys.exit(main(sys.argv[1:]))


if __name__ == "__main__":
    run()
