"""What the tests of `auth` share: gates and headers, made in a line."""

from collections.abc import Callable, Sequence

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from tms_bridge.auth import Gate
from tms_bridge.settings.model import Basic, ClientAddress, Credential, Http, Source

MakeHeaders = Callable[..., CIMultiDictProxy[str]]
MakeGate = Callable[..., Gate]


@pytest.fixture
def make_headers() -> MakeHeaders:
    def make(*lines: tuple[str, str]) -> CIMultiDictProxy[str]:
        return CIMultiDictProxy(CIMultiDict(lines))

    return make


@pytest.fixture
def make_gate() -> MakeGate:
    def make(
        client_address: ClientAddress = "peer",
        trusted: Sequence[str] = (),
        allow_from: Sequence[str] = ("203.0.113.0/24", "2001:db8::/32"),
    ) -> Gate:
        http = Http(client_address=client_address, trusted_proxies=tuple(trusted))
        credential = Credential(name="2026", basic=Basic(username="tms", password="secret"))
        return Gate(http, "contoso", Source(allow_from=tuple(allow_from), credentials=(credential,)))

    return make
