from tms_bridge.ingest import Explanation, Find, explain
from tms_bridge.ingest.fields import names_of
from tms_events import Trigger

from .sources import ASSIGNMENT, CLASS, NOON, rules


def find(explanation: Explanation, field: str) -> list[Find]:
    return [found for found in explanation.fields if found.field == field]


def test_each_field_shows_where_it_was_found_and_how_it_was_read() -> None:
    body = b'{"Status":0,"Results":[{"Class":{"ClassId":"7","ConfirmationStatusId":1,"Start":"2026-03-01"}}]}'
    explanation = explain(body, CLASS, NOON)
    assert find(explanation, "id") == [
        Find("id", "/Results/0/Class/ClassId", '"7"', "7", "number in a string")
    ]
    assert find(explanation, "status") == [
        Find(
            "status",
            "/Results/0/Class/ConfirmationStatusId",
            "1",
            "guaranteed_to_run",
            "ConfirmationStatusId",
        )
    ]
    assert find(explanation, "start") == [
        Find(
            "start",
            "/Results/0/Class/Start",
            '"2026-03-01"',
            "2026-03-01 00:00:00+00:00",
            "date alone: its midnight, taken as UTC",
        )
    ]
    assert find(explanation, "name") == [Find("name", None, None, None, "not there")]


def test_an_event_shows_its_status_and_routing_key() -> None:
    explanation = explain(b'{"Id":7,"Status":"Denied"}', CLASS, NOON)
    assert (explanation.source, explanation.trigger, explanation.understood) == ("contoso", "class", True)
    assert (explanation.entity, explanation.status, explanation.raw_status) == ("7", "denied", "Denied")
    assert (explanation.status_from, explanation.routing_key) == ("payload", "tms.class.denied")
    assert (explanation.reason, explanation.derived_status) == (None, None)


def test_what_a_derivation_would_give_shows_also_where_it_is_off() -> None:
    explanation = explain(b'{"Id":7,"Complete":1}', ASSIGNMENT, NOON)
    assert (explanation.status, explanation.derived_status) == ("unknown", "completed")
    assert explanation.routing_key == "tms.course_assignment.unknown"


def test_a_derivation_that_was_chosen_counts() -> None:
    explanation = explain(
        b'{"Id":7,"Complete":1}', rules(Trigger.COURSE_ASSIGNMENT, derive_status=True), NOON
    )
    assert (explanation.status, explanation.status_from) == ("completed", "derived")
    assert explanation.routing_key == "tms.course_assignment.completed"


def test_quarantine_shows_its_reason_and_all_that_can_be_read_nevertheless() -> None:
    explanation = explain(b'{"Key":"x","Status":"Denied","Name":{"Text":"a"},"CourseId":"12"}', CLASS, NOON)
    assert not explanation.understood
    assert explanation.reason == "the body has no Id or ClassId; its members are: Key, Status, Name, CourseId"
    assert [found.read for found in find(explanation, "status")] == ["denied"]
    assert [found.read for found in find(explanation, "course_id")] == ["12"]
    assert {found.field for found in explanation.fields} == {*names_of(Trigger.CLASS), "time_zone"}
    assert [(path.pointer, path.type) for path in explanation.paths] == [
        ("/Key", "a string"),
        ("/Status", "a string"),
        ("/Name", "an object"),
        ("/Name/Text", "a string"),
        ("/CourseId", "a string"),
    ]
    assert (explanation.entity, explanation.status, explanation.routing_key) == (None, None, None)


def test_an_event_shows_what_was_not_read_and_what_was_assumed() -> None:
    explanation = explain(b'{"Id":7,"Name":{},"Start":"2026-03-01T09:00:00","End":"2026-03-02"}', CLASS, NOON)
    assert (explanation.unread, explanation.assumed) == (("name",), ("start", "end"))
    assert explanation.days == ("end",)
    assert find(explanation, "name") == [Find("name", "/Name", "an object", None, "unreadable: is not text")]
    assert find(explanation, "start")[0].how == "ISO 8601 without an offset, taken as UTC"


def test_an_unset_date_says_so() -> None:
    explanation = explain(b'{"Id":7,"Complete":"0001-01-01T00:00:00"}', ASSIGNMENT, NOON)
    assert find(explanation, "complete")[0].how == 'ISO 8601 without an offset: "unset"'
    assert explanation.derived_status == "unknown"


def test_the_paths_of_a_large_body_are_bounded() -> None:
    body = b'{"Id":7,"x":[' + b"{},".join([b""] * 100_000) + b"{}]}"
    assert len(explain(body, CLASS, NOON).paths) == 500


def test_a_body_that_is_not_json_is_explained_too() -> None:
    assert (
        explain(b"\xff", CLASS, NOON).reason == "the body is not UTF-8: byte 0 is wrong (invalid start byte)"
    )


def test_a_status_tells_in_which_manner_it_was_read() -> None:
    told = {
        b'{"Id":7,"Status":"Denied"}': "word",
        b'{"Id":7,"Status":"6"}': "ConfirmationStatusId",
        b'{"Id":7,"Status":"Later"}': "a status that nobody knows yet",
        b'{"Id":7,"Status":null}': "tells none",
        b'{"Id":7}': "not there",
    }
    assert {body: find(explain(body, CLASS, NOON), "status")[0].how for body in told} == told


def test_long_values_are_shown_in_short() -> None:
    found = find(explain(b'{"Id":7,"Name":"' + b"x" * 1000 + b'"}', CLASS, NOON), "name")
    assert found == [Find("name", "/Name", '"' + "x" * 56 + "…", "x" * 57 + "…", "text")]
