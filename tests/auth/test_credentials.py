import base64
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy

from tms_bridge.auth.credentials import Credentials, names_in
from tms_bridge.settings.model import Basic, Credential

MakeHeaders = Callable[..., CIMultiDictProxy[str]]


def basic(username: str, password: str, name: str = "basic") -> Credential:
    return Credential(name=name, basic=Basic(username=username, password=password))


def token(pair: str, encoding: str = "utf-8") -> str:
    return base64.b64encode(pair.encode(encoding)).decode()


# Bytes that need + and / in Base64, or - and _ in its URL-safe alphabet, and padding.
AWKWARD = "~~~???>>>"
AWKWARD_TOKEN = token(f"tms:{AWKWARD}")


def test_the_example_of_the_vendors_page_passes(make_headers: MakeHeaders) -> None:
    credentials = Credentials([basic("Webhookuser", "webhookpassword", "2026")])
    headers = make_headers(("Authorization", "Basic V2ViaG9va3VzZXI6d2ViaG9va3Bhc3N3b3Jk"))
    assert credentials.match(headers) == "2026"


def test_the_awkward_password_needs_both_special_letters_of_the_alphabet() -> None:
    assert {"+", "/"} & set(AWKWARD_TOKEN) != set()


@pytest.mark.parametrize(
    ("password", "line"),
    [
        pytest.param(AWKWARD, ("Authorization", f"Basic {AWKWARD_TOKEN}"), id="standard alphabet"),
        pytest.param(
            AWKWARD,
            ("Authorization", f"Basic {AWKWARD_TOKEN.translate(str.maketrans('+/', '-_'))}"),
            id="URL-safe alphabet",
        ),
        pytest.param(
            "p", ("Authorization", f"Basic {token('tms:p').rstrip('=')}"), id="no padding, two short"
        ),
        pytest.param(
            "pa", ("Authorization", f"Basic {token('tms:pa').rstrip('=')}"), id="no padding, one short"
        ),
        pytest.param("p", ("Authorization", f"Basic {token('tms:p')}"), id="padding"),
        pytest.param("a:b:c", ("Authorization", f"Basic {token('tms:a:b:c')}"), id="colons in the password"),
        pytest.param("Grüße", ("Authorization", f"Basic {token('tms:Grüße')}"), id="UTF-8"),
        pytest.param("Grüße", ("Authorization", f"Basic {token('tms:Grüße', 'latin-1')}"), id="Latin-1"),
        pytest.param("日本", ("Authorization", f"Basic {token('tms:日本')}"), id="beyond Latin-1"),
        pytest.param("p", ("AUTHORIZATION", f"Basic {token('tms:p')}"), id="header name in capitals"),
        pytest.param("p", ("authorization", f"Basic {token('tms:p')}"), id="header name in small letters"),
        pytest.param("p", ("Authorization", f"bASIC {token('tms:p')}"), id="scheme in any case"),
        pytest.param("p", ("Authorization", f"Basic   {token('tms:p')}"), id="several spaces"),
        pytest.param("p", ("Authorization", f"Basic\t{token('tms:p')} "), id="a tab, a space at the end"),
    ],
)
def test_basic_is_accepted_as_senders_write_it(
    password: str, line: tuple[str, str], make_headers: MakeHeaders
) -> None:
    assert Credentials([basic("tms", password)]).match(make_headers(line)) == "basic"


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param([], id="no header"),
        pytest.param([("Authorization", "")], id="empty"),
        pytest.param([("Authorization", "Basic")], id="no token"),
        pytest.param([("Authorization", token("tms:secret"))], id="no scheme"),
        pytest.param([("Authorization", f"Bearer {token('tms:secret')}")], id="another scheme"),
        pytest.param([("Authorization", f"Basic {token('tms:Secret')}")], id="wrong case"),
        pytest.param([("Authorization", f"Basic {token('tms:secre')}")], id="too short"),
        pytest.param([("Authorization", f"Basic {token('tms:secrets')}")], id="too long"),
        pytest.param([("Authorization", f"Basic {token('tmss:ecret')}")], id="colon moved"),
        pytest.param([("Authorization", f"Basic {token('tms:secret')} x")], id="something after the token"),
        pytest.param([("Authorization", "Basic tms:secret")], id="not Base64"),
        pytest.param([("Authorization", "Basic dG1")], id="cut short"),
        pytest.param([("Authorization", "Basic d")], id="no length of Base64"),
        pytest.param([("Authorization", "Basic \udcff\udc80")], id="bytes that are not UTF-8"),
        pytest.param([("Authorization", "Basic \ud800")], id="a surrogate that hides no byte"),
        pytest.param([("Authorization", "Basic ====")], id="padding alone"),
        pytest.param([("Proxy-Authorization", f"Basic {token('tms:secret')}")], id="another header"),
        pytest.param(
            [("Authorization", f"Basic {token('tms:secret')}"), ("authorization", "Basic eDp5")],
            id="two lines, the first right",
        ),
        pytest.param([("Authorization", f"Basic {token('tms:secret')}")] * 2, id="two lines, both right"),
    ],
)
def test_anything_else_is_no_basic_credential(
    lines: list[tuple[str, str]], make_headers: MakeHeaders
) -> None:
    assert Credentials([basic("tms", "secret")]).match(make_headers(*lines)) is None


PAIR = Credential(name="pair", headers={"X-Api-Key": "abc", "X-Tenant": "contoso"})


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        pytest.param([("X-Api-Key", "abc"), ("X-Tenant", "contoso")], "pair", id="both"),
        pytest.param(
            [("x-tenant", "contoso"), ("x-API-key", "abc")], "pair", id="any order and case of names"
        ),
        pytest.param([("X-Api-Key", "abc")], None, id="one missing"),
        pytest.param([("X-Api-Key", "abc"), ("X-Tenant", "fabrikam")], None, id="one wrong"),
        pytest.param([("X-Api-Key", "ABC"), ("X-Tenant", "contoso")], None, id="case of a value counts"),
        pytest.param(
            [("X-Api-Key", "abc"), ("X-Api-Key", "abd"), ("X-Tenant", "contoso")], None, id="one repeated"
        ),
    ],
)
def test_every_header_of_a_credential_must_match(
    lines: list[tuple[str, str]], expected: str | None, make_headers: MakeHeaders
) -> None:
    assert Credentials([PAIR]).match(make_headers(*lines)) == expected


@pytest.mark.parametrize(
    ("configured", "sent"),
    [
        pytest.param("Grüße", "Grüße", id="UTF-8"),
        pytest.param("Grüße", "Grüße".encode("latin-1").decode("utf-8", "surrogateescape"), id="Latin-1"),
        pytest.param(" abc ", "abc", id="blanks around what is configured, which HTTP drops"),
        pytest.param("Bearer a b", "Bearer a b", id="inner blanks"),
    ],
)
def test_a_header_value_matches_in_the_encodings_that_senders_use(
    configured: str, sent: str, make_headers: MakeHeaders
) -> None:
    credentials = Credentials([Credential(name="key", headers={"X-Api-Key": configured})])
    assert credentials.match(make_headers(("X-Api-Key", sent))) == "key"


def test_any_of_several_credentials_opens_the_door_and_is_named(make_headers: MakeHeaders) -> None:
    credentials = Credentials([basic("tms", "old", "2025"), basic("tms", "new", "2026"), PAIR])
    shown = [
        credentials.match(make_headers(("Authorization", f"Basic {token('tms:old')}"))),
        credentials.match(make_headers(("Authorization", f"Basic {token('tms:new')}"))),
        credentials.match(make_headers(("X-Api-Key", "abc"), ("X-Tenant", "contoso"))),
    ]
    assert shown == ["2025", "2026", "pair"]


def test_the_first_of_several_matching_credentials_is_named(make_headers: MakeHeaders) -> None:
    credentials = Credentials([basic("tms", "same", "first"), basic("tms", "same", "second")])
    assert credentials.match(make_headers(("Authorization", f"Basic {token('tms:same')}"))) == "first"


def test_all_credentials_are_compared_whichever_matches(
    make_headers: MakeHeaders, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[int] = []

    def count(shown: bytes, digest: bytes) -> bool:
        compared.append(len(shown))
        return shown == digest

    monkeypatch.setattr("hmac.compare_digest", count)
    credentials = Credentials([basic("tms", "a", "first"), basic("tms", "b", "second"), PAIR])
    for lines in ([("Authorization", f"Basic {token('tms:a')}")], [("X-Tenant", "no")], []):
        credentials.match(make_headers(*lines))
    assert compared == [32] * 3 * 8


def test_a_credential_without_anything_to_show_never_becomes_an_open_door() -> None:
    with pytest.raises(ValueError, match="is empty, so it would let everybody in"):
        Credentials([Credential(name="hollow")])


@given(st.lists(st.tuples(st.sampled_from(["Authorization", "X-Api-Key", "X-Tenant"]), st.text())))
def test_no_header_text_raises_or_matches_by_chance(lines: list[tuple[str, str]]) -> None:
    headers = CIMultiDictProxy(CIMultiDict(lines))
    assert Credentials([basic("tms", "secret"), PAIR]).match(headers) is None


@given(st.binary(max_size=64), st.sampled_from([b"", b"Basic ", b"basic  "]))
def test_no_header_bytes_raise_or_match_by_chance(value: bytes, scheme: bytes) -> None:
    text = (scheme + value).decode("utf-8", "surrogateescape")
    headers = CIMultiDictProxy(CIMultiDict([("Authorization", text)]))
    assert Credentials([basic("tms", "secret")]).match(headers) is None


ENCODERS = [base64.b64encode, base64.urlsafe_b64encode]


@given(st.text(min_size=1), st.text(min_size=1), st.sampled_from(ENCODERS), st.sampled_from(["", "="]))
def test_whatever_was_configured_is_recognised(
    username: str, password: str, encode: Callable[[bytes], bytes], unpadded: str
) -> None:
    shown = encode(f"{username}:{password}".encode()).decode().rstrip(unpadded or " ")
    headers = CIMultiDict([("Authorization", f"Basic {shown}")])
    assert Credentials([basic(username, password)]).match(headers) == "basic"


def certified(name: str) -> Credential:
    return Credential(name=f"by {name}", client_certificate=name)


def test_a_certificate_shows_the_credential_of_its_name(make_headers: MakeHeaders) -> None:
    credentials = Credentials([certified("gateway.example"), basic("tms", "secret")])
    nothing, right = make_headers(), make_headers(("Authorization", f"Basic {token('tms:secret')}"))

    assert "by gateway.example" == credentials.match(nothing, ("other", "Gateway.Example"))
    assert [None, None] == [credentials.match(nothing, names) for names in ((), ("other", ""))]
    assert ["basic", "basic"] == [credentials.match(right, names) for names in ((), ("gateway.example",))]


@pytest.mark.parametrize(
    ("certificate", "names"),
    [
        (None, ()),
        ({}, ()),
        ({"subject": ((("countryName", "DE"),), (("commonName", "a"),))}, ("a",)),
        (
            {
                "subject": ((("commonName", "a"),),),
                "subjectAltName": (("DNS", "b"), ("IP Address", "::1"), ("URI", "urn:c"), ("email", "d@e")),
            },
            ("b", "urn:c", "d@e"),
        ),
        ({"subject": ((("commonName", "a"),),), "subjectAltName": (("IP Address", "::1"),)}, ("a",)),
    ],
)
def test_a_certificates_common_name_counts_only_where_it_has_no_other(
    certificate: dict[str, Any] | None, names: tuple[str, ...]
) -> None:
    assert names == names_in(certificate)
