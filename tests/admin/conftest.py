from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pytest_aiohttp import AiohttpClient
from tests.admin.running import Client, Desk, Serve, Served

from tms_bridge.outbox.journal import Journal
from tms_bridge.settings.model import Admin, Outbox


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    journal = await Journal.open(Outbox(dir=str(tmp_path / "outbox"), min_free_bytes=0))
    try:
        yield Desk(journal)
    finally:
        await journal.close()


@pytest.fixture
def serve(desk: Desk, aiohttp_client: AiohttpClient) -> Serve:
    """Serve the application under these settings, and return a client of it."""

    async def serving(settings: Admin | None = None) -> Client:
        return await aiohttp_client(Served(desk.app(settings)))

    return serving


@pytest.fixture
async def client(serve: Serve) -> Client:
    return await serve()
