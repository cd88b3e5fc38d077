"""What a row says of a call, by table."""

import pytest

from tms_bridge.calls import AnsweredCall, CallRow, Fate
from tms_bridge.words.calls import Words, near_source, words_of

SOURCES = ("contoso", "fabrikam")


def row(outcome: str, fate: Fate | None, **parts: object) -> CallRow:
    known = {
        "at": 1_000.0,
        "request_id": "r",
        "method": "POST",
        "path": "/webhooks/contoso/class-changed",
        "http_status": 202,
        "duration_ms": 2.0,
        "source": "contoso",
        "address": "198.51.100.77",
        "routing_key": "tms.class.scheduled",
    }
    return CallRow(1, AnsweredCall(outcome=outcome, **{**known, **parts}), 1_000.0, fate=fate)  # type: ignore[arg-type]  # the table's cells are checked by the struct's users


@pytest.mark.parametrize(
    ("fate", "tone", "what"),
    [
        (Fate(), "idle", "Safe on disk, waits for the broker."),
        (Fate(confirmed=1_000.005, state="delivered"), "ok", "Delivered in 5 ms on `tms.class.scheduled`."),
        (Fate(confirmed=1_002.25, state="delivered"), "ok", "Delivered in 2.2 s on `tms.class.scheduled`."),
        (
            Fate(confirmed=1_125.0, state="delivered"),
            "ok",
            "Delivered in 2 min 5 s on `tms.class",
        ),
        (
            Fate(confirmed=8_260.0, state="delivered"),
            "ok",
            "Delivered in 2 h 1 min on `tms.class",
        ),
        (Fate(state="unroutable"), "warn", "Accepted, and no queue is bound to `tms.class.scheduled`."),
        (Fate(state="blocked"), "warn", "Safe on disk; a queue refuses `tms.class.scheduled`."),
        (Fate(state="refused", reason="too large"), "bad", "RabbitMQ refuses this event itself: too large"),
    ],
)
def test_an_event_says_where_it_stands(fate: Fate, tone: str, what: str) -> None:
    words = words_of(row("accepted", fate), SOURCES)
    assert tone == words.tone
    assert words.what.startswith(what)


@pytest.mark.parametrize(
    ("outcome", "parts", "tone", "what"),
    [
        ("unauthorized", {"detail": "no Authorization came", "listed": True}, "bad", "No Authorization came"),
        ("unlisted_address", {}, "bad", "unlisted address 198.51.100.77, and wrong password"),
        ("unlisted_address", {"address": ""}, "bad", "unlisted address that cannot be told"),
        ("unlisted_address_valid_credentials", {}, "bad", "right password, unlisted address 198.51.100.77"),
        ("held", {}, "held", "Kept, not delivered"),
        ("quarantined", {"detail": "/Class has no Id"}, "warn", "kept in quarantine: /Class has no Id"),
        ("unavailable", {"detail": "the outbox is full"}, "bad", "Not taken (503): the outbox is full"),
        ("looked", {}, "ok", "Somebody opened the URL"),
        ("throttled", {}, "bad", "too many wrong passwords"),
        ("too_large", {"detail": "a body may have 10 bytes"}, "bad", "Refused: a body may have 10 bytes"),
        ("a new outcome", {}, "bad", "Refused: a new outcome"),
    ],
)
def test_a_call_without_an_event_says_why(
    outcome: str, parts: dict[str, object], tone: str, what: str
) -> None:
    words = words_of(row(outcome, None, **parts), SOURCES)
    assert tone == words.tone
    assert what in words.what


def test_the_remedy_of_a_wrong_password_depends_on_where_it_came_from() -> None:
    listed = words_of(row("unauthorized", None, listed=True), SOURCES)
    other = words_of(row("unauthorized", None, listed=False), SOURCES)
    assert "tms-settings --source contoso --reveal" in listed.then
    assert "probably not TMS" in other.then


def test_what_came_to_the_other_triggers_url_says_that_the_urls_change_places() -> None:
    detail = "the body of the other trigger: are the two URLs swapped in TMS?"
    assert "swap the URLs" in words_of(row("quarantined", None, detail=detail), SOURCES).then


def test_a_retry_says_that_nothing_was_delivered_twice() -> None:
    assert "delivered once" in words_of(row("duplicate", Fate()), SOURCES).then


@pytest.mark.parametrize(
    ("path", "near"),
    [
        ("/webhooks/contso/class-changed", "contoso"),
        ("/webhooks/Contoso/class-changed", "contoso"),
        ("/webhooks/fabrikan/course-assignment-changed", "fabrikam"),
        ("/webhooks/somebody-else/class-changed", ""),
        ("/wp-login.php", ""),
        ("/", ""),
    ],
)
def test_a_mistyped_source_is_told_from_a_stranger(path: str, near: str) -> None:
    assert near == near_source(path, SOURCES)


def test_an_unknown_path_says_what_was_probably_meant() -> None:
    typo = words_of(row("unknown_path", None, source="", path="/webhooks/contso/class-changed"), SOURCES)
    assert (
        Words(
            "bad",
            'Refused: there is no source "contso", did you mean "contoso"?',
            "In TMS, correct the URL: `/webhooks/contoso/class-changed`.",
        )
        == typo
    )
    other = words_of(row("unknown_path", None, source="", path="/webhooks/adatum/class-changed"), SOURCES)
    assert 'Refused: there is no source "adatum".' == other.what
    scanner = words_of(row("unknown_path", None, source="", path="/wp-login.php"), SOURCES)
    assert "idle" == scanner.tone


def test_what_to_do_about_a_wrong_password_is_said_once() -> None:
    detail = "Authorization came, but with a value that no credential has (demo); paste what `x` prints"
    words = words_of(row("unauthorized", None, detail=detail, listed=True), SOURCES)
    assert words.what.endswith("with a value that no credential has (demo).")
    assert "paste" not in words.what + words.then
