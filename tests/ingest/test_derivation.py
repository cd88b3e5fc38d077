from datetime import timedelta

import pytest

from tms_bridge.ingest import decode
from tms_events import StatusFrom, Trigger

from .sources import NOON, body_of, rules

DERIVING = rules(Trigger.COURSE_ASSIGNMENT, derive_status=True)
NOON_S = int(NOON.timestamp())


@pytest.mark.parametrize(
    ("dates", "status"),
    [
        ({"Complete": 1, "Expire": 1, "Start": 1}, "completed"),
        ({"Completed": "2030-01-01"}, "completed"),
        ({"Expire": NOON_S, "Start": 1}, "expired"),
        ({"Expire": NOON_S + 1, "Start": 1}, "started"),
        ({"Expires": "1971-01-01T00:00:00+14:00"}, "expired"),
        ({"Expire": NOON_S + 1}, "unknown"),
        ({"Start": NOON_S + 1}, "started"),
        ({"Start": None}, "unknown"),
    ],
)
def test_dates_tell_the_status_where_the_operator_chose_so(dates: dict[str, object], status: str) -> None:
    decoded = decode(body_of(Id=1, **dates), DERIVING, NOON)
    assert (decoded.status, decoded.raw_status, decoded.status_from) == (status, None, StatusFrom.DERIVED)


def test_expiry_is_measured_at_the_moment_of_receipt() -> None:
    body = body_of(Id=1, Expire=NOON_S)
    assert decode(body, DERIVING, NOON - timedelta(microseconds=1)).status == "unknown"
    assert decode(body, DERIVING, NOON).status == "expired"


@pytest.mark.parametrize("told", ["Cancelled", "Paused", 30])
def test_what_the_body_tells_is_never_derived_over(told: object) -> None:
    decoded = decode(body_of(Id=1, Status=told, Complete=1), DERIVING, NOON)
    assert (decoded.raw_status, decoded.status_from) == (str(told), StatusFrom.PAYLOAD)


def test_nothing_is_derived_unless_chosen() -> None:
    decoded = decode(body_of(Id=1, Complete=1), rules(Trigger.COURSE_ASSIGNMENT), NOON)
    assert (decoded.status, decoded.status_from) == ("unknown", StatusFrom.PAYLOAD)


def test_nothing_is_derived_for_a_class() -> None:
    decoded = decode(body_of(Id=1, Start=1), rules(Trigger.CLASS, derive_status=True), NOON)
    assert (decoded.status, decoded.status_from) == ("unknown", StatusFrom.PAYLOAD)
