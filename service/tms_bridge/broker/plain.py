"""The plain publisher: aiormq's public `basic_publish`, a task a message.

It costs several times what `pipelined` does, and leans on nothing that aiormq does not promise.
"""

import asyncio
import struct
from typing import Final

from aiormq import spec
from aiormq.abc import AbstractChannel
from aiormq.exceptions import DeliveryError, PublishError
from pamqp.header import ContentHeader

from tms_bridge.broker.confirming import ConfirmingPublisher
from tms_bridge.broker.link import FRAME_OVERHEAD
from tms_bridge.broker.properties import properties_of
from tms_bridge.broker.session import Session, translated
from tms_bridge.errors import BrokerError
from tms_bridge.message import Message, Outcome

ENCODING_ERRORS: Final = (TypeError, ValueError, OverflowError, struct.error)
"""What the AMQP client raises over a message that no frame can hold; UnicodeError is a ValueError."""

_LAST_WORDS_S: Final = 1.0
"""How long outcomes that came before the end may take to reach their tasks."""


class PlainPublisher(ConfirmingPublisher):
    """Publishes through `basic_publish`."""

    def __init__(
        self, session: Session, channel: AbstractChannel, *, max_outstanding: int, confirm_timeout_s: float
    ) -> None:
        super().__init__(session, max_outstanding=max_outstanding, confirm_timeout_s=confirm_timeout_s)
        self._channel = channel
        self._frame_max = session.frame_max
        self._link.publishing_channel = channel.number
        self._sent_at: dict[int, float] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._last_words: asyncio.Task[None] | None = None

    def publish(self, key: int, message: Message, exchange: str) -> None:
        """Send one message, persistent and mandatory; its outcome comes from `outcomes` under `key`."""
        self._outstanding += 1
        self._sent_at[key] = self._loop.time()
        task = self._loop.create_task(self._publish(key, message, exchange))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _publish(self, key: int, message: Message, exchange: str) -> None:
        try:
            with translated("publish"):
                outcome = await self._send(message, exchange)
        except BrokerError as failure:
            self._end(str(failure))
            return
        del self._sent_at[key]
        self._resolve(key, outcome)

    async def _send(self, message: Message, exchange: str) -> Outcome:
        try:
            properties = properties_of(message)
            self._check_size(properties)
            answer = await self._channel.basic_publish(
                message.body,
                exchange=exchange,
                routing_key=message.routing_key,
                properties=properties,
                mandatory=True,
            )
        except PublishError:
            return Outcome.RETURNED
        except DeliveryError:
            return Outcome.NACKED
        except ENCODING_ERRORS:
            return Outcome.REFUSED
        if not isinstance(answer, spec.Basic.Ack):
            raise BrokerError(f"a publish was answered with {answer!r}")
        return Outcome.CONFIRMED

    def _check_size(self, properties: spec.Basic.Properties) -> None:
        if len(ContentHeader(properties=properties).marshal()) + FRAME_OVERHEAD > self._frame_max:
            raise ValueError("the headers do not fit into one frame")

    def _oldest_sent_at(self) -> float | None:
        return next(iter(self._sent_at.values()), None)

    def _end(self, reason: str) -> None:
        """Close, once the outcomes that came before the end have reached their tasks."""
        if self._last_words is None and self._closed is None:
            self._last_words = self._loop.create_task(self._hear_last_words(reason))

    async def _hear_last_words(self, reason: str) -> None:
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_LAST_WORDS_S)
        super()._end(reason)

    @property
    def room(self) -> int:
        """How many more publishes it takes now; 0 while the broker blocks the connection."""
        return 0 if self._last_words is not None else super().room
