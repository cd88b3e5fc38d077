"""The door of a source: who was let in is remembered, and nobody else."""

import msgspec
from multidict import CIMultiDict, CIMultiDictProxy
from tests.web.running import AUTHORIZATION, SOURCE

from tms_bridge.errors import AddressRefused, Unauthorized
from tms_bridge.settings.model import Credential, Http
from tms_bridge.web import sources
from tms_bridge.web.sources import Door

HTTP = Http(client_address="x-forwarded-for", trusted_proxies=("127.0.0.1",))
LISTED, STRANGE = "127.0.0.9", "203.0.113.7"


def headers(*lines: tuple[str, str]) -> CIMultiDictProxy[str]:
    return CIMultiDictProxy(CIMultiDict(lines))


def shown(client: str, authorization: str = AUTHORIZATION) -> CIMultiDictProxy[str]:
    return headers(("X-Forwarded-For", client), ("Authorization", authorization), ("X-Request-Id", "7"))


def test_who_was_let_in_is_known_again_by_all_that_was_judged() -> None:
    door = Door(HTTP, "contoso", SOURCE)
    first = door.judge("127.0.0.1", shown(LISTED))

    assert door.judge("127.0.0.1", headers(*shown(LISTED).items(), ("traceparent", "another"))) is first
    assert door.refusal(first) is None


def test_whoever_shows_anything_else_is_judged_anew() -> None:
    door = Door(HTTP, "contoso", SOURCE)
    door.judge("127.0.0.1", shown(LISTED))
    others = [
        door.judge("127.0.0.1", shown(STRANGE)),
        door.judge("127.0.0.1", headers(*shown(LISTED).items(), ("X-Forwarded-For", STRANGE))),
        door.judge(STRANGE, shown(LISTED)),
        door.judge("127.0.0.1", shown(LISTED, AUTHORIZATION[:-1] + "Z")),
        door.judge("127.0.0.1", headers(*shown(LISTED).items(), ("Authorization", AUTHORIZATION))),
        door.judge("127.0.0.1", headers(("Authorization", AUTHORIZATION))),
    ]
    refused = [type(door.refusal(caller)) for caller in others]

    assert [AddressRefused] * 3 + [Unauthorized] * 2 + [AddressRefused] == refused


def test_a_refusal_is_never_remembered() -> None:
    door = Door(HTTP, "contoso", SOURCE)
    door.judge("127.0.0.1", shown(STRANGE))
    door.judge("127.0.0.1", shown(LISTED, "Basic nonsense"))

    assert {} == door._let_in


def test_what_is_remembered_is_bounded() -> None:
    door = Door(HTTP, "contoso", SOURCE)
    for number in range(sources._REMEMBERED + 5):
        door.judge("127.0.0.1", shown(f"{'10.0.0.0, ' * (number % 3)}127.0.{number % 250}.{number // 250}"))
    door.judge("127.0.0.1", shown(LISTED, f"{' ' * 2000}{AUTHORIZATION}"))

    assert 0 < len(door._let_in) <= sources._REMEMBERED
    assert all(len(str(key)) <= sources._REMEMBERED_LENGTH for key in door._let_in)


def test_who_was_let_in_by_certificate_is_not_let_in_without() -> None:
    certified = Credential(name="gateway", client_certificate="gateway.example")
    source = msgspec.structs.replace(SOURCE, credentials=(*SOURCE.credentials, certified))
    door, names = Door(Http(), "contoso", source), ("gateway.example",)

    assert "gateway" == door.judge("127.0.0.1", headers(), names).credential
    assert "" == door.judge("127.0.0.1", headers()).credential
    other = door.judge("127.0.0.1", headers(), ("other.example",))
    assert "a certificate for 'other.example' came" in other.detail
    assert isinstance(door.refusal(other), Unauthorized)
    assert "no certificate came" in door.judge("127.0.0.1", headers()).detail


def test_a_door_for_certificates_alone_still_names_a_scheme() -> None:
    source = msgspec.structs.replace(SOURCE, credentials=(Credential(name="a", client_certificate="a"),))
    door = Door(Http(), "contoso", source)
    refusal = door.refusal(door.judge("127.0.0.1", headers()))

    assert isinstance(refusal, Unauthorized)
    assert refusal.challenge.startswith("Header ")
