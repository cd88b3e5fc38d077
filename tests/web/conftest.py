from collections.abc import AsyncIterator

import pytest
from tests.web.running import SOURCE, Bridge, serve

from tms_bridge.settings.model import Http


@pytest.fixture
async def bridge() -> AsyncIterator[Bridge]:
    async with serve(Http(deadline_s=2.0, max_body_bytes=1000), {"contoso": SOURCE}) as running:
        yield running
