import asyncio
import json
from pathlib import Path

import aio_pika

from .conftest import Invoke


def states(output: str) -> dict[tuple[str, str], set[str]]:
    found: dict[tuple[str, str], set[str]] = {}
    for row in json.loads(output):
        found.setdefault((row["kind"], row["name"]), set()).add(row["state"])
    return found


def test_what_is_missing_is_exit_code_1_until_it_is_applied(invoke: Invoke, with_broker: Path) -> None:
    before = invoke("topology", "show", "--config", with_broker, "--json")
    assert (1, {"missing"}) == (before.exit_code, states(before.stdout)["queue", "crm"])
    applied = invoke("topology", "apply", "--config", with_broker, "--json")
    assert (0, {"right"}) == (applied.exit_code, states(applied.stdout)["binding", "crm"])
    after = invoke("topology", "show", "--config", with_broker, "--json")
    assert (0, {"right"}) == (after.exit_code, states(after.stdout)["exchange", "tms.events"])


def test_what_differs_is_exit_code_1_and_is_left_as_it_is(
    invoke: Invoke, with_broker: Path, vhost: str
) -> None:
    declare_otherwise(vhost)
    for deed in ("apply", "show"):
        result = invoke("topology", deed, "--config", with_broker, "--json")
        found = states(result.stdout)
        assert (1, {"different"}) == (result.exit_code, found["exchange", "tms.events"])
        assert {"different"} == found["queue", "crm"]


def declare_otherwise(url: str) -> None:
    async def run() -> None:
        async with await aio_pika.connect(url) as connection:
            channel = await connection.channel()
            await channel.declare_exchange("tms.events", aio_pika.ExchangeType.DIRECT, durable=True)
            await channel.declare_queue("crm", durable=True)

    asyncio.run(run())


def test_a_broker_that_is_not_there_is_exit_code_1_and_shows_no_password(
    invoke: Invoke, config: Path
) -> None:
    config.write_text(config.read_text().replace("guest:guest@", "bridge:${SECRET:-hunter2}@"))
    result = invoke("topology", "show", "--config", config)
    assert (1, "") == (result.exit_code, result.stdout)
    assert "connect to amqp://127.0.0.1" in result.stderr
    assert "hunter2" not in result.stderr
