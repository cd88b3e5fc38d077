"""The OTLP receiver of these tests."""

from collections.abc import AsyncIterator

import pytest
from tests.tracing.receiver import Receiver


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """One that listens."""
    receiver = Receiver()
    async with receiver.server:
        yield receiver
