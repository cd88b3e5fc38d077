"""What is known of one request while it is answered; the log line and the metrics are made of it."""

from typing import Final

import msgspec

from tms_bridge.outbox.contract import Receipt

UNLISTED_VALID: Final = "unlisted_address_valid_credentials"
"""Outcome and log event of the special signal that the vendor has moved."""


class Visit(msgspec.Struct, gc=False):
    """One request, from the end of its headers to its answer.

    Attributes:
        request_id: also the span id of `traceparent`.
        started: on `time.perf_counter`, since the event loop's clock may count milliseconds.
        peer: the address that the connection comes from.
        client: the address of the caller, which a trusted proxy may have told.
        unlisted: why the client address is on no list; empty when it is on one.
        credential: the name of the credential that matched.
        held: the event goes into quarantine until an operator releases it.
        detail: for the log alone, what is wrong with the request.
        unread: fields of the event that were there and could not be read.
        receipt: what the outbox said; answered 2xx where it is set.
        answered: the whole answer was handed to a connection that was still open.
    """

    request_id: str
    traceparent: str
    started: float
    peer: str
    source: str = ""
    trigger: str = ""
    client: str = ""
    unlisted: str = ""
    credential: str = ""
    held: bool = False
    outcome: str = ""
    id: str = ""
    status: str = ""
    routing_key: str = ""
    detail: str = ""
    unread: tuple[str, ...] = ()
    receipt: Receipt | None = None
    answered: bool = True
