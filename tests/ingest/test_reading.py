"""Statuses, dates and values, one by one."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from tms_events import ClassStatus, CourseAssignmentStatus

from .sources import ASSIGNMENT, CLASS, body_of, message_of, read_assignment, read_class


@pytest.mark.parametrize(
    ("told", "raw", "number"),
    [
        (8, "8", 8),
        (-1, "-1", -1),
        ("9", "9", 9),
        (3.5, "3.5", None),
        ("Postponed", "Postponed", None),
        ("x" * 1000, "x" * 1000, None),
        ("Completedé", "Completedé", None),
        ("Unknown", "Unknown", None),
        ("started", "started", None),
        (10**18, "1" + "0" * 18, None),
        ("", None, None),
        ("  ", None, None),
        (None, None, None),
    ],
)
def test_a_class_status_that_nobody_knows_keeps_the_senders_word(
    told: object, raw: str | None, number: int | None
) -> None:
    for body in (
        body_of(Id=1, ConfirmationStatusId=told),
        body_of(Id=1, Status=told),
        body_of(id=1, status=told),
    ):
        entity, decoded = read_class(body)
        assert (decoded.status, decoded.raw_status) == (ClassStatus.UNKNOWN, raw)
        if raw is not None and len(raw) < 19:
            assert entity.confirmation_status_id == number
        assert message_of(body).routing_key == "tms.class.unknown"


@pytest.mark.parametrize(
    ("told", "raw"),
    [
        (30, "30"),
        ("30", "30"),
        (1.5, "1.5"),
        ("Paused", "Paused"),
        ("scheduled", "scheduled"),
        (None, None),
        ("", None),
    ],
)
def test_a_course_assignment_status_that_nobody_knows_keeps_the_senders_word(
    told: object, raw: str | None
) -> None:
    for body in (body_of(Id=1, Status=told), body_of(id=1, status=told)):
        _, decoded = read_assignment(body)
        assert (decoded.status, decoded.raw_status) == (CourseAssignmentStatus.UNKNOWN, raw)
        assert message_of(body, ASSIGNMENT).routing_key == "tms.course_assignment.unknown"


def test_a_body_without_any_status_is_unknown_and_has_no_word() -> None:
    _, decoded = read_class(b'{"class_id": 1}')
    assert (decoded.status, decoded.raw_status) == (ClassStatus.UNKNOWN, None)


def test_the_outer_status_of_an_envelope_is_the_calls_own() -> None:
    _, decoded = read_class(b'{"Status": 0, "Error": null, "Results": [{"Id": 1, "Name": "x"}]}')
    assert (decoded.status, decoded.raw_status) == (ClassStatus.UNKNOWN, None)


def test_a_word_gives_the_class_the_number_of_its_status() -> None:
    assert read_class(b'{"Id": 1, "Status": "Rescheduled"}')[0].confirmation_status_id == 3


def test_a_known_status_counts_beside_an_unknown_one() -> None:
    _, decoded = read_class(b'{"Id": 1, "Status": "Active", "ConfirmationStatus": "Denied"}')
    assert (decoded.status, decoded.raw_status) == (ClassStatus.DENIED, "Denied")


def test_a_value_counts_before_a_null_under_another_name() -> None:
    entity, _ = read_class(b'{"Id": null, "ClassId": 5, "Start": null, "StartDate": 60}')
    assert (entity.id, entity.start) == (5, datetime(1970, 1, 1, 0, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("told", "moment"),
    [
        (1.5, datetime(1970, 1, 1, 0, 0, 1, 500_000, tzinfo=UTC)),
        ("9999-12-31T23:59:59.9999999", datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)),
        ("2026-03-01T12:00:00+0200", datetime(2026, 3, 1, 12, tzinfo=timezone(timedelta(hours=2)))),
        ("", None),
        ("  ", None),
        (None, None),
    ],
)
def test_a_date_at_the_edges(told: object, moment: datetime | None) -> None:
    assert read_class(body_of(id=1, Start=told))[0].start == moment


@pytest.mark.parametrize(
    ("told", "flag"),
    [
        (True, True),
        (False, False),
        ("true", True),
        ("False", False),
        (1, True),
        ("0", False),
        ("", None),
        (None, None),
    ],
)
def test_a_flag_in_any_clothes(told: object, flag: bool | None) -> None:  # noqa: FBT001 - the value under test
    assert read_class(body_of(Id=1, is_public=told))[0].is_public is flag


@pytest.mark.parametrize(
    ("told", "number"), [(5, 5), ("5", 5), ("-5", -5), ("", None), (None, None), (2**63 - 1, 2**63 - 1)]
)
def test_a_number_in_any_clothes(told: object, number: int | None) -> None:
    assert read_class(body_of(Id=1, course_id=told))[0].course_id == number


@pytest.mark.parametrize(("told", "numbers"), [([], ()), ([1, "2"], (1, 2)), (None, None)])
def test_an_array_of_numbers(told: object, numbers: tuple[int, ...] | None) -> None:
    assert read_class(body_of(id=1, InstructorIds=told))[0].instructor_ids == numbers


@pytest.mark.parametrize(("told", "text"), [("x", "x"), ("", ""), (12, "12"), (None, None)])
def test_a_text_may_be_a_number(told: object, text: str | None) -> None:
    assert read_class(body_of(id=1, ExternalId=told))[0].external_id == text


@pytest.mark.parametrize("number", [0, -5, 2**63 - 1, -(2**63)])
def test_an_id_is_any_number_of_64_bits(number: int) -> None:
    assert read_class(body_of(Id=number))[0].id == number
    assert read_class(body_of(Id=str(number)))[0].id == number
    assert message_of(body_of(Id=number), CLASS).entity == str(number)
