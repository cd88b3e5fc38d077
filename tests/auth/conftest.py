"""What the tests of `auth` share: headers, made in a line."""

from collections.abc import Callable

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

MakeHeaders = Callable[..., CIMultiDictProxy[str]]


@pytest.fixture
def make_headers() -> MakeHeaders:
    def make(*lines: tuple[str, str]) -> CIMultiDictProxy[str]:
        return CIMultiDictProxy(CIMultiDict(lines))

    return make
