"""`make siege`: attacks that need no credentials, beside an honest sender, with a verdict.

python -m tests.siege --seconds 60 --docs
"""

import argparse
import itertools
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec
from tests import certificates
from tests.faults.subject import ROOT
from tests.siege.attacks import ATTACKS
from tests.siege.besieged import MEMORY_BYTES, Besieged
from tests.siege.cage import Cage, NoCageError
from tests.siege.scenes import Stage
from tests.siege.verdict import Outcome, Scene, in_words, refresh

from program import ProgramFailedError
from rabbitmq import Node

PAGE: Final = ROOT / "docs" / "security.md"
TOGETHER: Final = "together"


class Setting(msgspec.Struct, frozen=True):
    """One bridge, and the scenes that are played on it: the calm first."""

    tls: frozenset[str]
    scenes: list[tuple[str, list[str]]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Lay siege and tell; 0 when everything held, 1 when not."""
    parser = argparse.ArgumentParser(prog="make siege", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long each scene is")
    parser.add_argument("--attacks", nargs="+", choices=[*ATTACKS, TOGETHER], default=[*ATTACKS, TOGETHER])
    parser.add_argument(
        "--floor-ms", type=float, default=0.0, help="what takes no longer is good in any case"
    )
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--docs", action="store_true", help="put the table into docs/security.md")
    options = parser.parse_args(arguments)
    try:
        outcome = lay_siege(options.attacks, options.seconds, options.floor_ms)
    except ProgramFailedError as error:
        say(str(error))
        return 1
    say(in_words(outcome))
    if options.json:
        options.json.write_bytes(msgspec.json.format(msgspec.json.encode(outcome)))
    if options.docs:
        when = datetime.now(UTC).date().isoformat()
        PAGE.write_text(refresh(PAGE.read_text(), outcome, when))
    return 0 if outcome.passed else 1


def lay_siege(attacks: Sequence[str], seconds: float, floor_ms: float) -> Outcome:
    """Play the scenes of these attacks."""
    scenes: list[Scene] = []
    words = ""
    settings = list(_settings(attacks))
    total = sum(len(setting.scenes) for setting in settings)
    with Node() as node, tempfile.TemporaryDirectory(prefix="tms-siege-") as name:
        numbers = itertools.count(1)
        for setting in settings:
            calm_ms = scenes[0].p99_ms if setting.scenes[0][1] else 0.0
            pair = certificates.make(Path(name), "siege")
            cage, words = _cage()
            with Besieged(node.url, cage, pair, setting.tls) as besieged:
                stage = Stage(besieged, cage, node.url, Path(name))
                stage.warm_up()
                for title, names in setting.scenes:
                    say(f"[{next(numbers)}/{total}] {title}, {seconds:g} s")
                    scene = stage.play(title, names, seconds, calm_ms)
                    calm_ms = calm_ms or scene.p99_ms
                    scenes.append(scene)
                    say(json.dumps(msgspec.to_builtins(scene)))
    return Outcome(cage=words, seconds=seconds, floor_ms=floor_ms, scenes=scenes)


def _cage() -> tuple[Cage | None, str]:
    """Return what holds the bridge's memory, and the words for it."""
    try:
        return Cage.build(MEMORY_BYTES), "256 MiB in a memory cgroup"
    except NoCageError as error:
        return None, f"no cgroup ({error}): killed when seen above 256 MiB"


def _settings(attacks: Sequence[str]) -> Iterator[Setting]:
    """Yield the bridges that these attacks need: in the clear, encrypted, and one for all together."""
    names = [name for name in attacks if name != TOGETHER]
    for tls in (frozenset[str](), frozenset({"http", "admin"})):
        played = [(ATTACKS[name].title, [name]) for name in names if ATTACKS[name].tls == tls]
        if played or not tls:
            yield Setting(tls, [(f"calm{', encrypted' if tls else ''}", []), *played])
    if TOGETHER in attacks:
        yield Setting(frozenset({"admin"}), [("all of them together", list(ATTACKS))])


def say(text: str) -> None:
    """Tell the person who waits."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
