"""Exchanges, queues and bindings on a real broker."""

from typing import Any

import pytest

from rabbitmq import Node
from tms_bridge.broker import topology
from tms_bridge.broker.check import try_publishing
from tms_bridge.broker.topology import Finding, Likeness, Part
from tms_bridge.errors import BrokerError
from tms_bridge.message import Outcome
from tms_bridge.settings.model import Amqp, Archive, Queue


@pytest.fixture
def parts(vhost: str) -> tuple[Part, ...]:
    queues = (Queue(name="crm", bindings=("tms.class.*", "tms.course_assignment.completed")),)
    return topology.configured(Amqp(urls=(vhost,), queues=queues))


def states(findings: list[Finding]) -> dict[str, Likeness]:
    return {str(finding.part): finding.state for finding in findings}


def test_what_is_configured_is_listed_in_the_order_of_its_making(parts: tuple[Part, ...]) -> None:
    assert [str(part) for part in parts] == [
        "exchange tms.events",
        "exchange tms.unroutable",
        "queue tms.unroutable",
        "binding of queue tms.unroutable to exchange tms.unroutable by (all)",
        "exchange tms.quarantine",
        "queue tms.quarantine",
        "binding of queue tms.quarantine to exchange tms.quarantine by (all)",
        "queue crm",
        "binding of queue crm to exchange tms.events by tms.class.*",
        "binding of queue crm to exchange tms.events by tms.course_assignment.completed",
    ]


async def test_an_empty_broker_misses_everything_and_looking_changes_nothing(
    bench: Any, parts: tuple[Part, ...]
) -> None:
    session = await bench.session()
    for _ in range(2):
        found = states(await topology.show(session, parts))
        assert {found[str(part)] for part in parts if part.kind != "binding"} == {Likeness.MISSING}
        assert {found[str(part)] for part in parts if part.kind == "binding"} == {Likeness.UNKNOWN}


async def test_applying_makes_everything_and_can_be_repeated(bench: Any, parts: tuple[Part, ...]) -> None:
    session = await bench.session()
    for _ in range(2):
        assert set(states(await topology.apply(session, parts)).values()) == {Likeness.RIGHT}
    assert not any(finding.wrong for finding in await topology.show(session, parts))
    assert {finding.state for finding in await topology.check(session, parts)} == {Likeness.RIGHT}


async def test_what_differs_is_found_and_the_rest_is_still_made(bench: Any, parts: tuple[Part, ...]) -> None:
    channel = await bench.channel()
    await channel.exchange_declare("tms.events", exchange_type="direct")
    await channel.queue_declare("crm", durable=True)
    session = await bench.session()
    applied = states(await topology.apply(session, parts))
    assert [part for part, state in applied.items() if state is not Likeness.RIGHT] == [
        "exchange tms.events",
        "queue crm",
    ]
    assert applied["queue crm"] is Likeness.DIFFERENT
    assert states(await topology.show(session, parts))["exchange tms.events"] is Likeness.DIFFERENT


async def test_a_name_that_amqp_cannot_hold_is_a_finding(bench: Any) -> None:
    queues = (Queue(name="q" * 300, bindings=("k" * 300,)),)
    parts = topology.configured(Amqp(urls=("amqp://localhost",), queues=queues))
    applied = await topology.apply(await bench.session(), parts)
    assert [finding.part.kind for finding in applied if finding.wrong] == ["queue", "binding"]


async def test_missing_permissions_are_told_apart_from_missing_parts(
    bench: Any, parts: tuple[Part, ...], rabbitmq: Node
) -> None:
    owner = await bench.session()
    await topology.apply(owner, parts)
    vhost = bench.url.path.removeprefix("/")
    user = f'<<"{vhost}">>'
    rabbitmq.evaluate(
        f'rabbit_auth_backend_internal:add_user({user}, <<"pw">>, <<"tests">>), '
        f'rabbit_auth_backend_internal:set_permissions({user}, {user}, <<"">>, <<"">>, <<"">>, <<"tests">>).'
    )
    session = await bench.session(url=bench.url.with_user(vhost).with_password("pw"))
    assert {finding.state for finding in await topology.check(session, parts)} == {Likeness.RIGHT}
    shown = await topology.show(session, parts)
    assert {finding.state for finding in shown} == {Likeness.UNKNOWN}
    assert {finding.state for finding in await topology.apply(session, parts)} == {Likeness.FORBIDDEN}
    problem = await try_publishing(session, "tms.events")
    assert problem is not None
    assert problem.startswith("the user may not write to exchange tms.events: 403 ACCESS_REFUSED")


async def test_a_test_publish_leaves_nothing_behind(bench: Any, parts: tuple[Part, ...]) -> None:
    session = await bench.session()
    assert await try_publishing(session, "tms.events") == "there is no exchange tms.events"
    await topology.apply(session, parts)
    assert await try_publishing(session, "tms.events") is None
    assert await bench.depth("crm") == 0


async def test_a_lost_connection_is_an_error(bench: Any, parts: tuple[Part, ...]) -> None:
    session = await bench.session()
    await session.abort()
    with pytest.raises(BrokerError):
        await topology.apply(session, parts)
    with pytest.raises(BrokerError):
        await try_publishing(session, "tms.events")


def archived(vhost: str, **archive: Any) -> tuple[Part, ...]:
    return topology.configured(Amqp(urls=(vhost,), archive=Archive(**archive)))


async def test_the_archive_is_a_stream_that_takes_every_event(bench: Any, vhost: str) -> None:
    session = await bench.session()
    parts = archived(vhost)
    for _ in range(2):
        assert {Likeness.RIGHT} == set(states(await topology.apply(session, parts)).values())
    assert [] == [finding for finding in await topology.show(session, parts) if finding.wrong]
    assert ["queue tms.archive", "binding of queue tms.archive to exchange tms.events by #"] == [
        str(part) for part in parts[-2:]
    ]


async def test_an_archive_of_another_age_is_told_to_be_different(bench: Any, vhost: str) -> None:
    session = await bench.session()
    await topology.apply(session, archived(vhost, max_age="7d"))
    found = states(await topology.show(session, archived(vhost, max_age="36h")))
    assert Likeness.DIFFERENT is found["queue tms.archive"]


async def test_a_policy_sends_on_what_nobody_takes_beside_an_archive(
    bench: Any, vhost: str, rabbitmq: Node, event: Any, collect: Any
) -> None:
    """The steps that docs/operations.md tells."""
    publisher = await bench.publisher(exchange="tms.entry", archive=Archive())
    channel = await bench.channel()
    await channel.exchange_declare("tms.events", exchange_type="topic", durable=True)
    await channel.exchange_bind("tms.events", "tms.entry", "#")
    policy = ("tms-unbound", r"^tms\.events$", '{"alternate-exchange": "tms.unroutable"}')
    name = vhost.rpartition("/")[2]
    rabbitmq.ctl("set_policy", "--vhost", name, "--apply-to", "exchanges", *policy)
    await channel.exchange_declare("tms.events", exchange_type="topic", durable=True)  # as a consumer does
    bound = await bench.queue("tms.class.scheduled")
    for number, key in enumerate(("tms.class.scheduled", "tms.class.denied")):
        publisher.publish(number, event(id=key, routing_key=key), "tms.entry")
    assert {0: Outcome.CONFIRMED, 1: Outcome.CONFIRMED} == await collect(publisher, 2)
    assert "tms.class.denied" == (await bench.get("tms.unroutable")).header.properties.message_id
    assert "tms.class.scheduled" == (await bench.get(bound)).header.properties.message_id
    assert (0, 0) == (await bench.depth("tms.unroutable"), await bench.depth(bound))


@pytest.mark.parametrize(
    ("max_bytes", "segment"), [(1_000_000, 500_000), (1_000_000_000, 50_000_000), (1 << 40, 100_000_000)]
)
def test_the_segments_of_an_archive_are_small_beside_the_whole(
    vhost: str, max_bytes: int, segment: int
) -> None:
    arguments = dict(archived(vhost, max_bytes=max_bytes)[-2].arguments)
    assert ("7D", segment) == (arguments["x-max-age"], arguments["x-stream-max-segment-size-bytes"])
