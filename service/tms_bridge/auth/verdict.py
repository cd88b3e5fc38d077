"""What an address check comes to."""

import enum

import msgspec


class Verdict(enum.Enum):
    """Whether the client may call."""

    ALLOWED = "allowed"
    """The client address is on the allowlist."""

    UNLISTED = "unlisted"
    """The client address is known, and not on the allowlist."""

    UNREADABLE = "unreadable"
    """What should tell the client address cannot be read; it counts as on no list."""


class Admission(msgspec.Struct, frozen=True):
    """The verdict on one request's address.

    Attributes:
        verdict: whether the client may call.
        client: the client address in its shortest form; empty where it is unreadable.
        reason: for the log alone: which peer, which header, and what would make it pass; empty when allowed.
    """

    verdict: Verdict
    client: str
    reason: str = ""
