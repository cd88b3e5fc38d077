import ipaddress
from datetime import date

import pytest

from tms_bridge.auth.allowlist import Allowlist, published


@pytest.mark.parametrize(
    ("entries", "inside", "outside"),
    [
        pytest.param(["203.0.113.7"], ["203.0.113.7"], ["203.0.113.8", "2001:db8::1"], id="bare IPv4"),
        pytest.param(
            ["203.0.113.0/30"], ["203.0.113.0", "203.0.113.3"], ["203.0.113.4", "203.0.112.255"], id="CIDR"
        ),
        pytest.param(["203.0.113.9/30"], ["203.0.113.8", "203.0.113.11"], ["203.0.113.7"], id="host bits"),
        pytest.param(["2001:db8::7"], ["2001:db8::7"], ["2001:db8::8", "203.0.113.7"], id="bare IPv6"),
        pytest.param(["2001:db8::/32"], ["2001:db8:ffff::1"], ["2001:db9::"], id="IPv6 CIDR"),
        pytest.param(["::ffff:203.0.113.7"], ["203.0.113.7"], ["203.0.113.8"], id="mapped IPv4"),
        pytest.param(["::ffff:203.0.113.0/120"], ["203.0.113.255"], ["203.0.114.0"], id="mapped IPv4 CIDR"),
        pytest.param(["0.0.0.0/0"], ["203.0.113.7"], ["2001:db8::1"], id="all of IPv4"),
        pytest.param(["::/0"], ["2001:db8::1"], ["203.0.113.7"], id="all of IPv6"),
        pytest.param(
            ["203.0.113.0/24", "198.51.100.7", "192.0.2.0/24"],
            ["203.0.113.1", "198.51.100.7", "192.0.2.255"],
            ["198.51.100.8"],
            id="several",
        ),
        pytest.param(["any"], ["203.0.113.7", "2001:db8::1"], [], id="any"),
        pytest.param(
            ["skillable-tms"], ["13.65.147.174", "172.206.138.103"], ["13.65.147.175"], id="skillable-tms"
        ),
        pytest.param(
            ["skillable-tms", "127.0.0.1"],
            ["13.65.147.174", "127.0.0.1"],
            ["127.0.0.2"],
            id="a word and an address",
        ),
        pytest.param([], [], ["127.0.0.1"], id="nothing"),
    ],
)
def test_an_allowlist_holds_what_its_entries_say(
    entries: list[str], inside: list[str], outside: list[str]
) -> None:
    allowlist = Allowlist(entries)
    answers = {text: ipaddress.ip_address(text) in allowlist for text in [*inside, *outside]}
    assert answers == dict.fromkeys(inside, True) | dict.fromkeys(outside, False)


def test_the_published_addresses_are_twenty_and_carry_their_date() -> None:
    shipped = published()
    assert (len(set(shipped.addresses)), date.fromisoformat(shipped.updated)) == (20, date(2026, 3, 19))
