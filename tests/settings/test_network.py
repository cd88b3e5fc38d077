import pytest

from tms_bridge.settings.network import Listen, is_loopback, parse_listen, parse_listens, parse_network


@pytest.mark.parametrize(
    ("text", "expected", "written"),
    [
        ("192.0.2.1:8080", Listen("192.0.2.1", 8080), "192.0.2.1:8080"),
        ("[::]:8080", Listen("::", 8080), "[::]:8080"),
        ("[0:0::1]:0", Listen("::1", 0), "[::1]:0"),
        (":8080", Listen(None, 8080), ":8080"),
        ("localhost:65535", Listen("localhost", 65535), "localhost:65535"),
    ],
)
def test_a_listen_address_is_read_and_written(text: str, expected: Listen, written: str) -> None:
    assert (parse_listen(text), str(expected)) == (expected, written)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("8080", '"8080" is not an address with a port; write "0.0.0.0:8080" or "[::]:8080"'),
        ("192.0.2.1", '"192.0.2.1" is not an address with a port; write "0.0.0.0:8080" or "[::]:8080"'),
        ("0.0.0.0:", '"0.0.0.0:" is not an address with a port; write "0.0.0.0:8080" or "[::]:8080"'),
        ("0.0.0.0:http", '"0.0.0.0:http" is not an address with a port; write "0.0.0.0:8080" or "[::]:8080"'),
        (
            "0.0.0.0:65536",
            '"0.0.0.0:65536" is not an address with a port; write "0.0.0.0:8080" or "[::]:8080"',
        ),
        ("[::]", '"[::]" is not an address with a port; write "0.0.0.0:8080" or "[::]:8080"'),
        ("::1:8080", '"::1:8080": an IPv6 address needs brackets, as in "[::]:8080"'),
        ("[nonsense]:80", '"nonsense" is not an IPv6 address'),
        ("[::1:80", '"[::1:80": an IPv6 address needs brackets, as in "[::]:8080"'),
    ],
)
def test_what_is_no_listen_address_says_what_to_write(text: str, expected: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the text is compared whole
        parse_listen(text)
    assert str(caught.value) == expected


def test_one_address_or_a_list_of_them_is_read() -> None:
    assert parse_listens(":1") == (Listen(None, 1),)
    assert parse_listens((":1", "[::1]:2")) == (Listen(None, 1), Listen("::1", 2))


@pytest.mark.parametrize(
    ("text", "expected"),
    [("127.0.0.1:1", True), ("[::1]:1", True), ("localhost:1", True), (":1", False), ("0.0.0.0:1", False)],
)
def test_loopback_is_what_only_this_machine_reaches(text: str, *, expected: bool) -> None:
    assert parse_listen(text).is_loopback == expected


def test_an_ipv6_host_of_a_url_may_stand_in_brackets() -> None:
    assert (is_loopback("[::1]"), is_loopback("broker")) == (True, False)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("203.0.113.7", "203.0.113.7/32"),
        (" 203.0.113.0/24 ", "203.0.113.0/24"),
        ("203.0.113.7/24", "203.0.113.0/24"),
        ("203.0.113.0/255.255.255.0", "203.0.113.0/24"),
        ("2001:db8::/32", "2001:db8::/32"),
        ("::ffff:203.0.113.7", "203.0.113.7/32"),
        ("::ffff:203.0.113.0/120", "203.0.113.0/24"),
        ("::ffff:0:0/96", "0.0.0.0/0"),
        ("::/0", "::/0"),
    ],
)
def test_addresses_and_ranges_are_read(text: str, expected: str) -> None:
    assert str(parse_network(text)) == expected


@pytest.mark.parametrize(
    "text", ["", "any", "203.0.113", "203.0.113.0/33", "2001:db8::/129", "a.example.com"]
)
def test_what_is_no_range_says_what_to_write(text: str) -> None:
    with pytest.raises(ValueError, match="is not an address or range; write"):
        parse_network(text)


def test_a_range_with_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="is not an address or range; write"):
        parse_network("fe80::1%eth0")
