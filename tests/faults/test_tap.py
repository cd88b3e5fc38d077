from collections.abc import Iterator

import pytest
from pamqp import commands, frame
from pamqp.body import ContentBody
from pamqp.header import ContentHeader
from tests.faults.proxy import Proxy
from tests.faults.tap import Publish, Tap


class Client:
    """Bytes of one connection, and what the tap makes of them."""

    def __init__(self) -> None:
        self.published: list[Publish] = []
        self.acked: list[Publish] = []
        self.nacked: list[Publish] = []
        self.tap = Tap(self.published.append, self.acked.append, self.nacked.append)
        self.tap.sent(b"AMQP\x00\x00\x09\x01" + frame.marshal(commands.Channel.Open(), 1))

    def publish(self, message_id: str, subject: str = "class/1") -> bytes:
        properties = commands.Basic.Properties(
            message_id=message_id, headers={"cloudEvents_subject": subject}
        )
        frames = (
            commands.Basic.Publish(exchange="e", routing_key="k"),
            ContentHeader(body_size=2, properties=properties),
            ContentBody(b"{}"),
        )
        return b"".join(frame.marshal(each, 1) for each in frames)

    def answer(self, method: commands.Basic.Ack | commands.Basic.Nack | commands.Channel.Close) -> None:
        self.tap.received(frame.marshal(method, 1))


@pytest.fixture
def client() -> Client:
    return Client()


def test_publishes_are_counted_whatever_the_pieces_in_which_they_come(client: Client) -> None:
    for byte in client.publish("a") + client.publish("b", "class/2"):
        client.tap.sent(bytes([byte]))
    assert client.published == [Publish("a", "class/1"), Publish("b", "class/2")]
    assert client.tap.in_flight == client.published
    assert client.tap.outstanding == 2


def test_one_ack_may_settle_many(client: Client) -> None:
    client.tap.sent(b"".join(client.publish(name) for name in "abc"))
    client.answer(commands.Basic.Ack(delivery_tag=2, multiple=True))
    assert [publish.message_id for publish in client.tap.in_flight] == ["c"]
    assert client.published[:2] == client.acked
    client.answer(commands.Basic.Ack(delivery_tag=3))
    assert client.tap.outstanding == 0


def test_a_nack_settles_and_is_told(client: Client) -> None:
    client.tap.sent(client.publish("a") + client.publish("b"))
    client.answer(commands.Basic.Nack(delivery_tag=2, multiple=True))
    assert (client.tap.outstanding, client.nacked, client.acked) == (0, client.published, [])


def test_a_closed_channel_is_noticed(client: Client) -> None:
    client.answer(commands.Channel.Close(404, "NOT_FOUND", 60, 40))
    assert client.tap.channel_closed


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with Proxy(1) as proxy:
        yield proxy


@pytest.mark.parametrize(
    ("first", "second", "doubles"),
    [
        (Publish("a", "class/1"), Publish("a", "class/1"), 1),
        (Publish("a", "class/1"), Publish("b", "class/1"), 1),
        (Publish("a", "class/1"), Publish("b", "class/2"), 0),
        (Publish("a", ""), Publish("b", ""), 0),
    ],
)
def test_a_message_or_entity_that_is_in_flight_must_not_be_sent_again(
    proxy: Proxy, client: Client, first: Publish, second: Publish, doubles: int
) -> None:
    pair = proxy._take()
    pair.tap.sent(b"AMQP\x00\x00\x09\x01" + frame.marshal(commands.Channel.Open(), 1))
    pair.tap.sent(client.publish(first.message_id, first.subject))
    proxy.look(second)
    assert len(proxy.doubles) == doubles
    proxy.doubles.clear()
    pair.ended = True
    proxy.look(second)
    assert proxy.doubles == []
