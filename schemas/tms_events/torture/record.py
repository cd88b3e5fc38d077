"""What was sent to a consumer, and what was seen of it: the oracle's evidence."""

from collections.abc import Callable, Iterable

import msgspec

from tms_events.event import Event

Number = int
"""Of one published message, in its header `NUMBER_HEADER`; a copy has a number of its own."""

NUMBER_HEADER = "tms-torture"


class Sent(msgspec.Struct, kw_only=True):
    """One published message, and what became of it.

    Attributes:
        number: which one.
        ordeal: in which it was published.
        id: the AMQP property `message_id`.
        event: what the body holds; None for poison.
        optional: whether a consumer may pass it over.
        routed: whether any queue wanted it.
        deliveries: how often the broker delivered it.
        returns: how often the consumer put it back.
        settled: how the consumer settled it for good; empty while it has not.
        abandoned: whether it was taken away, since the consumer could not get past it.
        buried: whether the dead letters hold it.
    """

    number: Number
    ordeal: str
    id: str
    event: Event | None
    optional: bool = False
    routed: bool = True
    deliveries: int = 0
    returns: int = 0
    settled: str = ""
    abandoned: bool = False
    buried: bool = False


class Told(msgspec.Struct, kw_only=True):
    """What the consumer said of one event.

    Attributes:
        handled: the event's id.
        state: where its entity stands now, if the consumer keeps that.
        ordeal: during which it was said.
        known: how many messages had been sent by then.
    """

    handled: str
    state: str | None = None
    ordeal: str = ""
    known: int = 0


class Fall(msgspec.Struct, kw_only=True):
    """The consumer ended by itself, or did not come to read its queue again.

    Attributes:
        ordeal: in which.
        hand: ids of the events that it had in hand, the first delivered first.
        words: how it ended, with the last line that it wrote to standard error.
    """

    ordeal: str
    words: str
    hand: list[str] = []


def _nobody() -> None:
    """Listen to nobody: no consumer runs yet."""


class Record:
    """All of it, in the order in which it was seen.

    Attributes:
        ordeal: the one that is going on.
        sent: every published message; its place is its number.
        told: every line that the consumer said.
        early: ids that were acknowledged before the consumer had said that they were handled.
        doubtful: ids in hand of a process that ended: it may have handled them and not come to say it.
        hand: numbers that are delivered and not settled.
        falls: each time that the consumer ended by itself.
        stuck: numbers that the consumer did not settle in time, or put back again and again.
        missed: ordeals that time did not suffice for.
        listen: reads what the consumer has said by now.
    """

    listen: Callable[[], None]

    def __init__(self) -> None:
        self.listen = _nobody
        self.ordeal = ""
        self.sent: list[Sent] = []
        self.told: list[Told] = []
        self.early: set[str] = set()
        self.doubtful: set[str] = set()
        self.hand: dict[Number, None] = {}
        self.falls: list[Fall] = []
        self.stuck: list[Number] = []
        self.missed: list[str] = []
        self._handled: set[str] = set()

    def send(self, event_id: str, event: Event | None, *, optional: bool = False) -> Sent:
        """Note a message that is about to be published."""
        sent = Sent(number=len(self.sent), ordeal=self.ordeal, id=event_id, event=event, optional=optional)
        self.sent.append(sent)
        return sent

    def tell(self, line: bytes) -> None:
        """Note a line of the consumer's standard output; what is no answer is its own affair."""
        try:
            told = msgspec.json.decode(line, type=Told)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return
        told.ordeal, told.known = self.ordeal, len(self.sent)
        self.told.append(told)
        self._handled.add(told.handled)

    def deliver(self, number: Number) -> bool:
        """Note that the broker gave the consumer a message; False where we sent none of this number."""
        if not 0 <= number < len(self.sent):
            return False
        self.sent[number].deliveries += 1
        self.hand[number] = None
        return True

    def acknowledge(self, number: Number) -> None:
        """Note that the consumer wrote an acknowledgement; it may not have reached the broker yet."""
        self.listen()
        sent = self.sent[number]
        if sent.event is not None and not sent.optional and sent.id not in self._handled | self.doubtful:
            self.early.add(sent.id)

    def settle(self, number: Number, how: str) -> None:
        """Note that the broker has been told what becomes of a message; `requeued` is not for good."""
        self.hand.pop(number, None)
        if how == "requeued":
            self.sent[number].returns += 1
        else:
            self.sent[number].settled = how

    def end(self, numbers: list[Number]) -> None:
        """Note that the connection ended on which these messages were in hand."""
        for number in numbers:
            if self.sent[number].id not in self._handled:
                self.doubtful.add(self.sent[number].id)
            self.hand.pop(number, None)

    def give_up(self, missed: Iterable[str]) -> None:
        """Leave the ordeals of these names out, and what has not been settled in this one unjudged."""
        self.missed = list(missed)
        for sent in self.unsettled():
            sent.abandoned = True

    def unsettled(self) -> list[Sent]:
        """Return what the consumer still has to settle in this ordeal."""
        return [
            sent
            for sent in self.sent
            if sent.routed and not sent.settled and not sent.abandoned and sent.ordeal == self.ordeal
        ]

    def is_told(self, event_id: str) -> bool:
        """Tell whether the consumer said that it handled an event."""
        return event_id in self._handled
