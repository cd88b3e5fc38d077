"""What became of a call, in words: first what happened, then who does what. Pure."""

from collections.abc import Callable, Collection, Mapping
from difflib import get_close_matches
from typing import Final, Literal

import msgspec

from tms_bridge.calls import TEST, AnsweredCall, CallRow, Fate

Tone = Literal["ok", "warn", "bad", "held", "idle"]
"""How good or bad it is; shown as a colour, always with a word beside it."""


class Words(msgspec.Struct, frozen=True):
    """What happened, and what to do about it; `then` is empty where there is nothing to do.

    What stands between back-ticks is to be copied, or was sent by somebody.
    """

    tone: Tone
    what: str
    then: str = ""


def words_of(row: CallRow, sources: Collection[str]) -> Words:
    """Say what became of a call; `sources` are the names that exist."""
    call = row.call
    if row.fate is not None:
        return _fate(call, row.fate)
    if call.outcome == "unknown_path":
        return _unknown_path(call, sources)
    say = _SAYINGS.get(call.outcome)
    if say is not None:
        return say(call)
    return Words("bad", f"Refused: {call.detail or call.outcome.replace('_', ' ')}")


def near_source(path: str, sources: Collection[str]) -> str:
    """Return the source that the name in an unknown webhook path was probably meant to be, or nothing."""
    parts = path.strip("/").split("/")
    if len(parts) != _PARTS or parts[0] != "webhooks":
        return ""
    return next(iter(get_close_matches(parts[1], sources, n=1, cutoff=_ALIKE)), "")


_PARTS: Final = 3
_ALIKE: Final = 0.75


def _fate(call: AnsweredCall, fate: Fate) -> Words:
    words = _stands(call, fate)
    return Words(words.tone, f"Test event. {words.what}", words.then) if call.outcome == TEST else words


def _stands(call: AnsweredCall, fate: Fate) -> Words:
    if call.outcome == "duplicate":
        return Words(
            "ok",
            "TMS called again, because it did not get our first answer.",
            "Recognised: same event, delivered once.",
        )
    match fate.state:
        case "delivered":
            return Words("ok", f"Delivered in {_ms(fate.confirmed - call.at)} on `{call.routing_key}`.")
        case "unroutable":
            return _unroutable(call, fate)
        case "blocked":
            return Words(
                "warn",
                f"Safe on disk; a queue refuses `{call.routing_key}`.",
                "It is probably full. The event is retried automatically.",
            )
        case "refused":
            return Words(
                "bad",
                f"RabbitMQ refuses this event itself: {fate.reason}",
                "It is parked: `tms-bridge outbox retry` or `drop`.",
            )
        case _:
            return Words("idle", "Safe on disk, waits for the broker.")


def _unroutable(call: AnsweredCall, fate: Fate) -> Words:
    if fate.bound_since:
        return Words(
            "idle",
            f"Accepted when no queue was bound to `{call.routing_key}`; one is bound now.",
            "Unless it was replayed since, it waits in `tms.unroutable`.",
        )
    return Words(
        "warn",
        f"Accepted, and no queue is bound to `{call.routing_key}`.",
        "It waits in `tms.unroutable`. Bind a queue, then replay.",
    )


def _unknown_path(call: AnsweredCall, sources: Collection[str]) -> Words:
    asked = call.path.strip("/").split("/")
    near = near_source(call.path, sources)
    if near:
        return Words(
            "bad",
            f'Refused: there is no source "{asked[1]}", did you mean "{near}"?',
            f"In TMS, correct the URL: `/webhooks/{near}/{asked[2]}`.",
        )
    if len(asked) > 1 and asked[0] == "webhooks" and asked[1] not in sources:
        return Words(
            "bad",
            f'Refused: there is no source "{asked[1]}".',
            "`tms-bridge tms-settings --source NAME` prints the URLs that exist.",
        )
    return Words("idle", "Refused: no such path.", "Probably a scanner. Nothing to do.")


def _unauthorized(call: AnsweredCall) -> Words:
    # What to do about it is said below, with the name of the source.
    reason = call.detail.partition("; paste")[0]
    if call.listed:
        then = (
            "In TMS, replace HttpHeaders of this webhook with the line that "
            f"`tms-bridge tms-settings --source {call.source} --reveal` prints."
        )
    else:
        then = "The address is on no list either; probably not TMS."
    why = f" {reason[:1].upper()}{reason[1:]}." if reason else ""
    return Words("bad", f"Refused: wrong password.{why}", then)


def _unlisted(call: AnsweredCall) -> Words:
    return Words(
        "bad",
        f"Refused: unlisted address {_address(call)}, and wrong password.",
        "Not TMS, which would know the password. Nothing to do.",
    )


def _moved(call: AnsweredCall) -> Words:
    return Words(
        "bad",
        f"Refused: right password, unlisted address {_address(call)}.",
        "TMS has moved, or the password has leaked. "
        f"If it is TMS, add the address to `sources.{call.source}.allow_from`.",
    )


def _held(call: AnsweredCall) -> Words:
    return Words(
        "held",
        f"Kept, not delivered: right password, unlisted address {_address(call)}.",
        "An operator releases or drops it.",
    )


def _quarantined(call: AnsweredCall) -> Words:
    then = "TMS gives it up after its retries; `tms-bridge quarantine` shows and replays it."
    if "swapped" in call.detail:
        then = "In TMS, swap the URLs of the two webhooks; then replay it as the other trigger's."
    return Words("warn", f"Not understood, kept in quarantine: {call.detail}", then)


def _unavailable(call: AnsweredCall) -> Words:
    return Words(
        "bad", f"Not taken (503): {call.detail}", "TMS tries again for 15 s; then the event is lost."
    )


def _fixed(tone: Tone, what: str, then: str = "") -> Callable[[AnsweredCall], Words]:
    said = Words(tone, what, then)
    return lambda _call: said


_SAYINGS: Final[Mapping[str, Callable[[AnsweredCall], Words]]] = {
    "unauthorized": _unauthorized,
    "unlisted_address": _unlisted,
    "unlisted_address_valid_credentials": _moved,
    "held": _held,
    "quarantined": _quarantined,
    "unavailable": _unavailable,
    "looked": _fixed(
        "ok",
        "Somebody opened the URL in a browser.",
        "The URL is right; it proves nothing about address or password.",
    ),
    "probed": _fixed("idle", "A probe."),
    "aborted": _fixed("warn", "The caller hung up before it was answered.", "TMS calls again by itself."),
    "throttled": _fixed(
        "bad", "Refused unseen: too many wrong passwords.", "Wait a minute, or correct the caller's password."
    ),
    "timeout": _fixed("bad", "Refused: it did not arrive in time.", "TMS calls again by itself."),
}


def _address(call: AnsweredCall) -> str:
    return call.address or "that cannot be told"


def _ms(seconds: float) -> str:
    """Say how long it took, in at most two units."""
    if seconds < 1:
        return f"{max(1, round(seconds * 1000))} ms"
    if seconds < _MINUTE_S:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), _MINUTE_S)
    if minutes < _MINUTE_S:
        return f"{minutes} min {rest} s"
    return f"{minutes // _MINUTE_S:,} h {minutes % _MINUTE_S} min"


_MINUTE_S: Final = 60
