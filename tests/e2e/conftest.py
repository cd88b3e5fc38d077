"""The real service as a process of its own, against a real broker, seen from outside alone."""

import secrets
from collections.abc import Iterator

import pytest

from bridge import Bridge
from rabbitmq import Node


@pytest.fixture(scope="module")
def amqp_url(rabbitmq: Node) -> Iterator[str]:
    """A virtual host for the tests of one module."""
    name = f"e2e-{secrets.token_hex(6)}"
    yield rabbitmq.add_vhost(name)
    rabbitmq.delete_vhost(name)


@pytest.fixture(scope="module")
def bridge(amqp_url: str) -> Iterator[Bridge]:
    """A running bridge that nobody stops."""
    with Bridge(amqp_url, more='[log]\nlevel = "debug"') as running:
        yield running
