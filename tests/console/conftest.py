from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.admin.running import Desk

from tms_bridge.outbox.journal import Journal
from tms_bridge.settings.model import Outbox


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    journal = await Journal.open(Outbox(dir=str(tmp_path / "outbox"), min_free_bytes=0))
    try:
        yield Desk(journal)
    finally:
        await journal.close()
