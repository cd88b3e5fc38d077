"""What can go wrong, as a tree by blame.

BridgeError
├── SettingsError            the operator's: the configuration cannot be used
├── SenderError              the sender's: answered with the status it carries
│   ├── MalformedRequest     400  the bytes are no HTTP request
│   ├── Unauthorized         401  credentials missing or wrong
│   ├── InvalidQuery         400  a parameter or a line of the body cannot be used
│   ├── Forbidden            403  the admin API is not for this caller
│   ├── AddressRefused       403  the client address is not on the allowlist
│   ├── UnknownPath          404  no such path, or no such source
│   ├── MethodNotAllowed     405  the path takes another method
│   ├── HeadTimeout          408  the head did not arrive within its time
│   ├── BodyTimeout          408  the body did not arrive within the deadline
│   ├── BodyTooLarge         413  the body is over the limit
│   ├── EncodedBody          415  the body has a Content-Encoding
│   ├── Throttled            429  too many wrong credentials came from this address
│   ├── HeadTooLarge         431  the head is over the limit
│   ├── ExpectationUnknown   417  an Expect header with something other than 100-continue
│   └── Undecodable          422  the body is no event that this trigger can hold
├── Unavailable              ours: 503 with Retry-After, nothing could make the event durable
├── OutboxError              the disk's
│   ├── OutboxLocked         another process holds the directory
│   ├── OutboxBroken         a failed fsync or a corrupt file: fatal, never retried
│   ├── RowBusy              409: the row is in flight just now
│   ├── RowUnfit             409: the row is in a state that this cannot be done to
│   └── RowMissing           404: there is no such row
├── ClientUnfit              the installation's: another version of the AMQP client is needed
└── BrokerError              the broker's, or the road's to it
    └── PublisherClosed      this publisher is gone; what was outstanding has an unknown fate
"""

from typing import ClassVar


class BridgeError(Exception):
    """Anything that this service raises on purpose; the text is for the person who must act."""


class SettingsError(BridgeError):
    """The configuration cannot be used; the text names the key and says how to mend it."""


class SenderError(BridgeError):
    """The caller is to blame; `status` is the HTTP status of the answer, the text its `detail`."""

    status: ClassVar[int]


class MalformedRequest(SenderError):  # noqa: N818 - states the fact
    """The bytes are no HTTP request, or its body is not framed as its headers say."""

    status = 400


class Unauthorized(SenderError):  # noqa: N818 - named as the HTTP status is
    """Credentials are missing or wrong; `challenge` is the answer's WWW-Authenticate."""

    status = 401

    def __init__(self, reason: str, *, challenge: str = 'Basic realm="tms-bridge", charset="UTF-8"') -> None:
        super().__init__(reason)
        self.challenge = challenge


class InvalidQuery(SenderError):  # noqa: N818 - states the fact
    """A parameter of the query, or a line of the body, cannot be used."""

    status = 400


class Forbidden(SenderError):  # noqa: N818 - named as the HTTP status is
    """The admin API is not for this caller."""

    status = 403


class AddressRefused(SenderError):  # noqa: N818 - reads better than AddressRefusedError where it is raised
    """The client address is not on the source's allowlist, or could not be read."""

    status = 403


class UnknownPath(SenderError):  # noqa: N818 - as above
    """No such path, or no such source."""

    status = 404


class MethodNotAllowed(SenderError):  # noqa: N818 - named as the HTTP status is
    """The path exists but takes another method; `allow` lists those that it takes."""

    status = 405

    def __init__(self, reason: str, *, allow: str = "") -> None:
        super().__init__(reason)
        self.allow = allow


class HeadTimeout(SenderError):  # noqa: N818 - as above
    """The head of a request did not arrive in full within its time."""

    status = 408


class Throttled(SenderError):  # noqa: N818 - as above
    """Too many wrong credentials came from this address; it may come back in `retry_after_s` seconds."""

    status = 429

    def __init__(self, reason: str, *, retry_after_s: int) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s


class HeadTooLarge(SenderError):  # noqa: N818 - as above
    """The head is longer than the configured limit."""

    status = 431


class BodyTimeout(SenderError):  # noqa: N818 - as above
    """The body did not arrive in full within the deadline."""

    status = 408


class BodyTooLarge(SenderError):  # noqa: N818 - as above
    """The body is longer than the configured limit."""

    status = 413


class EncodedBody(SenderError):  # noqa: N818 - as above
    """The body is compressed, which TMS never does."""

    status = 415


class ExpectationUnknown(SenderError):  # noqa: N818 - as above
    """The Expect header asks for something that this server does not know."""

    status = 417


class Undecodable(SenderError):  # noqa: N818 - as above
    """The body is no event of its trigger; the text is the reason that quarantine keeps with it."""

    status = 422

    def __init__(self, reason: str, *, quarantine_id: str = "") -> None:
        super().__init__(reason)
        self.quarantine_id = quarantine_id


class Unavailable(BridgeError):  # noqa: N818 - named as the HTTP status is
    """Nothing could make the event durable; the sender should come back in `retry_after_s` seconds."""

    def __init__(self, reason: str, *, retry_after_s: int = 1) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s


class OutboxError(BridgeError):
    """The outbox could not do what was asked."""


class OutboxLocked(OutboxError):  # noqa: N818 - states the fact
    """Another process holds the outbox directory."""


class OutboxBroken(OutboxError):  # noqa: N818 - states the fact
    """A write or fsync failed, or the file is corrupt; the process must exit and the operator look."""


class RowBusy(OutboxError):  # noqa: N818 - states the fact
    """The row is in flight to the broker; try again when it has settled."""


class RowUnfit(OutboxError):  # noqa: N818 - states the fact
    """The row is in a state that this cannot be done to; the text names the verb that can."""


class RowMissing(OutboxError):  # noqa: N818 - states the fact
    """There is no row of that id."""


class BrokerError(BridgeError):
    """The broker, or the connection to it, failed."""


class PublisherClosed(BrokerError):  # noqa: N818 - states the fact
    """The publisher is closed and its connection aborted; outstanding publishes have an unknown fate.

    `by_message` is true when the broker closed the channel or the connection over something that was
    published (a missing exchange, a refused permission, a frame that it cannot take), so that one of the
    outstanding messages is the culprit; false for resets, heartbeat loss, shutdown and time-outs.
    `code` is the broker's AMQP reply code, where it gave one.
    """

    def __init__(self, reason: str, *, by_message: bool = False, code: int | None = None) -> None:
        super().__init__(reason)
        self.by_message = by_message
        self.code = code


class ClientUnfit(BridgeError):  # noqa: N818 - states the fact
    """The AMQP client is none on which the publisher was tested; another version has to be installed."""
