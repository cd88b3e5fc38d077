"""Errors as RFC 9457 problems: one kind an error class, with a `type` that stays as it is."""

from collections.abc import Mapping
from typing import Final

import msgspec

from tms_bridge import errors

PROBLEM_JSON: Final = "application/problem+json"


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body of every answer that is not a success; `detail` says what to do."""

    type: str
    title: str
    status: int
    detail: str
    request_id: str
    quarantine_id: str = ""


class Kind(msgspec.Struct, frozen=True):
    """What is the same in every problem of a kind; `slug` also names its outcome in metrics and logs."""

    slug: str
    title: str
    status: int

    @property
    def type(self) -> str:
        """The identifier that callers may compare; it is no address to fetch."""
        return "urn:tms-bridge:problem:" + self.slug.replace("_", "-")


INTERNAL: Final = Kind("internal_error", "Internal error", 500)

KINDS: Final[Mapping[type[errors.BridgeError], Kind]] = {
    errors.MalformedRequest: Kind("malformed_request", "Malformed request", 400),
    errors.Unauthorized: Kind("unauthorized", "Credentials missing or wrong", 401),
    errors.InvalidQuery: Kind("invalid_query", "Parameter or line not usable", 400),
    errors.Forbidden: Kind("forbidden", "Not for this caller", 403),
    errors.AddressRefused: Kind("unlisted_address", "Client address not allowed", 403),
    errors.UnknownPath: Kind("unknown_path", "No such path", 404),
    errors.MethodNotAllowed: Kind("method_not_allowed", "Method not allowed", 405),
    errors.HeadTimeout: Kind("head_timeout", "Head not complete in time", 408),
    errors.HeadTooLarge: Kind("head_too_large", "Head too large", 431),
    errors.BodyTimeout: Kind("timeout", "Body not complete in time", 408),
    errors.BodyTooLarge: Kind("too_large", "Body too large", 413),
    errors.EncodedBody: Kind("encoded_body", "Content-Encoding not accepted", 415),
    errors.ExpectationUnknown: Kind("unknown_expectation", "Expectation not known", 417),
    errors.Undecodable: Kind("quarantined", "Not an event of this trigger", 422),
    errors.Unavailable: Kind("unavailable", "Cannot make the event durable now", 503),
    errors.RowMissing: Kind("not_found", "No such row", 404),
    errors.RowBusy: Kind("in_flight", "In flight to the broker", 409),
}

_INTERNAL_DETAIL: Final = (
    "The bridge has a defect. Its log says more under this request_id; please try again."
)


def kind_of(error: BaseException) -> Kind:
    """Return the kind of an error; what is not one of ours is an internal error."""
    return KINDS.get(type(error), INTERNAL)  # type: ignore[arg-type]  # other classes are not found, as meant


def problem_of(error: BaseException, request_id: str) -> Problem:
    """Return the body that tells the caller of this error."""
    kind = kind_of(error)
    detail = _INTERNAL_DETAIL if kind is INTERNAL else str(error)
    quarantine_id = error.quarantine_id if isinstance(error, errors.Undecodable) else ""
    return Problem(kind.type, kind.title, kind.status, detail, request_id, quarantine_id)


def headers_of(error: BaseException) -> dict[str, str]:
    """Return the headers that the status of this error calls for."""
    if isinstance(error, errors.Unauthorized):
        return {"WWW-Authenticate": error.challenge}
    if isinstance(error, errors.MethodNotAllowed):
        return {"Allow": error.allow}
    if isinstance(error, errors.Unavailable):
        return {"Retry-After": str(error.retry_after_s)}
    return {}
