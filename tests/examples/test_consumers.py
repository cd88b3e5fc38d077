"""The examples as their readers run them: a real bridge, a real broker, and a bad day for both."""

import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import aio_pika
import pytest
from tests.waiting import until

from bridge import Bridge
from rabbitmq import Node
from tms_events import EXCHANGE, topic
from tms_events.testing import POISON

from .day import EXAMPLES, Consumer, Sender, bad_day, bound, failing_day, json_message
from .environments import interpreter

CONSUMERS = ["consumer.py", "pika_consumer.py", "kombu_consumer.py", "faststream_app.py", "single_active.py"]

Consume = Callable[..., Consumer]


@pytest.fixture
async def bridge(vhost: str) -> AsyncIterator[Bridge]:
    with Bridge(vhost) as running:
        yield running


@pytest.fixture
async def consume(vhost: str, tmp_path: Path) -> AsyncIterator[Consume]:
    """Make consumers, which end with the test."""
    made = list[Consumer]()

    def make(name: str, amqp_url: str = vhost) -> Consumer:
        made.append(Consumer([interpreter(name), EXAMPLES / name], amqp_url, str(tmp_path / "crm.db")))
        return made[-1]

    yield make
    for consumer in made:
        await consumer.kill()


@pytest.mark.parametrize("name", CONSUMERS)
async def test_a_consumer_survives_a_bad_day(name: str, vhost: str, bridge: Bridge, consume: Consume) -> None:
    consumer, tms = consume(name), Sender(bridge)
    await bad_day(consumer, tms, bridge, vhost)
    await failing_day(consumer, tms)


async def test_the_next_process_goes_on_where_the_active_one_was_killed(
    vhost: str, bridge: Bridge, consume: Consume
) -> None:
    first, second, tms = consume("single_active.py"), consume("single_active.py"), Sender(bridge)
    await first.start()
    await bound(vhost, tms)
    await second.start()
    for number in range(20):
        await tms.send(1, ["requested", "scheduled", "cancelled"][number % 3])
        if number == 10:
            await first.kill()
    await until(lambda: second.state() == tms.expected)


async def test_a_new_table_begins_at_the_first_event_of_the_stream(
    vhost: str, bridge: Bridge, consume: Consume
) -> None:
    consumer, tms = consume("stream_history.py"), Sender(bridge)
    await consumer.start()
    await bound(vhost, tms)
    await tms.send(1, "requested")
    await tms.send(1, "scheduled")
    async with await aio_pika.connect(vhost) as connection:
        exchange = await (await connection.channel()).get_exchange(EXCHANGE)
        await exchange.publish(json_message(POISON), topic("class", "scheduled"))
    await tms.send(2, "requested")
    await until(lambda: consumer.state() == tms.expected)

    await consumer.kill()
    await consumer.start()  # reads all of it again, and applies nothing twice
    await tms.send(1, "cancelled")
    await until(lambda: consumer.state() == tms.expected)

    await consumer.kill()
    consumer.forget()
    await consumer.start()
    await until(lambda: consumer.state() == tms.expected)


@pytest.fixture
def least(rabbitmq: Node, vhost: str) -> Iterator[str]:
    """The URL of a user with the rights that docs/messages.md lists."""
    page = (EXAMPLES.parent / "docs" / "messages.md").read_text()
    command = page.partition("rabbitmqctl set_permissions -p / crm ")[2].partition("\n")[0]
    configure, write, read = command.strip("'").split("' '")
    name, password = f"crm-{secrets.token_hex(4)}", secrets.token_hex(8)
    url = urlsplit(vhost)
    rabbitmq.ctl("add_user", name, password)
    rabbitmq.ctl("set_permissions", "-p", url.path.removeprefix("/"), name, configure, write, read)
    yield urlunsplit(url._replace(netloc=f"{name}:{password}@{url.hostname}:{url.port}"))
    rabbitmq.ctl("delete_user", name)


async def test_a_consumer_needs_no_more_rights_than_the_page_says(
    least: str, vhost: str, bridge: Bridge, consume: Consume
) -> None:
    async with await aio_pika.connect(least) as connection:
        channel = await connection.channel()
        with pytest.raises(aio_pika.exceptions.ChannelClosed, match="ACCESS_REFUSED"):
            await channel.declare_exchange("tms.other", "topic")
    await bad_day(consume("consumer.py", least), Sender(bridge), bridge, vhost)
