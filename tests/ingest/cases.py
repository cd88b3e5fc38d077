"""What a sender may mean, as one table: each kind in five spellings or more, for each trigger that can have it.

A kind is called by its row and, after the colon, by what is told. `CASES` are events, `NO_EVENT` are not.
"""

# ruff: noqa: E501 - a row of the table reads best on a line

import json
from base64 import b64encode
from datetime import UTC, datetime
from typing import Final

from tms_bridge.ingest.tolerant import SWAPPED
from tms_events import Trigger

Expected = dict[str, object]

BOTH: Final = tuple(Trigger)
ONE_CLASS: Final = (Trigger.CLASS,)
ONE_ASSIGNMENT: Final = (Trigger.COURSE_ASSIGNMENT,)
PACIFIC: Final = '"TimeZoneId":"Pacific Standard Time"'
MARCH_20: Final = datetime(2026, 3, 20, 9, tzinfo=UTC)

CASES: Final[list[tuple[str, Trigger, str, Expected]]] = []
"""Kind, trigger, body, and what is read of it."""

NO_EVENT: Final[list[tuple[str, Trigger, bytes, str]]] = []
"""Kind, trigger, body, and how the reason begins."""


def event(kind: str, triggers: tuple[Trigger, ...], expected: Expected, *bodies: str) -> None:
    CASES.extend((kind, trigger, body, expected) for trigger in triggers for body in bodies)


def none(kind: str, triggers: tuple[Trigger, ...], why: str, *bodies: str | bytes) -> None:
    NO_EVENT.extend(
        (kind, trigger, body if isinstance(body, bytes) else body.encode(), why)
        for trigger in triggers
        for body in bodies
    )


def member(name: str, *told: str) -> list[str]:
    return [f'{{"Id":1,"{name}":{value}}}' for value in told]


# fmt: off
event("unset date: .NET's zero", BOTH, {"start": None}, *member("Start",
    '"0001-01-01T00:00:00"', '"0001-01-01T00:00:00Z"', '"0001-01-01T00:00:00+14:00"', '"0001-01-01T00:00:00-08:00"',
    '"0001-01-01"', '"0001-01-01T08:00:00.0000000Z"', "-62135596800", '"/Date(-62135596800000)/"', '"/Date(-62135596800000-0500)/"'))
event("unset date: Unix's zero", BOTH, {"start": None}, *member("Start",
    "0", "-1", "0.0", "-0", '"0"', '"-1"', '"/Date(0)/"', '"1970-01-01T00:00:00Z"', '"1970-01-01"', '"1970-01-01T01:00:00+01:00"',
    '"1969-12-31T19:00:00-05:00"', '"1900-01-01T00:00:00"'))
event("unset date: nothing", BOTH, {"start": None}, *member("Start", '""', "null", '" "', r'"\t"', '{"$value":null}'))
event("unset date: under another name", ONE_ASSIGNMENT, {"complete": None, "expire": None},
    '{"Id":1,"Completed":"0001-01-01T00:00:00","Expires":0}', '{"Id":1,"CompletionDate":"/Date(-62135596800000)/","ExpireDate":-1}',
    '{"Id":1,"complete":"0001-01-01T00:00:00+14:00","expire":"1970-01-01"}', '{"Id":1,"CompletedDate":0,"ExpirationDate":""}',
    '{"Complete":"0001-01-01","Id":1,"Expire":null}')

event("whole number: a class's status", ONE_CLASS, {"status": "cancelled", "confirmation_status_id": 2},
    *member("ConfirmationStatusId", "2", "2.0", "2e0", "0.2E1", '"2"', '"2.0"', "20e-1", '" 2 "'))
event("whole number: an assignment's status, for which no numbers are published", ONE_ASSIGNMENT, {"status": "unknown"},
    *member("Status", "2", "2.0", "2e0", '"2"', "20e-1", '" 2 "', "-1"))
event("whole number: the id", BOTH, {"id": 5010}, *(f'{{"Id":{told}}}' for told in ("5010", "5010.0", "5.01e3", '"5010"', '"5010.00"', "501E1")))
event("whole number: an id in the way of 1.795e12", BOTH, {"id": 1_795_000_000_000},
    *(f'{{"Id":{told}}}' for told in ("1795000000000", "1.795e12", '"1.795e12"', "1795E+9", "17950000000000e-1", "1795000000000.0")))
event("whole number: a side member", BOTH, {"course_id": 12}, *member("CourseId", "12", "12.0", "1.2e1", '"12"', '{"Id":12,"Name":"Azure"}', '{"$value":12}'))
event("whole number: none", BOTH, {"course_id": None, "unread": ("course_id",)},
    *member("CourseId", "1.5", "1e19", "1e300", '"x"', "true", "[]", "{}", "9223372036854775808"))
event("whole number: a class's status that is a fraction", ONE_CLASS, {"status": "unknown", "raw_status": "2.5", "unread": ("status",)},
    *(member(name, "2.5")[0] for name in ("ConfirmationStatusId", "Status", "StatusId", "confirmation_status_id", "ClassStatusId")))
event("whole number: a class's status that nobody knows", ONE_CLASS, {"status": "unknown", "raw_status": "-1"},
    *member("Status", "-1", '"-1"'), *member("ConfirmationStatusId", "-1", '"-1"'), *member("StatusId", "-1"))
event("whole number: a fraction in a string", ONE_CLASS, {"status": "unknown", "raw_status": "0.7"},
    *(member(name, '"0.7"')[0] for name in ("ConfirmationStatusId", "Status", "StatusId", "status", "ClassStatus")))

event("object beside the key: a class's status", ONE_CLASS, {"status": "rescheduled", "raw_status": "3"},
    '{"Id":1,"ConfirmationStatusId":3,"ConfirmationStatus":{"Id":3,"Name":"Rescheduled"}}',
    '{"Id":1,"ConfirmationStatusId":3,"ConfirmationStatus":{"Id":6,"Name":"Denied"}}',
    '{"Id":1,"ConfirmationStatusId":3,"ConfirmationStatus":{}}',
    '{"Id":1,"ConfirmationStatusId":3,"ConfirmationStatus":{"Id":3,"Name":"Denied"}}',
    '{"Id":1,"ConfirmationStatusId":3,"Status":[]}',
    '{"Id":1,"ConfirmationStatusId":3,"Status":true}',
    '{"Id":1,"ConfirmationStatus":{"Id":3}}',
    '{"Id":1,"ConfirmationStatus":{"$type":"Status, Tms","Id":3,"Name":"Umgeplant"}}')
event("object beside the key: its name", BOTH, {"status": "completed", "raw_status": "Completed"},
    '{"Id":1,"Status":"Completed","CompletionStatus":{"Id":30}}', '{"Id":1,"Status":{"Name":"Completed"}}',
    '{"Id":1,"Status":{"Id":99,"Name":"Completed"}}', '{"Id":1,"status":{"id":null,"name":"Completed"}}',
    '{"Id":1,"Status":{"$id":"2","Name":"Completed"}}')
event("object beside the key: an assignment's status", ONE_ASSIGNMENT, {"status": "started", "raw_status": "Started"},
    '{"Id":1,"Status":"Started","CompletionStatus":{"Id":1,"Name":"Completed"}}', '{"Id":1,"StatusName":"Started","Status":{"Id":4}}',
    '{"Id":1,"Status":"Started","AssignmentStatus":{}}', '{"Id":1,"Status":"Started","StatusId":true}',
    '{"Id":1,"CourseAssignmentStatus":{"Name":"Started"}}', '{"Id":1,"Status":"Started","CompletionStatus":[]}')
event("object beside the key: it tells nothing", BOTH, {"status": "unknown", "raw_status": None, "unread": ("status",)},
    *member("Status", "{}", "[]", "true", "false", '{"Colour":"red"}', '["Completed"]', '{"$ref":"1"}'))

event("side member: a number", ONE_CLASS, {"max_students": 20}, *member("MaxStudents", "20", "20.0", "2e1", '"20"', '" 20.0 "'))
event("side member: no number", ONE_CLASS, {"max_students": None, "unread": ("max_students",)},
    *member("MaxStudents", "20.5", '"twenty"', "true", "[20]", '{"Of":20}', '"1,000"'))
event("side member: a number of an assignment", ONE_ASSIGNMENT, {"user_id": 20}, *member("UserId", "20", "20.0", "2e1", '"20"', '{"Id":20,"Name":"Ada"}'))
event("side member: no number of an assignment", ONE_ASSIGNMENT, {"user_id": None, "unread": ("user_id",)},
    *member("UserId", "20.5", '"ada"', "true", "[20]", '{"Of":20}', '"1,000"'))
event("side member: yes", ONE_CLASS, {"enabled": True}, *member("Enabled", "true", '"Yes"', '"TRUE"', "1", "1.0", '"on"', '"1"', '"y"'))
event("side member: no", ONE_CLASS, {"enabled": False}, *member("Enabled", "false", '"No"', '"False"', "0", '"off"', '"n"'))
event("side member: neither yes nor no", ONE_CLASS, {"enabled": None, "unread": ("enabled",)}, *member("Enabled", '"Perhaps"', "2", "-1", "{}", "[]"))
event("side member: a text", BOTH, {"external_id": "7"}, *member("ExternalId", '"7"', "7", '{"Name":"7"}', '{"Id":1,"Name":"7"}', '{"$value":"7"}'))
event("side member: no text", BOTH, {"external_id": None, "unread": ("external_id",)},
    *member("ExternalId", "{}", "[]", "true", '{"Text":"x"}', '{"Name":true}'))
event("side member: twice", BOTH, {"external_id": None, "unread": ("external_id",)},
    '{"Id":1,"ExternalId":"a","ExternalId":"b"}', '{"Id":1,"ExternalId":"a","ExternalId":"a"}', '{"ExternalId":1,"Id":1,"ExternalId":2}',
    r'{"Id":1,"ExternalId":"a","\u0045xternalId":"b"}', '{"Id":1, "ExternalId": null, "ExternalId": "b"}')
event("side member: no date", BOTH, {"start": None, "unread": ("start",)}, *member("Start",
    '"3/1/2026 10:00:00 AM"', '"01.03.2026"', '"soon"', "true", "[]", "{}", "1333267200000", "1e12", "1e400", "1e99999", '"2026-02-30"',
    '"/Date(999999999999999999)/"', '"9999-12-31T23:59:59-05:00"', '"1 2 3"'))
event("side member: a moment", BOTH, {"start": MARCH_20}, *member("Start",
    '"2026-03-20T09:00:00Z"', '"2026-03-20T10:00:00+01:00"', '"2026-03-20T04:00:00.000-05:00"', "1773997200", '"1773997200"',
    "1.7739972e9", '"/Date(1773997200000)/"', '"/Date(1773997200000+0100)/"', '"Fri, 20 Mar 2026 09:00:00 GMT"', '{"$value":1773997200}'))
event("side member: the first name that can be read", BOTH, {"start": MARCH_20},
    '{"Id":1,"Start":"soon","StartDate":1773997200}', '{"Id":1,"Start":"0001-01-01T00:00:00","StartDate":1773997200}',
    '{"Id":1,"StartDate":1773997200,"Start":{}}', '{"Id":1,"start":null,"StartDate":"2026-03-20T09:00:00Z"}', '{"Id":1,"Start":"","start_date":"1773997200"}')
event("side member: a list", ONE_CLASS, {"instructor_ids": (4, 5)}, *member("InstructorIds",
    "[4,5]", '"4,5"', '"4; 5"', '["4","5.0"]', '"[4, 5]"', '[{"Id":4},{"Id":5,"Name":"x"}]', '"4|5"'))
event("side member: no list", ONE_CLASS, {"instructor_ids": None, "unread": ("instructor_ids",)}, *member("InstructorIds",
    "true", '"Ada, Bob"', "[null]", "[4,null]", '[4,"x"]', "{}", '"4,,x"', "[[4]]"))

event("Newtonsoft: $values", ONE_CLASS, {"instructor_ids": (4, 5)}, *member("InstructorIds",
    '{"$id":"1","$values":[4,5]}', '{"$values":[4,5]}', '{"$type":"System.Int32[], mscorlib","$values":[4,5]}',
    '{"$values":["4","5"]}', '{"$id":"2","$values":[{"$id":"3","Id":4},{"$id":"4","Id":5}]}'))
event("Newtonsoft: $ref in a list", ONE_CLASS, {"instructor_ids": None, "unread": ("instructor_ids",)}, *member("InstructorIds",
    '{"$ref":"2"}', '{"$id":"1","$ref":"2"}', '[{"$ref":"2"}]', '{"$values":[{"$ref":"2"}]}', '{"$values":{"$ref":"2"}}'))
event("Newtonsoft: $ref", BOTH, {"course_id": None, "unread": ("course_id",)}, *member("CourseId",
    '{"$ref":"2"}', '{"$id":"1","$ref":"2"}', '{"$type":"Tms.Course, Tms","$ref":"2"}', '{"$value":{"$ref":"2"}}', '{"$id":"7"}'))
event("Newtonsoft: members that never count", BOTH, {"id": 7, "status": "completed"},
    '{"$id":"1","Id":7,"Status":"Completed"}', '{"$type":"Tms.Model, Tms","Id":7,"Status":"Completed"}',
    '{"Id":7,"$id":"9","$ref":"4","Status":"Completed"}', '{"$id":"1","Results":{"$id":"2","$values":[{"$id":"3","Id":7,"Status":"Completed"}]}}',
    '{"$values":[{"Id":7,"Status":"Completed"}]}', '{"$status":"Denied","Id":7,"Status":"Completed"}')

event("list of one: at the top", BOTH, {"id": 4, "status": "completed"},
    '[{"Id":4,"Status":"Completed"}]', ' [ {"Id":"4","Status":"completed"} ] ', '[[{"Id":4,"Status":"Completed"}]]',
    '[{"Results":[{"Id":4,"Status":"Completed"}]}]', '[{"Data":{"Id":4,"Status":"Completed"}}]')
event("encoded twice: once more", BOTH, {"id": 1, "status": "completed"}, *(json.dumps(text) for text in (
    '{"Id":1,"Status":"Completed"}', ' {"Id":1.0,"Status":"completed"} ', '[{"Id":1,"Status":"Completed"}]',
    '{"Data":{"Id":1,"Status":"Completed"}}', '\ufeff{"Id":1,"Status":"Completed"}')))
event("envelope: its own id", BOTH, {"id": 7, "status": "completed"}, *(envelope % '{"Id":7,"Status":"Completed"}' for envelope in (
    '{"id":"9f0c2c1e-0000-4000-8000-0123456789ab","type":"changed","data":%s}', '{"Id":"evt_1","Data":%s}',
    '{"id":true,"Results":[%s]}', '{"ID":"9f0c","specversion":"1.0","data":%s}', '{"id":{"v":1},"data":%s}',
    '{"Id":7,"Data":%s}', '{"id":"x","data":{"id":"y","data":%s}}', '{"Id":"","Data":%s}')))
event("wrapper, flattened: the call's own status", BOTH, {"status": "unknown", "raw_status": None, "id": 5}, *(
    f'{{"Status":{told},"Id":5}}' for told in ('0,"Error":null', '10,"error":"late"', '"Completed","Error":null', '0,"Results":null', '"0","ERROR":""')))
event("wrapper, flattened: a class's own status", ONE_CLASS, {"status": "denied", "id": 5},
    '{"Status":0,"Error":null,"Id":5,"ConfirmationStatusId":6}', '{"Status":0,"Results":null,"Id":5,"ConfirmationStatusId":"6"}',
    '{"Error":null,"Status":"Completed","Id":5,"ConfirmationStatus":"Denied"}', '{"Error":"","Status":1,"Id":5,"StatusName":"Denied"}',
    '{"Status":0,"Error":null,"Id":5,"ConfirmationStatus":{"Id":6}}')
event("wrapper, flattened: an assignment's own status", ONE_ASSIGNMENT, {"status": "expired", "id": 5},
    '{"Status":0,"Error":null,"Id":5,"StatusName":"Expired"}', '{"Status":"Completed","Results":null,"Id":5,"AssignmentStatus":"Expired"}',
    '{"Error":null,"Status":10,"Id":5,"CompletionStatus":"expired"}', '{"Error":"","Status":1,"Id":5,"CourseAssignmentStatus":{"Name":"Expired"}}',
    '{"Status":0,"Error":null,"Id":5,"CompletionStatusId":"Expired"}')
event("byte-order mark: any number is one", BOTH, {"id": 7}, *("\ufeff" * marks + space + '{"Id":7}' for marks, space in (
    (1, ""), (2, ""), (1, " "), (2, "\r\n"), (1, "\n\ufeff"), (3, "\t"))), ' \ufeff{"Id":7}')

event("date: without an offset", BOTH, {"start": MARCH_20, "assumed": ("start",)}, *member("Start",
    '"2026-03-20T09:00:00"', '"2026-03-20 09:00:00"', '"2026-03-20T09:00"', '"2026-03-20T09:00:00.0000000"', '" 2026-03-20T09:00:00 "'))
event("date: a day", BOTH, {"start": datetime(2026, 3, 20, tzinfo=UTC), "assumed": ("start",), "days": ("start",)}, *member("Start",
    '"2026-03-20"', '" 2026-03-20 "', '"2026-W12-5"', '{"$value":"2026-03-20"}', '"2026W125"'))
event("date: in the class's zone", ONE_CLASS, {"start": datetime(2026, 3, 20, 16, tzinfo=UTC), "assumed": ("start",), "time_zone": "America/Los_Angeles"}, *(
    f'{{"Id":1,"Start":"2026-03-20T09:00:00","TimeZoneId":{zone}}}' for zone in (
        '"Pacific Standard Time"', '"America/Los_Angeles"', '"pacific standard time"', '" Pacific Standard Time "', '{"Name":"Pacific Standard Time"}')))
event("date: a day in the class's zone", ONE_CLASS, {"start": datetime(2026, 3, 20, 7, tzinfo=UTC), "assumed": ("start",), "days": ("start",)}, *(
    f'{{"Id":1,{told},{PACIFIC}}}' for told in (
        '"StartDate":"2026-03-20"', '"Start":"2026-03-20"', '"StartTime":" 2026-03-20 "', '"start":"2026-W12-5"', '"Start":{"$value":"2026-03-20"}')))
event("date: an offset counts before the zone", ONE_CLASS, {"start": MARCH_20, "time_zone": "America/Los_Angeles"}, *(
    f'{{"Id":1,"Start":{told},{PACIFIC}}}' for told in (
        '"2026-03-20T09:00:00Z"', "1773997200", '"2026-03-20T10:00:00+01:00"', '"/Date(1773997200000)/"', '"Fri, 20 Mar 2026 09:00:00 GMT"')))
event("date: a zone that nobody knows", ONE_CLASS, {"start": MARCH_20, "assumed": ("start",), "unread": ("time_zone",), "time_zone": None}, *(
    f'{{"Id":1,"Start":"2026-03-20T09:00:00","TimeZoneId":"{zone}"}}' for zone in ("Mars/Olympus", "(UTC-08:00) Pacific Time", "5", "../etc/passwd", "x" * 5000)))
for name, zone in (
    ("UTC", "Etc/UTC"), ("W. Europe Standard Time", "Europe/Berlin"), ("Eastern Standard Time", "America/New_York"),
    ("Asia/Kolkata", "Asia/Kolkata"), ("GMT Standard Time", "Europe/London"), ("", None), (" ", None)):
    event("date: the zone by its IANA name", ONE_CLASS, {"time_zone": zone}, *member("TimeZoneId", f'"{name}"'))

none("list of several: at the top", BOTH, "the body holds ", "[]", '[{"Id":1},{"Id":2}]', '[{"Id":1},{"Id":1}]', '[{"Id":1},null]', "[1,2,3]")
none("list of several: in a wrapper", BOTH, "/", '{"$values":[{"Id":1},{"Id":2},{"Id":3}]}', '{"Results":[]}', '{"Results":[{"Id":1},{"Id":2}]}',
    '{"Data":{"Results":[{},{}]}}', '[[{"Id":1},{"Id":2}]]')
none("no object: a list of something else", BOTH, "/0 is ", "[7]", '["x"]', "[null]", "[true]", "[1.5]")
none("no object: a scalar", BOTH, "the body is ", "7", "null", "true", '"hello"', "1.5")
none("no object: no JSON", BOTH, "the body is not JSON: ", json.dumps('{"Id":1'), '{"Id":1', "hello", "{'Id':1}", '{"Id":1,}', "{Id:1}")
none("no object: encoded more than twice", BOTH, "the body is JSON that was encoded more than twice", *(json.dumps(json.dumps(text)) for text in (
    '{"Id":1}', '[{"Id":1}]', ' {"Id":1}', '"x"', '{"Data":{"Id":1}}')))
none("the id: twice", BOTH, "/Id occurs 2 times; nobody can tell which is meant",
    '{"Id":1,"Id":1}', '{"Id":1,"Id":2}', '{"Id":1,"\\u0049d":2}', '{"Id" : 1, "Id" : 1}', '{"Id":1,"Status":"Completed","Id":"1"}')
none("the id: unreadable", BOTH, "the id at /Id is ", *(f'{{"Id":{told},"Status":"Completed"}}' for told in ("1.5", '"x"', "true", "[1]", "{}", "1e300", '"9f0c"')))
none("the id: missing", BOTH, "the body has no Id or C", "{}", '{"Id":null}', '{"Id":""}', '{"Status":"Completed"}', '{"ExternalId":"7"}', '{"$id":"7"}')
none("the status: twice", BOTH, "/Status occurs 2 times; nobody can tell which is meant",
    *('{"Id":1,' + told + "}" for told in (
        '"Status":"Completed","Status":"Completed"', '"Status":"Completed","Status":null', '"Status":1,"Status":2', '"Status":"a" , "Status":"b"', '"Status":"a","\\u0053tatus":"b"')))
none("the status: a contradiction", BOTH, "/Status and /StatusName give different statuses; say which counts with",
    *(f'{{"Id":1,"Status":{told},"StatusName":{other}}}' for told, other in (
        ('"Completed"', '"Cancelled"'), ('"cancelled"', '"COMPLETED"'), ('" Completed "', '"canceled"'), ('"Complete"', '"Cancelled"'), ('{"Name":"Completed"}', '{"Name":"Cancelled"}'))))
none("encoding: a form", BOTH, "the body is form-encoded", "Id=1&Status=Completed", "payload=%7B%22Id%22%3A1%7D", 'payload={"Id":1}', "a+b=c", "class[Id]=7&class[Status]=x")
none("encoding: UTF-16", BOTH, "the body is encoded in UTF-16", '{"Id":1}'.encode("utf-16"), '{"Id":1}'.encode("utf-16-le"),
    '{"Id":1}'.encode("utf-16-be"), '[{"Id":1}]'.encode("utf-16-le"), '{"Name":"ü"}'.encode("utf-16"))
none("encoding: UTF-32", BOTH, "the body is encoded in UTF-32", '{"Id":1}'.encode("utf-32"), '{"Id":1}'.encode("utf-32-le"),
    '{"Id":1}'.encode("utf-32-be"), '[{"Id":1}]'.encode("utf-32"), '{"Name":"ü"}'.encode("utf-32"))
none("encoding: Windows-1252", BOTH, "the body is not UTF-8: byte 10 is wrong (invalid start byte); it may be Windows-1252",
    *(f'{{"Name":"{name}"}}'.encode("cp1252") for name in ("Zürich", "Fürth", "Köln", "Jörg", "Lübeck")))
none("encoding: XML or HTML", BOTH, "the body is XML or HTML", "<Class><Id>1</Id></Class>", '<?xml version="1.0"?><a/>', "<html>", " <a/>", "\ufeff<a/>")
none("encoding: percent", BOTH, "the body is percent-encoded", "%7B%22Id%22%3A1%7D", "%7b%22Id%22%3a1%7d", "%5B%7B%22Id%22%3A1%7D%5D", "%22x%22", " %7B%7D")
none("encoding: gzip", BOTH, "the body is compressed with gzip", *(b"\x1f\x8b\x08\x00\x00\x00\x00\x00" + more for more in (b"", b"\x00", b"\x02\x03", b"\xab\x56", b"abc")))
none("encoding: Base64", BOTH, "the body is encoded in Base64", *(b64encode(text) for text in (
    b'{"Id":1}', b'{"Id":1,"Status":"Completed"}', b'{\n"Id":1}', b'{\r\n "Id":1}', b'{"Data":{"Id":7}}')))
none("encoding: form data", BOTH, "the body is form data", *(
    f"--{mark}\r\n{header}\r\n\r\n1\r\n--{mark}--" for mark, header in (
        ("x", 'Content-Disposition: form-data; name="a"'), ("----WebKitFormBoundary7", 'Content-Disposition: form-data; name="body"'),
        ("b", "content-type: application/json"), ("-", 'CONTENT-DISPOSITION: form-data; name="a"'), ("y", "Content-Type: text/plain"))))
none("number: more digits than readers take", BOTH, "the number ", *('{"Id":1,"x":' + told + "}" for told in (
    "9" * 5000, "[-" + "9" * 4300 + "]", "-" + "1" * 4301, '{"y":' + "7" * 4301 + "}", "[[" + "3" * 9000 + "]]")))
none("other trigger: an assignment's body at the class's URL", ONE_CLASS, SWAPPED,
    '{"Id":1,"UserId":2,"CourseId":3,"Complete":1773997200,"Status":"Completed"}',
    '{"Id":1,"UserId":2,"ClubMembershipId":null,"Start":null}',
    '{"CourseAssignmentId":1,"UserId":2,"Status":"Completed"}',
    '{"CourseAssignment":{"Id":1,"UserId":2,"Status":"Completed"}}',
    '{"Results":[{"CourseAssignment":{"Id":1,"UserId":2}}]}',
    '{"Data":{"id":1,"user_id":2,"expires":"2026-03-01"}}')
none("other trigger: a class's body at the assignment's URL", ONE_ASSIGNMENT, SWAPPED,
    '{"Id":1,"Name":"Azure","ConfirmationStatusId":7,"Start":1773997200}',
    '{"Id":1,"MinStudents":null,"MaxStudents":null,"Status":"Completed"}',
    '{"ClassId":1,"ConfirmationStatusId":7}',
    '{"Class":{"Id":1,"Name":"Azure","ConfirmationStatusId":7}}',
    '{"Results":[{"Id":1,"name":"Azure","instructor_ids":[4]}]}',
    '[{"Id":1,"Name":"Azure","TimeZoneId":"UTC"}]')
# fmt: on
