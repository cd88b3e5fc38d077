import asyncio
import base64
import http.client
import json
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

import aio_pika
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.waiting import PATIENCE_S, patience

from bridge import Bridge

BODIES = sorted((Path(__file__).resolve().parents[2] / "examples" / "bodies").glob("*.json"))
SAMPLES = [path.read_bytes() for path in BODIES]
TOKEN = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
OURS = {"authorization", "content-length", "transfer-encoding", "connection", "expect", "host"}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)
member_names = st.sampled_from(
    ["Id", "ClassId", "CourseAssignmentId", "Status", "ConfirmationStatusId", "Start", "Results", "Data"]
)
models = st.dictionaries(member_names, json_values, max_size=6).map(lambda value: json.dumps(value).encode())


@st.composite
def mutations(draw: st.DrawFn) -> bytes:
    """Cut a piece out of a good body and put something else there."""
    body = draw(st.sampled_from(SAMPLES))
    start = draw(st.integers(0, len(body)))
    end = draw(st.integers(start, min(len(body), start + 20)))
    return body[:start] + draw(st.binary(max_size=10)) + body[end:]


bodies = st.one_of(st.sampled_from(SAMPLES), mutations(), models, st.binary(max_size=200))
header_names = st.text(TOKEN, min_size=1, max_size=20).filter(lambda name: name.lower() not in OURS)
header_values = st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]), max_size=30).map(str.strip)
headers = st.dictionaries(header_names, header_values, max_size=4)
paths = st.sampled_from(["course-assignment-changed", "class-changed"])


class Caller:
    """Calls the bridge and remembers what it was told."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge
        self.statuses: Counter[int] = Counter()
        self.accepted: set[str] = set()
        self.quarantined: dict[str, bytes] = {}

    def call(self, path: str, body: bytes, more: dict[str, str], *, authorized: bool) -> None:
        """Make one call and sort its answer."""
        if authorized:
            more = more | {"Authorization": self._bridge.authorization}
        status, answer = self._post(f"/webhooks/contoso/{path}", body, more)
        self.statuses[status] += 1
        if status == 202:
            self.accepted.add(answer["id"])
        elif status == 422:
            self.quarantined[answer["quarantine_id"]] = body

    def _post(self, path: str, body: bytes, more: dict[str, str]) -> tuple[int, dict[str, str]]:
        connection = http.client.HTTPConnection(urlsplit(self._bridge.url).netloc, timeout=PATIENCE_S)
        try:
            connection.request("POST", path, body, more)
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()


async def _bodies_in(url: str, queue_name: str, ids: set[str]) -> dict[str, bytes]:
    """Take messages out of a queue until all of these have come."""
    taken: dict[str, bytes] = {}
    async with patience(), await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        queue = await channel.get_queue(queue_name)
        async with queue.iterator(no_ack=True) as messages:
            while not ids <= taken.keys():
                message = await anext(messages)
                taken[message.message_id or ""] = message.body
    return taken


def test_no_request_breaks_the_bridge_loses_a_body_or_leaks_a_secret(bridge: Bridge, amqp_url: str) -> None:
    caller = Caller(bridge)

    @settings(max_examples=300, suppress_health_check=list(HealthCheck))
    @given(path=paths, body=bodies, more=headers, authorized=st.sampled_from([True, True, True, False]))
    def call(path: str, body: bytes, more: dict[str, str], *, authorized: bool) -> None:
        caller.call(path, body, more, authorized=authorized)

    call()
    assert {status for status in caller.statuses if status >= 500} == set()
    assert caller.statuses.keys() >= {202, 401, 422}
    # Nobody has bound a queue to the events here, so that all of them must be among the unroutable.
    unroutable = asyncio.run(_bodies_in(amqp_url, "tms.unroutable", caller.accepted))
    assert unroutable.keys() == caller.accepted
    quarantined = asyncio.run(_bodies_in(amqp_url, "tms.quarantine", set(caller.quarantined)))
    assert quarantined == caller.quarantined
    secrets = (bridge.password, base64.b64encode(bridge.password.encode()).decode(), bridge.authorization[6:])
    assert [secret for secret in secrets if secret in bridge.log] == []
