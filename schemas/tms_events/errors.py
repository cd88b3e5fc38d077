"""What can go wrong with a message.

MessageError
├── MalformedMessage   no event of the bridge, or one that lost a member
└── UnknownTrigger     an event of a trigger that this version does not know
"""


class MessageError(ValueError):
    """A message body that `decode` cannot turn into an event; no retry changes that."""

    def __init__(self, reason: str, body: bytes) -> None:
        super().__init__(reason)
        self.body = body
        """The message body as it came."""


class MalformedMessage(MessageError):  # noqa: N818 - states the fact, as its siblings do
    """The body is not JSON, or lacks a member, or holds one of the wrong type; the text says which."""


class UnknownTrigger(MessageError):  # noqa: N818 - as above
    """The body is of a trigger that this version does not know: upgrade, or bind to fewer topics."""

    def __init__(self, trigger: str, body: bytes) -> None:
        super().__init__(f"trigger {trigger!r} is unknown to this version of tms-events", body)
        self.trigger = trigger
        """The trigger's name in the message."""
