"""The client-address matrix: whom the door of a source takes a caller for, and what it says of it."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy

from tms_bridge.settings.model import Basic, ClientAddress, Credential, Http, Source
from tms_bridge.web.sources import Caller, Door

ALLOWED, UNLISTED, UNREADABLE = "allowed", "unlisted", "unreadable"
PROXY, INNER, OUTER = "10.0.0.1", "10.0.0.2", "192.0.2.9"
TRUSTED = ["10.0.0.0/8", "fd00::/8", "192.0.2.9"]
GOOD, BAD, SPOOFED = "203.0.113.7", "198.51.100.7", "203.0.113.99"

XFF, FORWARDED = "X-Forwarded-For", "Forwarded"


def make_headers(*lines: tuple[str, str]) -> CIMultiDictProxy[str]:
    return CIMultiDictProxy(CIMultiDict(lines))


def make_door(
    client_address: ClientAddress = "peer",
    trusted: Sequence[str] = (),
    allow_from: Sequence[str] = ("203.0.113.0/24", "2001:db8::/32"),
) -> Door:
    http = Http(client_address=client_address, trusted_proxies=tuple(trusted))
    credential = Credential(name="2026", basic=Basic(username="tms", password="secret"))
    return Door(http, "contoso", Source(allow_from=tuple(allow_from), credentials=(credential,)))


def told(caller: Caller) -> tuple[str, str]:
    """Return what was found of the client address, and the address."""
    verdict = UNLISTED if caller.client else UNREADABLE
    return (verdict if caller.unlisted else ALLOWED), caller.client


@pytest.mark.parametrize(
    ("peer", "verdict", "client"),
    [
        pytest.param(GOOD, ALLOWED, GOOD, id="listed"),
        pytest.param(BAD, UNLISTED, BAD, id="unlisted"),
        pytest.param("2001:db8::7", ALLOWED, "2001:db8::7", id="listed IPv6"),
        pytest.param("2001:0DB8:0:0::7", ALLOWED, "2001:db8::7", id="listed IPv6, long form"),
        pytest.param("2001:db9::7", UNLISTED, "2001:db9::7", id="unlisted IPv6"),
        pytest.param(f"::ffff:{GOOD}", ALLOWED, GOOD, id="mapped IPv4"),
        pytest.param("::ffff:cb00:7107", ALLOWED, GOOD, id="mapped IPv4 in hex"),
        pytest.param(f"::ffff:{BAD}", UNLISTED, BAD, id="unlisted mapped IPv4"),
        pytest.param("fe80::1%eth0", UNLISTED, "fe80::1", id="link-local with its zone"),
        pytest.param("", UNREADABLE, "", id="no address, as of a Unix socket"),
        pytest.param("localhost", UNREADABLE, "", id="a name"),
    ],
)
def test_the_peer_is_the_client(peer: str, verdict: str, client: str) -> None:
    headers = make_headers((XFF, SPOOFED), (FORWARDED, f"for={SPOOFED}"))
    assert (verdict, client) == told(make_door("peer", TRUSTED).judge(peer, headers))


@pytest.mark.parametrize(
    ("peer", "lines", "verdict", "client"),
    [
        pytest.param(PROXY, [GOOD], ALLOWED, GOOD, id="one proxy"),
        pytest.param(PROXY, [BAD], UNLISTED, BAD, id="one proxy, unlisted client"),
        pytest.param(PROXY, [f"{GOOD}, {INNER}"], ALLOWED, GOOD, id="two proxies"),
        pytest.param(PROXY, [f"{GOOD}, {OUTER}, {INNER}"], ALLOWED, GOOD, id="three proxies"),
        pytest.param(PROXY, [f"{GOOD},{INNER}"], ALLOWED, GOOD, id="no space"),
        pytest.param(PROXY, [f" {GOOD} \t, {INNER} "], ALLOWED, GOOD, id="blanks"),
        pytest.param(PROXY, [f"{SPOOFED}, {BAD}"], UNLISTED, BAD, id="spoofed left-most entry"),
        pytest.param(PROXY, [f"{SPOOFED}, {BAD}, {INNER}"], UNLISTED, BAD, id="spoofed, two proxies"),
        pytest.param(PROXY, [f"{INNER}, {BAD}"], UNLISTED, BAD, id="spoofed with a proxy's address"),
        pytest.param(PROXY, [f"rubbish, {GOOD}"], ALLOWED, GOOD, id="rubbish left of the client"),
        pytest.param(PROXY, [f", {GOOD}"], ALLOWED, GOOD, id="an empty header extended by the proxy"),
        pytest.param(BAD, [GOOD], UNLISTED, BAD, id="untrusted peer is not believed"),
        pytest.param(GOOD, [BAD], ALLOWED, GOOD, id="untrusted peer is itself the client"),
        pytest.param(GOOD, ["rubbish"], ALLOWED, GOOD, id="untrusted peer, unreadable header"),
        pytest.param(GOOD, [], ALLOWED, GOOD, id="untrusted peer, no header"),
        pytest.param(PROXY, [f"{GOOD}:51234"], ALLOWED, GOOD, id="port"),
        pytest.param(PROXY, [f"[{GOOD}]"], UNREADABLE, "", id="IPv4 in brackets"),
        pytest.param(PROXY, ["2001:db8::7"], ALLOWED, "2001:db8::7", id="IPv6"),
        pytest.param(PROXY, ["[2001:db8::7]"], ALLOWED, "2001:db8::7", id="IPv6 in brackets"),
        pytest.param(PROXY, ["[2001:db8::7]:443"], ALLOWED, "2001:db8::7", id="IPv6 with port"),
        pytest.param("fd00::1", ["2001:db8::7, fd00::2"], ALLOWED, "2001:db8::7", id="IPv6 proxies"),
        pytest.param(PROXY, [f"::ffff:{GOOD}"], ALLOWED, GOOD, id="mapped IPv4"),
        pytest.param(PROXY, [f"[::ffff:{GOOD}]:1"], ALLOWED, GOOD, id="mapped IPv4 with port"),
        pytest.param(f"::ffff:{PROXY}", [GOOD], ALLOWED, GOOD, id="mapped peer is the trusted proxy"),
        pytest.param(PROXY, [f"{GOOD}, ::ffff:{INNER}"], ALLOWED, GOOD, id="mapped hop is trusted"),
        pytest.param(PROXY, [GOOD, INNER], ALLOWED, GOOD, id="two lines"),
        pytest.param(PROXY, [SPOOFED, BAD], UNLISTED, BAD, id="two lines, the first spoofed"),
        pytest.param(PROXY, [f"{SPOOFED}, {BAD}", f"{OUTER}, {INNER}"], UNLISTED, BAD, id="two long lines"),
        pytest.param(PROXY, [f"{INNER}, {OUTER}"], UNLISTED, INNER, id="all hops trusted: the farthest"),
        pytest.param(PROXY, [], UNREADABLE, "", id="no header"),
        pytest.param(PROXY, [""], UNREADABLE, "", id="empty header"),
        pytest.param(PROXY, [f"{GOOD}, "], ALLOWED, GOOD, id="empty last entry"),
        pytest.param(PROXY, [GOOD, ""], ALLOWED, GOOD, id="empty second line"),
        pytest.param(PROXY, [f"{GOOD}, , {INNER}"], ALLOWED, GOOD, id="empty entry between"),
        pytest.param(PROXY, [f"{SPOOFED}, {BAD},"], UNLISTED, BAD, id="unlisted, then empty"),
        pytest.param(PROXY, [" , "], UNREADABLE, "", id="empty entries alone"),
        pytest.param(PROXY, ["unknown"], UNREADABLE, "", id="unknown"),
        pytest.param(PROXY, [f"{GOOD}, unknown"], UNREADABLE, "", id="unknown nearest"),
        pytest.param(PROXY, [f"{GOOD}, unknown, {INNER}"], UNREADABLE, "", id="unknown behind a trusted hop"),
        pytest.param(PROXY, [f'"{GOOD}"'], UNREADABLE, "", id="quoted"),
        pytest.param(PROXY, ["203.0.113.007"], UNREADABLE, "", id="leading zeros"),
        pytest.param(PROXY, ["203.0.113"], UNREADABLE, "", id="too few parts"),
        pytest.param(PROXY, ["3405803783"], UNREADABLE, "", id="a number"),
        pytest.param(PROXY, [f"{GOOD}:"], UNREADABLE, "", id="colon without port"),
        pytest.param(PROXY, [f"{GOOD}:https"], UNREADABLE, "", id="port in words"),
        pytest.param(PROXY, [f"{GOOD}/32"], UNREADABLE, "", id="a range"),
        pytest.param(PROXY, ["[2001:db8::7"], UNREADABLE, "", id="open bracket"),
        pytest.param(PROXY, ["2001:db8::7]:1"], UNREADABLE, "", id="closing bracket alone"),
        pytest.param(PROXY, ["fe80::1%eth0"], UNREADABLE, "", id="zone"),
        pytest.param(PROXY, ["[fe80::1%25eth0]:1"], UNREADABLE, "", id="zone in brackets"),
        pytest.param(PROXY, ["2001:db8::7%"], UNREADABLE, "", id="empty zone"),
        pytest.param(PROXY, ["٢٠٣.0.113.7"], UNREADABLE, "", id="digits of another script"),
        pytest.param(PROXY, ["\udcff"], UNREADABLE, "", id="bytes that are not UTF-8"),
    ],
)
def test_x_forwarded_for_is_read_from_the_right_past_trusted_hops(
    *,
    peer: str,
    lines: list[str],
    verdict: str,
    client: str,
) -> None:
    headers = make_headers((FORWARDED, f"for={SPOOFED}"), *((XFF, line) for line in lines))
    assert (verdict, client) == told(make_door("x-forwarded-for", TRUSTED).judge(peer, headers))


@pytest.mark.parametrize(
    ("peer", "lines", "verdict", "client"),
    [
        pytest.param(PROXY, [f"for={GOOD}"], ALLOWED, GOOD, id="one proxy"),
        pytest.param(PROXY, [f"For={GOOD}"], ALLOWED, GOOD, id="name in another case"),
        pytest.param(PROXY, [f"for={BAD}"], UNLISTED, BAD, id="unlisted client"),
        pytest.param(PROXY, [f"for={GOOD};proto=https;by={PROXY}"], ALLOWED, GOOD, id="more parameters"),
        pytest.param(PROXY, [f"by={PROXY} ; for={GOOD} ;"], ALLOWED, GOOD, id="blanks and an empty pair"),
        pytest.param(PROXY, [f"for={GOOD}, for={INNER}"], ALLOWED, GOOD, id="two proxies"),
        pytest.param(PROXY, [f"for={GOOD}", f"for={INNER}"], ALLOWED, GOOD, id="two lines"),
        pytest.param(PROXY, [f"for={SPOOFED}, for={BAD}"], UNLISTED, BAD, id="spoofed left-most"),
        pytest.param(PROXY, [f"for={SPOOFED}", f"for={BAD}"], UNLISTED, BAD, id="spoofed first line"),
        pytest.param(PROXY, [f"for=unknown, for={GOOD}"], ALLOWED, GOOD, id="unknown left of the client"),
        pytest.param(PROXY, [f'for="{GOOD}"'], ALLOWED, GOOD, id="quoted"),
        pytest.param(PROXY, [f'for="{GOOD}:51234"'], ALLOWED, GOOD, id="port"),
        pytest.param(PROXY, [f'for="{GOOD}:_hidden"'], ALLOWED, GOOD, id="obfuscated port"),
        pytest.param(PROXY, ['for="[2001:db8::7]"'], ALLOWED, "2001:db8::7", id="IPv6"),
        pytest.param(PROXY, ['for="[2001:DB8::7]:443"'], ALLOWED, "2001:db8::7", id="IPv6 with port"),
        pytest.param(PROXY, ["for=[2001:db8::7]:443"], ALLOWED, "2001:db8::7", id="IPv6 without its quotes"),
        pytest.param(PROXY, [f'for="[::ffff:{GOOD}]"'], ALLOWED, GOOD, id="mapped IPv4"),
        pytest.param(PROXY, [r'for="2\03.0.113.7"'], ALLOWED, GOOD, id="escaped letter in quotes"),
        pytest.param(
            PROXY, [f'for={SPOOFED};by="a,b;for=c", for={BAD}'], UNLISTED, BAD, id="separators in quotes"
        ),
        pytest.param(GOOD, [f"for={BAD}"], ALLOWED, GOOD, id="untrusted peer is itself the client"),
        pytest.param(BAD, [f"for={GOOD}"], UNLISTED, BAD, id="untrusted peer is not believed"),
        pytest.param(PROXY, [], UNREADABLE, "", id="no header"),
        pytest.param(PROXY, [""], UNREADABLE, "", id="empty"),
        pytest.param(PROXY, ["for="], UNREADABLE, "", id="empty for"),
        pytest.param(PROXY, ["for=unknown"], UNREADABLE, "", id="unknown"),
        pytest.param(PROXY, ["for=_hidden"], UNREADABLE, "", id="obfuscated"),
        pytest.param(PROXY, ['for="_gazonk"'], UNREADABLE, "", id="obfuscated in quotes"),
        pytest.param(PROXY, [f"by={GOOD}"], UNREADABLE, "", id="no for"),
        pytest.param(PROXY, [f"for={GOOD}, by={INNER}"], UNREADABLE, "", id="no for nearest"),
        pytest.param(PROXY, [f"for={GOOD},"], ALLOWED, GOOD, id="empty last element"),
        pytest.param(PROXY, [f"for={GOOD}", ""], ALLOWED, GOOD, id="empty second line"),
        pytest.param(PROXY, [f", for={GOOD} , ,for={INNER}"], ALLOWED, GOOD, id="empty elements between"),
        pytest.param(PROXY, [","], UNREADABLE, "", id="empty elements alone"),
        pytest.param(PROXY, [f"for={GOOD}, ;"], UNREADABLE, "", id="an element of nothing but a semicolon"),
        pytest.param(PROXY, [f"for={GOOD};for={GOOD}"], UNREADABLE, "", id="two for in one element"),
        pytest.param(PROXY, [f"for = {GOOD}"], UNREADABLE, "", id="blanks around the equals sign"),
        pytest.param(PROXY, [GOOD], UNREADABLE, "", id="an X-Forwarded-For value"),
        pytest.param(PROXY, [f'for="{GOOD}'], UNREADABLE, "", id="open quote"),
        pytest.param(
            PROXY, [f'for={SPOOFED};x="', f'for="{BAD}"'], UNREADABLE, "", id="open quote to swallow the next"
        ),
        pytest.param(
            PROXY, [f'for={SPOOFED};x="\\', f'for="{BAD}"'], UNREADABLE, "", id="the same with an escape"
        ),
        pytest.param(PROXY, [f"for={GOOD} x"], UNREADABLE, "", id="something after a value"),
        pytest.param(PROXY, ['for="[fe80::1%eth0]"'], UNREADABLE, "", id="zone"),
    ],
)
def test_forwarded_is_read_from_the_right_past_trusted_hops(
    *,
    peer: str,
    lines: list[str],
    verdict: str,
    client: str,
) -> None:
    headers = make_headers((XFF, SPOOFED), *((FORWARDED, line) for line in lines))
    assert (verdict, client) == told(make_door("forwarded", TRUSTED).judge(peer, headers))


@pytest.mark.parametrize("lines", [[], [""], ["unknown"], ["\udcff"]])
def test_who_admits_any_address_admits_one_that_cannot_be_told(lines: list[str]) -> None:
    door = make_door("x-forwarded-for", TRUSTED, ("any",))
    assert (ALLOWED, "") == told(door.judge(PROXY, make_headers(*((XFF, line) for line in lines))))
    assert (ALLOWED, "") == told(door.judge("", make_headers()))


def test_the_case_of_a_forwarding_headers_name_does_not_count() -> None:
    door = make_door("x-forwarded-for", TRUSTED)
    assert (ALLOWED, GOOD) == told(door.judge(PROXY, make_headers(("x-forwarded-FOR", GOOD))))


ADD = f"if TMS calls from there, add {BAD} to sources.contoso.allow_from"
SET_HEADER = f"set http.client_address to the header it sends and name it in http.trusted_proxies; {ADD}"
NAME_PROXY = (
    f"whose {XFF} is not believed; if that is a proxy of yours, name it in http.trusted_proxies; {ADD}"
)
OPENED = (
    f"or opened the connection itself; if that is a proxy of yours, name it in http.trusted_proxies; {ADD}"
)
SEND = "make it send one, or set http.client_address to what it does send"
APPEND = "make it append the plain address of its caller"
UNREADABLE_ENTRY = (
    f"peer {PROXY} sent a Forwarded that cannot be read: its entry 'unknown' is not an address; {APPEND}"
)
UNREADABLE_HEADER = (
    f"peer {PROXY} sent a Forwarded that cannot be read: it does not follow RFC 7239; {APPEND}"
)


@pytest.mark.parametrize(
    ("client_address", "peer", "lines", "expected"),
    [
        (
            "peer",
            BAD,
            [],
            f"client {BAD} is the peer of the connection; if that is a proxy of yours, {SET_HEADER}",
        ),
        ("x-forwarded-for", BAD, [(XFF, GOOD)], f"client {BAD} is the peer of the connection, {NAME_PROXY}"),
        ("x-forwarded-for", PROXY, [(XFF, BAD)], f"client {BAD} was told by peer {PROXY} in {XFF}; {ADD}"),
        ("x-forwarded-for", PROXY, [], f"peer {PROXY} is a trusted proxy but sent no {XFF}; {SEND}"),
        ("forwarded", PROXY, [(FORWARDED, "for=unknown")], UNREADABLE_ENTRY),
        ("forwarded", PROXY, [(FORWARDED, "=")], UNREADABLE_HEADER),
        ("peer", "\nfake", [], "the connection gives no IP address but '\\nfake'"),
        ("proxy-protocol", BAD, [], f"client {BAD} was announced by PROXY protocol, {OPENED}"),
    ],
)
def test_a_refusals_reason_names_peer_and_header_and_what_would_make_it_pass(
    *,
    client_address: ClientAddress,
    peer: str,
    lines: list[tuple[str, str]],
    expected: str,
) -> None:
    assert expected == make_door(client_address, TRUSTED).judge(peer, make_headers(*lines)).unlisted


def test_a_reason_quotes_no_more_than_a_little_and_no_raw_bytes_of_a_header() -> None:
    door = make_door("x-forwarded-for", TRUSTED)
    reason = door.judge(PROXY, make_headers((XFF, "\udcff\x1b[31m" + "x" * 5000))).unlisted
    assert (reason.isascii(), reason.isprintable(), len(reason) < 300) == (True, True, True)


def test_a_door_names_every_header_that_it_looks_at() -> None:
    assert ("authorization", XFF) == make_door("x-forwarded-for", TRUSTED).reads
    assert ("authorization",) == make_door("peer").reads


def test_a_door_names_the_credential() -> None:
    shown = [
        make_door().judge(GOOD, make_headers(("Authorization", line))).credential
        for line in ("Basic dG1zOnNlY3JldA", "Basic dG1zOndyb25n")
    ]
    assert ["2026", ""] == shown


HEADER_TEXT = (
    st.text() | st.text(alphabet='for=";, .:[]0123456789abcdef\\_%\udcff') | st.ip_addresses().map(str)
)


@given(
    st.sampled_from(["x-forwarded-for", "forwarded"]),
    st.sampled_from([PROXY, GOOD]) | st.text(),
    st.lists(st.tuples(st.sampled_from([XFF, FORWARDED]), HEADER_TEXT)),
)
def test_no_headers_raise_or_make_an_unlisted_client_allowed(
    client_address: ClientAddress, peer: str, lines: list[tuple[str, str]]
) -> None:
    door = make_door(client_address, TRUSTED, ("240.0.0.1",))
    verdict, _ = told(door.judge(peer, make_headers(*lines)))
    assert verdict != ALLOWED or any("240.0.0.1" in text for _, text in lines)
