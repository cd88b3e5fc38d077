import sys

import pytest

from tms_bridge.auth import Throttle
from tms_bridge.auth.throttle import ALLOWANCE, PACE_S


def strikes_until_refused(throttle: Throttle, address: str, now: float = 0.0) -> int:
    count = 0
    while throttle.refusal(address, now) is None and count < 1000:
        throttle.strike(address, now)
        count += 1
    return count


def test_an_address_may_be_wrong_so_often_and_then_waits() -> None:
    throttle = Throttle()
    refused_after = strikes_until_refused(throttle, "192.0.2.1")
    refusal = throttle.refusal("192.0.2.1", 0.0)

    assert ALLOWANCE == refused_after
    assert refusal is not None
    assert (429, 1) == (refusal.status, refusal.retry_after_s)


def test_after_retry_after_there_is_one_more() -> None:
    throttle = Throttle()
    strikes_until_refused(throttle, "192.0.2.1")

    assert 1 == strikes_until_refused(throttle, "192.0.2.1", PACE_S)
    assert ALLOWANCE == strikes_until_refused(throttle, "192.0.2.1", 1000 * PACE_S)


def test_another_address_has_its_own_allowance() -> None:
    throttle = Throttle()
    strikes_until_refused(throttle, "192.0.2.1")

    assert throttle.refusal("192.0.2.2", 0.0) is None


@pytest.mark.parametrize(
    ("address", "other", "shared"),
    [
        ("2001:db8::1", "2001:db8::ffff:2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("fe80::1%eth0", "fe80::2%eth0", True),
        ("", "", True),
    ],
)
def test_an_ipv6_network_is_one_address(address: str, other: str, shared: bool) -> None:  # noqa: FBT001 - pytest's way
    throttle = Throttle()
    strikes_until_refused(throttle, address)

    assert shared == (throttle.refusal(other, 0.0) is not None)


def test_the_more_wrong_credentials_the_later_the_answer() -> None:
    throttle = Throttle()
    delays_s = [throttle.strike("192.0.2.1", 0.0) for _ in range(ALLOWANCE)]

    assert [0.0] * 20 == delays_s[:20]
    assert sorted(delays_s) == delays_s
    assert 0.2 < delays_s[-1] <= 0.25


def test_the_memory_is_the_same_however_many_addresses_guess() -> None:
    throttle = Throttle()
    before = sys.getsizeof(throttle._full_at)
    for number in range(100_000):
        throttle.strike(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 0.0)

    assert before == sys.getsizeof(throttle._full_at) < 200_000
