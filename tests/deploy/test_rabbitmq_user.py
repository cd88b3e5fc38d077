"""The topology and the rights of components/rabbitmq, on a real broker."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import aio_pika
import msgspec
import pytest
import yaml
from aiormq.exceptions import ChannelAccessRefused

from rabbitmq import Node

COMPONENT = Path(__file__).parents[2] / "deploy" / "kustomize" / "components" / "rabbitmq"
PASSWORD = "least-rights"


class Permissions(msgspec.Struct):
    configure: str
    write: str
    read: str


class Spec(msgspec.Struct):
    name: str = ""
    type: str = ""
    source: str = ""
    destination: str = ""
    permissions: Permissions | None = None


class Object(msgspec.Struct):
    kind: str
    spec: Spec


def objects(name: str) -> list[Object]:
    return msgspec.convert(list(yaml.safe_load_all((COMPONENT / name).read_text())), list[Object])


async def make_topology(url: str) -> None:
    """Do what the Topology Operator does with topology.yaml."""
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        for found in objects("topology.yaml"):
            spec = found.spec
            match found.kind:
                case "Exchange":
                    await channel.declare_exchange(spec.name, spec.type, durable=True)
                case "Queue":
                    await channel.declare_queue(
                        spec.name, durable=True, arguments={"x-queue-type": spec.type}
                    )
                case "Binding":
                    queue = await channel.get_queue(spec.destination)
                    await queue.bind(spec.source)


@pytest.fixture
def user(rabbitmq: Node, vhost: str) -> Iterator[str]:
    """The URL of a user with the rights of user.yaml, and none besides."""
    parts = urlsplit(vhost)
    (permissions,) = (each.spec.permissions for each in objects("user.yaml") if each.spec.permissions)
    name = f"least-{parts.path[1:]}"
    rabbitmq.ctl("add_user", name, PASSWORD)
    rights = (permissions.configure, permissions.write, permissions.read)
    rabbitmq.ctl("set_permissions", "--vhost", parts.path[1:], name, *rights)
    yield f"amqp://{name}:{PASSWORD}@{parts.hostname}:{parts.port}{parts.path}"
    rabbitmq.ctl("delete_user", name)


def check_online(url: str, directory: Path) -> tuple[int, object]:
    config = directory / "tms-bridge.toml"
    config.write_text(
        '[amqp]\nurls = ["${AMQP_URL}"]\ndeclare = false\n'
        '[sources.contoso]\nallow_from = ["any"]\n'
        '[[sources.contoso.credentials]]\nname = "first"\nheaders = { X-Key = "${KEY}" }\n'
    )
    command = [sys.executable, "-m", "tms_bridge", "check", "--online", "--json", "--config", str(config)]
    environment = {**os.environ, "AMQP_URL": url, "KEY": "long-enough-for-a-key"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, json.loads(done.stdout)


async def test_the_user_publishes_on_the_operators_topology(vhost: str, user: str, tmp_path: Path) -> None:
    await make_topology(vhost)
    code, found = check_online(user, tmp_path)
    assert 0 == code, found
    assert "'fail'" not in str(found)
    assert "a test message was confirmed" in str(found)


@pytest.mark.long
async def test_the_user_may_do_nothing_else(vhost: str, user: str) -> None:
    await make_topology(vhost)
    async with await aio_pika.connect(user) as connection:
        for attempt in ("tms.events", "tms.new"):
            channel = await connection.channel()
            with pytest.raises(ChannelAccessRefused):
                await channel.declare_exchange(attempt, "topic", durable=True)
        channel = await connection.channel()
        queue = await channel.get_queue("tms.quarantine", ensure=False)
        with pytest.raises(ChannelAccessRefused):
            await queue.get()
