"""Compares two commits of the bridge, round by round, and says what became slower beyond noise.

    make bench-check BASE=main~5 [HEAD=HEAD] [ROUNDS=8]

Each commit is checked out into a worktree with an environment of its own. Both bridges run at the same time
and are measured in turn, so that what slows the machine down slows both. A ratio counts as a change when its
median differs by more than two percent and 95 % of the resampled medians lie on one side of one.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from brokers import best_installation, broker, place
from comparison import Figures, Rounds, measure_full, measure_paced
from rabbitmq import Node
from receivers import BUILD, ROOT, Receiver, bridge
from samples import interval, ratios, spread

_NEGLIGIBLE = 0.02
_SIDES = ("base", "head")
_FIGURES = (
    ("CPU per event at saturation", "full", "cpu_us", False),
    ("answers per second", "full", "per_second", True),
    ("published per second", "full", "published_per_s", True),
    ("p99 at saturation", "full", "p99_ms", False),
    ("CPU per event at 1,000/s", "paced", "cpu_us", False),
    ("p99 at 1,000/s", "paced", "p99_ms", False),
    ("peak memory", "full", "peak_rss_mb", False),
)
"""What is compared: its name, where it stands, and whether more is better."""


@contextmanager
def checked_out(commit: str, side: str) -> Iterator[Path]:
    """Yield the bridge's program as of a commit."""
    place_of_tree = BUILD / "check" / side
    _git("worktree", "add", "--force", "--detach", str(place_of_tree), commit)
    try:
        environment = os.environ | {"UV_PROJECT_ENVIRONMENT": str(place_of_tree / ".venv")}
        environment.pop("VIRTUAL_ENV", None)
        command = [_uv(), "sync", "--locked", "--quiet", "--no-default-groups"]
        subprocess.run(command, cwd=place_of_tree, env=environment, check=True)
        yield place_of_tree / ".venv" / "bin" / "tms-bridge"
    finally:
        _git("worktree", "remove", "--force", str(place_of_tree))


def _git(*arguments: str) -> None:
    subprocess.run(["git", "-C", str(ROOT), *arguments], check=True, capture_output=True)


def _uv() -> str:
    own = ROOT / ".venv" / "bin" / "uv"
    return str(own) if own.exists() else "uv"


def measure(programs: Sequence[Path], rounds: int, *, journal: bool) -> tuple[Rounds, Rounds]:
    """Measure both, in turn."""
    with broker(best_installation()) as node, ExitStack() as closing:
        both = [
            _start(node, side, program, closing, journal=journal)
            for side, program in zip(_SIDES, programs, strict=True)
        ]
        full: Rounds = {side: [] for side in _SIDES}
        paced: Rounds = {side: [] for side in _SIDES}
        for number in range(rounds):
            for receiver in both if number % 2 else reversed(both):
                full[receiver.name].append(measure_full(receiver, 3))
                paced[receiver.name].append(measure_paced(receiver, 2))
            print(f"bench-check: round {number + 1} of {rounds}", file=sys.stderr, flush=True)
    return full, paced


def _start(node: Node, side: str, program: Path, closing: ExitStack, *, journal: bool) -> Receiver:
    receiver = bridge(place(node, side), journal=journal, program=program, name=side)
    closing.callback(receiver.close)
    receiver.start()
    measure_full(receiver, 1)
    return receiver


def judge(full: Rounds, paced: Rounds) -> list[str]:
    """Print every ratio; return the names of what became worse beyond noise."""
    worse: list[str] = []
    for text, where, figure, more_is_better in _FIGURES:
        rounds = full if where == "full" else paced
        found = ratios(_column(rounds["head"], figure), _column(rounds["base"], figure))
        low, high = interval(found)
        verdict = _verdict(spread(found).median, low, high, more_is_better=more_is_better)
        print(f"{text:30} head/base {spread(found).median:.3f}  [{low:.3f}, {high:.3f}]  {verdict}")
        if verdict == "WORSE":
            worse.append(text)
    return worse


def _column(rounds: Sequence[Figures], figure: str) -> list[float]:
    return [one[figure] for one in rounds]


def _verdict(median: float, low: float, high: float, *, more_is_better: bool) -> str:
    if low <= 1.0 <= high or abs(median - 1.0) < _NEGLIGIBLE:
        return "same"
    return "better" if (median > 1.0) == more_is_better else "WORSE"


def main(arguments: Sequence[str]) -> int:
    """Compare; exit 1 when something became worse."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("base", help="the commit to compare with")
    parser.add_argument("head", nargs="?", default="HEAD", help="the commit that is judged")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--no-disk", action="store_true", help="without the journal")
    chosen = parser.parse_args(arguments)
    with checked_out(chosen.base, "base") as base, checked_out(chosen.head, "head") as head:
        worse = judge(*measure([base, head], chosen.rounds, journal=not chosen.no_disk))
    print(f"slower beyond noise: {', '.join(worse)}" if worse else "nothing became slower beyond noise")
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
