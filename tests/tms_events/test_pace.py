"""What decoding costs beside bare msgspec, by CPU time within one run."""

import time
from collections.abc import Callable

import msgspec
import pytest

from tms_events import Event, decode, encode
from tms_events.testing import make_event

FEWEST_ROUNDS, MOST_ROUNDS = 50, 1000
CALLS = 200


def ratio(
    bare: Callable[[bytes], object], ours: Callable[[bytes], object], body: bytes, enough: float
) -> float:
    """Return how much more CPU time ours takes, by the least of each; a busy machine gets more rounds.

    Both take turns, so that what disturbs one disturbs the other, and the least of many is what undisturbed
    calls take: more rounds bring it nearer to the truth, and never below.
    """
    least = [float("inf"), float("inf")]
    for number in range(MOST_ROUNDS):
        least = [min(known, cpu_s(call, body)) for known, call in zip(least, (bare, ours), strict=True)]
        if number > FEWEST_ROUNDS and least[1] <= enough * least[0]:
            break
    return least[1] / least[0]


def cpu_s(call: Callable[[bytes], object], body: bytes) -> float:
    begin = time.process_time()
    for _ in range(CALLS):
        call(body)
    return time.process_time() - begin


@pytest.mark.parametrize("status", ["scheduled", "unknown", "archived"])
def test_decoding_costs_at_most_a_fifth_more_than_bare_msgspec(status: str) -> None:
    body = encode(make_event("class", status, name="Azure Fundamentals", instructor_ids=(91, 92)))
    assert ratio(msgspec.json.Decoder(Event).decode, decode, body, 1.2) <= 1.2
