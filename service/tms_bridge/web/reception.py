"""An authenticated body becomes durable: as an event, as the retry of one, held, or in quarantine."""

import time
from collections.abc import Callable
from typing import Final

import msgspec

from tms_bridge import ingest
from tms_bridge.errors import Undecodable
from tms_bridge.http.ids import EventIds
from tms_bridge.message import Message
from tms_bridge.outbox.contract import Durable, Intake, Receipt, Waiter
from tms_bridge.web.route import Route
from tms_bridge.web.visit import Visit


class Taken(msgspec.Struct, frozen=True):
    """The body of a 2xx."""

    id: str
    outcome: str
    routing_key: str
    durable: Durable


_encode: Final = msgspec.json.Encoder().encode


class Reception:
    """Hands bodies to the outbox, and tells it which were answered."""

    def __init__(
        self,
        outbox: Intake,
        ids: EventIds,
        observations: ingest.Observations | None = None,
        now_us: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        self._outbox = outbox
        self._ids = ids
        self._observations = observations or ingest.Observations()
        self._now_us = now_us
        self.unanswered = outbox.unanswered

    async def take(self, route: Route, body: bytes, visit: Visit) -> bytes:
        """Return the body of the 2xx once the event is durable and noted as answered.

        Raises:
            Undecodable: it is no event; its body is safe in quarantine.
            Unavailable: it could not be made durable.
        """
        digest = ingest.digest(route.source, route.trigger, body)
        receipt = await self._outbox.recall(digest)
        if receipt is None:
            receipt = await self._take_in(route, body, visit, digest)
        body_of_answer = self.tell(receipt, visit)
        # From here to the write nothing is awaited; where the note fails, no 2xx is given.
        self._outbox.answering(receipt)
        visit.receipt = receipt
        return body_of_answer

    def take_new(self, route: Route, body: bytes, visit: Visit, waiter: Waiter) -> bool:
        """Take in a new event without waiting; its waiter is told. False: it is a retry, or no event.

        Raises:
            Unavailable: there is no room for it.
        """
        digest = ingest.digest(route.source, route.trigger, body)
        if self._outbox.knows(digest):
            return False
        try:
            message = self._understand(route, body, visit, self._arrival(visit, digest))
        except Undecodable:
            return False
        self._outbox.take(message, waiter)
        return True

    def tell(self, receipt: Receipt, visit: Visit) -> bytes:
        """Return the body of the 2xx for what is durable."""
        visit.id, visit.routing_key = receipt.id, receipt.routing_key or visit.routing_key
        visit.status = visit.status or receipt.routing_key.rpartition(".")[2]
        visit.outcome = _outcome(receipt, visit)
        return _encode(Taken(receipt.id, visit.outcome, visit.routing_key, self._outbox.durable))

    async def _take_in(self, route: Route, body: bytes, visit: Visit, digest: str) -> Receipt:
        arrival = self._arrival(visit, digest)
        try:
            message = self._understand(route, body, visit, arrival)
        except Undecodable as error:
            self._observations.note(body, route.rules, None, arrival.received_at_us)
            return await self._quarantine(ingest.quarantined(body, route.rules, arrival, error), visit)
        return await (self._outbox.hold(message) if visit.held else self._outbox.accept(message))

    def _arrival(self, visit: Visit, digest: str) -> ingest.Arrival:
        return ingest.Arrival(self._ids.mint(), self._now_us(), digest, visit.traceparent)

    def _understand(self, route: Route, body: bytes, visit: Visit, arrival: ingest.Arrival) -> Message:
        message, decoded, kind = ingest.understand_in_full(body, route.rules, arrival)
        visit.status, visit.routing_key = message.status, message.routing_key
        visit.detail, visit.unread = ingest.remark(decoded), decoded.reading.unread
        self._observations.note(body, route.rules, kind, arrival.received_at_us)
        return message

    async def _quarantine(self, message: Message, visit: Visit) -> Receipt:
        kept = await self._outbox.quarantine(message)
        visit.id, visit.detail = kept.id, message.reason
        raise Undecodable(
            f"The body is no event of this trigger: {message.reason}. It is kept in quarantine, from where "
            "the operator can replay it once it can be read; sending it again does not help.",
            quarantine_id=kept.id,
        )


def _outcome(receipt: Receipt, visit: Visit) -> str:
    if visit.held or not receipt.routing_key:
        return "held"
    return "duplicate" if receipt.duplicate else "accepted"
