"""Reading the archive and copying from it, where the command line cannot arrange what happens."""

from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.cli.archived import BEGAN, publish, spread

from tms_bridge.broker.archive import Selection, copy, read
from tms_bridge.errors import BrokerError

ALL = Selection(since=None, until=datetime.max.replace(tzinfo=UTC))


async def test_a_queue_that_is_deleted_on_the_way_ends_a_copy(bench: Any, vhost: str) -> None:
    await publish(vhost, spread(150, hours=1))
    queue = await bench.queue()
    session = await bench.session()
    async with aclosing(read(session, "tms.archive", ALL)) as events:
        batches = copy(session, events, queue=queue)
        assert list(range(100)) == [event.offset for event in await anext(batches)]
        await (await bench.channel()).queue_delete(queue)
        with pytest.raises(BrokerError, match=f"queue {queue} is gone"):
            await anext(batches)


async def test_a_queue_that_is_no_stream_is_told_so(bench: Any) -> None:
    await bench.publisher()
    queue = await bench.queue("#", **{"x-queue-type": "quorum"})
    await publish(str(bench.url), spread(1, hours=1))
    with pytest.raises(BrokerError):
        await anext(read(await bench.session(), queue, ALL))


async def test_it_begins_with_what_was_published_then(bench: Any, vhost: str) -> None:
    await publish(vhost, spread(10, hours=1))
    soon = datetime.now(UTC) + timedelta(hours=1)
    selection = Selection(since=soon, until=soon)
    session = await bench.session()
    found = [event async for event in read(session, "tms.archive", selection)]
    assert 10 == len(found), "an event that came late is no reason to read nothing"
    assert not any(map(selection.takes, found))
    assert BEGAN == found[0].received_at
