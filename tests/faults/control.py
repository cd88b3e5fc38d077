"""What the faults do to a broker, by Erlang and by AMQP: alarms, rights, exchanges, queues.

The bridge connects as a user of its own, so that what is taken from it is not taken from the consumers.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, TypeVar

import aiormq
from aiormq.abc import AbstractChannel
from tests.faults.records import Binding

from rabbitmq import BrokerFailedError, Node

T = TypeVar("T")

EXCHANGE: Final = "tms.events"
BRIDGE_USER: Final = "bridge"
_QUORUM: Final = {"x-queue-type": "quorum"}
_ANYTHING: Final = ".*"


class Control:
    """One broker node's switches; plain calls that return when the broker has done it.

    Attributes:
        password: the bridge's own, at this broker.
    """

    def __init__(self, node: Node) -> None:
        self.node = node
        self.password = secrets.token_hex(8)

    def bridge_url(self, port: int) -> str:
        """Return the URL by which the bridge connects through this port, in the default virtual host."""
        return f"amqp://{BRIDGE_USER}:{self.password}@127.0.0.1:{port}/%2F"

    def add_bridge_user(self) -> None:
        """Make the user that the bridge connects as, with all rights."""
        name, password = _binary(BRIDGE_USER), _binary(self.password)
        self._erlang(f"rabbit_auth_backend_internal:add_user({name}, {password}, {self._acting})")
        self.permit()

    def permit(self) -> None:
        """Give the bridge all rights, on every topic."""
        self.permit_topics(_ANYTHING)
        rights = ", ".join([_binary(_ANYTHING)] * 3)
        self._erlang(
            f"rabbit_auth_backend_internal:set_permissions({_binary(BRIDGE_USER)}, "
            f'<<"/">>, {rights}, {self._acting})'
        )

    def permit_topics(self, pattern: str) -> None:
        """Let the bridge publish these routing keys only; a channel remembers, so reset it to enforce."""
        self._erlang(
            f"rabbit_auth_backend_internal:set_topic_permissions({_binary(BRIDGE_USER)}, "
            f'<<"/">>, {_binary(EXCHANGE)}, {_binary(pattern)}, {_binary(_ANYTHING)}, {self._acting})'
        )

    def revoke_credentials(self) -> None:
        """Change the password that the bridge knows."""
        self._set_password(secrets.token_hex(8))

    def restore_credentials(self) -> None:
        """Make the password valid again that the bridge knows."""
        self._set_password(self.password)

    def set_memory_alarm(self, *, on: bool) -> None:
        """Turn the memory alarm on or off; while it is on, nobody may publish."""
        mark = "0.00001" if on else '{absolute, "1GiB"}'
        self._erlang(f"vm_memory_monitor:set_vm_memory_high_watermark({mark})")

    def set_disk_alarm(self, *, on: bool) -> None:
        """Turn the alarm of the free disk space on or off."""
        limit = 10**15 if on else 50_000_000
        self._erlang(f"rabbit_disk_monitor:set_disk_free_limit({limit})")

    def set_max_message_size(self, size: int) -> None:
        """Answer 406 to larger messages, on channels that are opened from now on."""
        self._erlang(
            f"application:set_env(rabbit, max_message_size, {size}), "
            f"persistent_term:put(max_message_size, {size})"
        )

    def delete_exchange(self, name: str = EXCHANGE) -> None:
        """Delete an exchange with its bindings: the next publish closes the channel with 404."""
        self._amqp(lambda channel: channel.exchange_delete(name))

    def declare(self, bindings: Sequence[Binding], arguments: Mapping[str, str | int]) -> None:
        """Declare the exchange and quorum queues, and bind them; what is there already stays."""
        self._amqp(lambda channel: _declare(channel, bindings, arguments))

    def unbind(self, bindings: Sequence[Binding]) -> None:
        """Take the bindings away, so that nobody wants these keys."""
        self._amqp(lambda channel: _each(channel.queue_unbind, bindings))

    def bind(self, bindings: Sequence[Binding]) -> None:
        """Put the bindings back."""
        self._amqp(lambda channel: _each(channel.queue_bind, bindings))

    def keep(self) -> None:
        """Have what was declared and bound on the disk, where it is only a little after the answer."""
        self._erlang("mnesia:sync_log()")

    def declare_fanout(self, name: str) -> None:
        """Declare a fanout exchange with the quorum queue of its name, as the bridge does."""
        self._amqp(lambda channel: _declare_fanout(channel, name))

    def ready(self, queues: Sequence[str]) -> dict[str, int]:
        """Return how many messages of each queue wait for a consumer, as of now."""
        return self._amqp(lambda channel: _ready(channel, queues))

    def _set_password(self, password: str) -> None:
        self._erlang(
            f"rabbit_auth_backend_internal:change_password({_binary(BRIDGE_USER)}, {_binary(password)}, "
            f"{self._acting})"
        )

    @property
    def _acting(self) -> str:
        return _binary(self.node.user)

    def _erlang(self, expressions: str) -> str:
        return self.node.evaluate(f"{expressions}.")

    def _amqp(self, work: Callable[[AbstractChannel], Awaitable[T]]) -> T:
        try:
            return asyncio.run(_with_channel(self.node.url, work))
        except aiormq.exceptions.AMQPError as error:
            raise BrokerFailedError(f"the broker refused what a fault asks of it: {error!r}") from error


def empty(node: Node) -> None:
    """Take the bridge's user and everything in the default virtual host away."""
    user, acting = _binary(BRIDGE_USER), _binary(node.user)
    # Either may be gone already: a test that failed leaves anything behind.
    node.evaluate(f'catch rabbit_vhost:delete(<<"/">>, {acting}).')
    node.evaluate(f"catch rabbit_auth_backend_internal:delete_user({user}, {acting}).")
    node.add_vhost("/")


async def _with_channel(url: str, work: Callable[[AbstractChannel], Awaitable[T]]) -> T:
    connection = await aiormq.connect(url)
    try:
        return await work(await connection.channel(publisher_confirms=False))
    finally:
        await connection.close()


async def _declare(
    channel: AbstractChannel, bindings: Sequence[Binding], arguments: Mapping[str, str | int]
) -> None:
    await channel.exchange_declare(EXCHANGE, exchange_type="topic", durable=True)
    for name in dict.fromkeys(binding.queue for binding in bindings):
        await channel.queue_declare(name, durable=True, arguments={**_QUORUM, **arguments})
    await _each(channel.queue_bind, bindings)


async def _declare_fanout(channel: AbstractChannel, name: str) -> None:
    await channel.exchange_declare(name, exchange_type="fanout", durable=True)
    await channel.queue_declare(name, durable=True, arguments=dict(_QUORUM))
    await channel.queue_bind(name, name)


async def _ready(channel: AbstractChannel, queues: Sequence[str]) -> dict[str, int]:
    return {name: (await channel.queue_declare(name, passive=True)).message_count or 0 for name in queues}


async def _each(step: Callable[[str, str, str], Awaitable[object]], bindings: Sequence[Binding]) -> None:
    for binding in bindings:
        await step(binding.queue, EXCHANGE, binding.pattern)


def _binary(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'<<"{escaped}">>'
