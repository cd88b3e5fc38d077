"""Whatever is sent: no 5xx, no lost body, no secret in the log."""

import asyncio
import http.client
import json
import threading
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.waiting import PATIENCE_S
from tests.web.running import AUTHORIZATION, SOURCE, Bridge, serve

import tms_events
from tms_bridge.ingest.fields import FIELDS, ONLY, OTHER, fold, read_names
from tms_bridge.outbox.journal import Journal
from tms_bridge.outbox.rows import Row, State
from tms_bridge.settings.model import Http, Outbox
from tms_events import STATUSES, Trigger

T = TypeVar("T")

SECRET = "hunter2-in-a-header"
WRONG = (None, f"Basic {SECRET}", f"Bearer {SECRET}", AUTHORIZATION + "x", "Basic")
SOURCES = {"contoso": SOURCE}

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)
NAMES = st.sampled_from(
    [
        "Id",
        "ClassId",
        "CourseAssignmentId",
        "Status",
        "ConfirmationStatusId",
        "Start",
        "Complete",
        "Name",
        "Data",
    ]
)
VALUES = (
    JSON
    | st.integers(0, 9)
    | st.sampled_from(
        ["Completed", "guaranteed_to_run", "Canceled", "7", "/Date(1333267200000)/", "2026-02-30"]
    )
)
EVENTS = st.dictionaries(NAMES, VALUES, min_size=1, max_size=5)
TEXTS = st.builds(
    json.dumps, EVENTS | JSON | st.lists(EVENTS, max_size=2).map(lambda rows: {"Results": rows})
)
BODIES = st.one_of(
    st.binary(max_size=300),
    TEXTS.map(str.encode),
    TEXTS.map(lambda text: b"\xef\xbb\xbf" + text.encode()),
    st.builds(lambda text, cut: text.encode()[:cut], TEXTS, st.integers(0, 60)),
    st.integers(1, 2000).map(lambda depth: b"[" * depth),
)
HEADERS = st.dictionaries(
    st.from_regex(r"X-[A-Za-z0-9!#$%&'*+.^_`|~-]{1,20}", fullmatch=True),
    st.binary(max_size=40).map(lambda raw: bytes(b for b in raw if b >= 0x20 and b != 0x7F).strip()),
    max_size=5,
)
PATHS = st.sampled_from(["class-changed", "course-assignment-changed"])

TRIGGERS: Final = {"class-changed": Trigger.CLASS, "course-assignment-changed": Trigger.COURSE_ASSIGNMENT}
STATUS_NAMES: Final = {
    Trigger.CLASS: ("ConfirmationStatusId", "ConfirmationStatus", "Status", "StatusName", "status_id"),
    Trigger.COURSE_ASSIGNMENT: ("Status", "StatusName", "CompletionStatus", "AssignmentStatus", "status"),
}
IDS = st.integers(-(2**63), 2**63 - 1) | st.integers(0, 99)
SPELLED_IDS = st.sampled_from(["%d", '"%d"', '" %d "', "%d.0", "%de0", '"%d.00"'])
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
SIDE = st.recursive(
    st.none() | st.booleans() | st.integers() | FLOATS | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)  # fmt: skip
ENVELOPES = st.sampled_from(
    [
        "%s", " \r\n%s\n", "\ufeff%s", "\ufeff\ufeff %s", "[%s]", '{"Data":%s}', '{"Results":[%s]}',
        '{"Status":0,"Error":null,"Results":[%s]}', '{"$id":"1","$values":[%s]}', '{"Data":{"Results":[%s]}}',
        '{"id":"9f0c2c1e-0000-4000-8000-0123456789ab","type":"changed","data":%s}',
    ]
)  # fmt: skip


@st.composite
def readable(draw: st.DrawFn, trigger: Trigger) -> tuple[int, bytes]:
    """An id and a status that can be read, among members that hold anything, in any wrapper; and the id."""
    number = draw(IDS)
    words = [*STATUSES[trigger], "Postponed", "Canceled"]
    told = st.none() | st.integers(-1, 9) | st.sampled_from(words) | st.text(max_size=9)
    status = draw(told | told.map(lambda word: {"Id": 99, "Name": word if isinstance(word, str) else "x"}))
    plain = {field.name.title().replace("_", "") for field in FIELDS[trigger]}
    names = plain.union(*(field.aliases for field in FIELDS[trigger]))
    own = draw(st.dictionaries(st.sampled_from(sorted(names)), SIDE, max_size=5))
    strange = st.text(max_size=8).filter(
        lambda name: fold(name) not in read_names(trigger) | ONLY[OTHER[trigger]]
    )
    new = draw(st.dictionaries(strange, SIDE, max_size=3))
    foreign = draw(st.dictionaries(st.sampled_from(sorted(ONLY[OTHER[trigger]])), SIDE, max_size=1))
    members = own | new | foreign | {draw(st.sampled_from(STATUS_NAMES[trigger])): status}
    pairs = [f"{json.dumps(name)}:{json.dumps(value)}" for name, value in members.items()]
    pairs.insert(draw(st.integers(0, len(pairs))), f'"Id":{draw(SPELLED_IDS) % number}')
    body = draw(ENVELOPES).replace("%s", "{" + ",".join(pairs) + "}")
    return number, (json.dumps(body) if draw(st.integers(0, 9)) == 0 else body).encode()


class Rig:
    """A listener over a real journal, on a loop in a thread of its own, so that examples can share it."""

    def __init__(self, directory: Path) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._closing = AsyncExitStack()
        self._thread.start()
        self.journal, self.bridge = self.do(self._open(directory))
        self.connection = http.client.HTTPConnection("127.0.0.1", self.bridge.port, timeout=PATIENCE_S)

    def do(self, work: Coroutine[object, object, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    def close(self) -> None:
        self.connection.close()
        self.do(self._closing.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _open(self, directory: Path) -> tuple[Journal, Bridge]:
        journal = await Journal.open(Outbox(dir=str(directory), min_free_bytes=0))
        self._closing.push_async_callback(journal.close)
        return journal, await self._closing.enter_async_context(serve(Http(), SOURCES, journal))

    def send(
        self, path: str, body: bytes, headers: dict[str, bytes], authorization: str | None
    ) -> tuple[int, dict[str, str]]:
        lines: dict[str, str | bytes] = {**headers}
        if authorization is not None:
            lines["Authorization"] = authorization
        self.connection.request("POST", f"/webhooks/contoso/{path}", body, lines)
        response = self.connection.getresponse()
        return response.status, json.loads(response.read())

    def kept(self, row_id: str, state: State) -> Row:
        return self.do(self.journal.operators.show(row_id, [state]))


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    opened = Rig(tmp_path_factory.mktemp("any") / "outbox")
    yield opened
    opened.close()
    said = opened.bridge.lines.raw
    assert [word for word in (SECRET, AUTHORIZATION.split()[1]) if word.encode() in said] == []


@settings(max_examples=1000)
@given(path=PATHS, body=BODIES, headers=HEADERS)
def test_every_authenticated_body_ends_as_an_event_or_in_quarantine(
    rig: Rig, path: str, body: bytes, headers: dict[str, bytes]
) -> None:
    status, answer = rig.send(path, body, headers, AUTHORIZATION)

    if status == 202:
        message = rig.kept(answer["id"], State.PENDING).message
        assert (tms_events.payload_bytes(message.body) or b"absent") in body
    else:
        assert status == 422
        assert rig.kept(answer["quarantine_id"], State.UNDECODABLE).message.body == body


@settings(max_examples=1000)
@given(path=PATHS, data=st.data())
def test_every_body_whose_id_and_status_can_be_read_is_202(rig: Rig, path: str, data: st.DataObject) -> None:
    number, body = data.draw(readable(TRIGGERS[path]))
    status, answer = rig.send(path, body, {}, AUTHORIZATION)

    assert (202, body) == (status, body), answer
    message = rig.kept(answer["id"], State.PENDING).message
    assert number == tms_events.entity_id(tms_events.decode(message.body))


@settings(max_examples=100)
@given(path=PATHS, body=BODIES, headers=HEADERS, authorization=st.sampled_from(WRONG))
def test_nothing_without_credentials_is_kept(
    rig: Rig, path: str, body: bytes, headers: dict[str, bytes], authorization: str | None
) -> None:
    before = rig.journal.stats().last_seq
    status, _ = rig.send(path, body, headers, authorization)

    assert status in {401, 429}
    assert before == rig.journal.stats().last_seq
