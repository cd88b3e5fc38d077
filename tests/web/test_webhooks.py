import asyncio
import hashlib
import re

import msgspec
import pytest
from tests.waiting import patience, until
from tests.web.running import AUTHORIZATION, BODY, SOURCE, Bridge, read_answer, request, serve

import tms_events
from tms_bridge.errors import OutboxBroken, Unavailable
from tms_bridge.settings.model import Http
from tms_bridge.web import Routes

UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


async def test_a_webhook_is_answered_202_once_it_is_durable(bridge: Bridge) -> None:
    answer = await bridge.post()

    assert answer.status == 202
    assert answer.json == {
        "id": bridge.shelf.accepted[0].id,
        "outcome": "accepted",
        "routing_key": "tms.class.completed",
        "durable": "outbox",
    }
    assert UUID7.fullmatch(str(answer.json["id"]))
    assert answer.headers["content-type"] == "application/json"


async def test_nothing_is_answered_before_the_event_is_durable(bridge: Bridge) -> None:
    bridge.shelf.open.clear()
    asking = asyncio.create_task(bridge.post())
    await until(lambda: bridge.webhooks.in_flight.count == 1)
    await bridge.ask(request(b"", "/livez", "GET"))
    early = asking.done()
    bridge.shelf.open.set()

    assert (early, (await asking).status) == (False, 202)


async def test_the_status_of_success_is_configurable() -> None:
    async with serve(Http(success_status=200), {"contoso": SOURCE}) as bridge:
        assert (await bridge.post()).status == 200


async def test_the_message_carries_the_body_and_its_digest(bridge: Bridge) -> None:
    await bridge.post()

    message = bridge.shelf.accepted[0]
    assert message.digest == hashlib.blake2b(b"contoso\0class\0" + BODY, digest_size=32).hexdigest()
    assert tms_events.payload_bytes(message.body) == BODY


async def test_a_connection_serves_several_webhooks(bridge: Bridge) -> None:
    reader, writer = await bridge.connect()
    statuses = []
    for _ in range(3):
        writer.write(request())
        statuses.append((await read_answer(reader)).status)

    assert statuses == [202, 202, 202]


async def test_pipelined_webhooks_are_answered_in_order(bridge: Bridge) -> None:
    reader, writer = await bridge.connect()
    writer.write(request(b'{"Id": 1}') + request(b"{}") + request(b'{"Id": 3}'))

    assert [(await read_answer(reader)).status for _ in range(3)] == [202, 422, 202]


async def test_an_http_1_0_client_is_answered_and_closed(bridge: Bridge) -> None:
    answer = await bridge.ask(request().replace(b"HTTP/1.1", b"HTTP/1.0"))

    assert (answer.status, answer.headers["connection"]) == (202, "close")


async def test_an_http_1_0_client_may_keep_the_connection(bridge: Bridge) -> None:
    answer = await bridge.ask(request(Connection="keep-alive").replace(b"HTTP/1.1", b"HTTP/1.0"))

    assert (answer.status, answer.headers["connection"]) == (202, "keep-alive")


async def test_a_chunked_body_is_taken(bridge: Bridge) -> None:
    raw = request(b"", Content_Length="", Transfer_Encoding="chunked")
    answer = await bridge.ask(raw + b'4\r\n{"Id\r\n5\r\n": 7}\r\n0\r\n\r\n')

    assert (answer.status, bridge.shelf.accepted[0].entity) == (202, "7")


async def test_a_body_in_pieces_is_taken(bridge: Bridge) -> None:
    reader, writer = await bridge.connect()
    raw = request()
    for at in range(0, len(raw), 20):
        writer.write(raw[at : at + 20])
        await writer.drain()
        await asyncio.sleep(0)

    assert (await read_answer(reader)).status == 202


@pytest.mark.parametrize(
    "path", ["/webhooks/contoso/class-changed", "/webhooks/%63ontoso/class%2Dchanged?x=1"]
)
async def test_the_path_may_be_percent_encoded_and_have_a_query(bridge: Bridge, path: str) -> None:
    assert (await bridge.post(path=path)).status == 202


async def test_both_triggers_have_their_path(bridge: Bridge) -> None:
    await bridge.post(path="/webhooks/contoso/course-assignment-changed")

    assert bridge.count("accepted", trigger="course_assignment") == 1


async def test_an_absolute_request_target_is_understood(bridge: Bridge) -> None:
    assert (await bridge.post(path="http://bridge/webhooks/contoso/class-changed")).status == 202


async def test_looking_at_the_url_shows_a_line_of_text_without_any_check(bridge: Bridge) -> None:
    answer = await bridge.ask(request(b"", method="GET", Authorization="", Content_Length=""))

    assert (answer.status, answer.headers["content-type"]) == (200, "text/plain; charset=utf-8")
    assert answer.body.count(b"\n") == 1


async def test_head_shows_the_same_without_its_text(bridge: Bridge) -> None:
    reader, writer = await bridge.connect()
    writer.write(request(b"", method="HEAD", Authorization="", Content_Length="", Connection="close"))
    raw = await reader.read()

    assert raw.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"Content-Length: 98" in raw
    assert raw.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "OPTIONS"])
async def test_an_unknown_source_is_404_whatever_the_method(bridge: Bridge, method: str) -> None:
    reader, writer = await bridge.connect()
    writer.write(request(path="/webhooks/contosso/class-changed", method=method))

    assert (await reader.readline()).startswith(b"HTTP/1.1 404 ")


async def test_who_mistypes_the_source_behind_a_proxy_is_told_by_their_own_address() -> None:
    proxied = Http(client_address="x-forwarded-for", trusted_proxies=("127.0.0.1",))
    async with serve(proxied, {"contoso": SOURCE}) as bridge:
        await bridge.post(path="/webhooks/contso/class-changed", X_Forwarded_For="192.0.2.7")
        await bridge.post(path="/webhooks/contso/class-changed", X_Forwarded_For="nobody")

    assert [("192.0.2.7", "127.0.0.1"), ("127.0.0.1", None)] == [
        (line["remote"], line.get("peer")) for line in bridge.lines.of("webhook")
    ]


@pytest.mark.parametrize(
    "path", ["/", "/webhooks/contoso", "/webhooks/contoso/class-changed/", "/%zz%", "/%ff"]
)
async def test_an_unknown_or_malformed_path_is_a_404_problem(bridge: Bridge, path: str) -> None:
    answer = await bridge.post(path=path)

    assert (answer.status, answer.headers["content-type"]) == (404, "application/problem+json")
    assert answer.json["type"] == "urn:tms-bridge:problem:unknown-path"


async def test_all_unknown_sources_are_one_series(bridge: Bridge) -> None:
    await bridge.post(path="/webhooks/a/class-changed")
    await bridge.post(path="/webhooks/b/class-changed")
    await bridge.post(path="/c")

    assert bridge.count("unknown_path", source="unknown", trigger="unknown") == 3


@pytest.mark.parametrize(
    ("path", "allow"),
    [
        ("/webhooks/contoso/class-changed", "GET, HEAD, POST"),
        ("/livez", "GET, HEAD"),
        ("/readyz", "GET, HEAD"),
    ],
)
async def test_another_method_is_405_with_those_that_are_allowed(
    bridge: Bridge, path: str, allow: str
) -> None:
    answer = await bridge.ask(request(path=path, method="DELETE"))

    assert (answer.status, answer.headers["allow"]) == (405, allow)
    assert answer.headers["content-type"] == "application/problem+json"


async def test_probes_are_answered_on_the_traffic_port(bridge: Bridge) -> None:
    bridge.health.stopping = True
    live = await bridge.ask(request(b"", "/livez", "GET", Content_Length=""))
    ready = await bridge.ask(request(b"", "/readyz", "GET", Content_Length=""))

    assert (live.status, live.json) == (200, {"status": "live"})
    assert (ready.status, ready.json) == (503, {"status": "not ready", "reasons": ["shutting down"]})


async def test_every_answer_has_a_request_id_which_the_problem_repeats(bridge: Bridge) -> None:
    refused = await bridge.post(Authorization="")
    accepted = await bridge.post(X_Request_Id="mine")

    assert refused.headers["x-request-id"] == refused.json["request_id"]
    assert re.fullmatch("[0-9a-f]{16}", accepted.headers["x-request-id"])


async def test_a_problem_has_the_members_of_rfc_9457(bridge: Bridge) -> None:
    answer = await bridge.post(Authorization="")

    assert answer.json == {
        "type": "urn:tms-bridge:problem:unauthorized",
        "title": "Credentials missing or wrong",
        "status": 401,
        "detail": answer.json["detail"],
        "request_id": answer.headers["x-request-id"],
    }
    assert "tms-settings" in str(answer.json["detail"])


async def test_a_reason_and_what_follows_it_are_sentences(bridge: Bridge) -> None:
    swapped = await bridge.post(b'{"CourseAssignmentId": 5, "UserId": 3, "Expire": 1}')
    assert "are the two URLs swapped in TMS? It is kept in quarantine" in str(swapped.json["detail"])
    empty = await bridge.post(b"")
    assert "the body is empty. It is kept in quarantine" in str(empty.json["detail"])


async def test_an_undecodable_body_is_422_only_after_it_is_safe(bridge: Bridge) -> None:
    bridge.shelf.open.clear()
    asking = asyncio.create_task(bridge.post(b"no json"))
    await until(lambda: bridge.webhooks.in_flight.count == 1)
    await bridge.ask(request(b"", "/livez", "GET"))
    early = asking.done()
    bridge.shelf.open.set()
    answer = await asking

    assert (early, answer.status) == (False, 422)
    assert answer.json["quarantine_id"] == bridge.shelf.quarantined[0].id
    assert bridge.shelf.quarantined[0].body == b"no json"
    assert "JSON" in str(answer.json["detail"])


async def test_the_empty_body_goes_to_quarantine_too(bridge: Bridge) -> None:
    assert ((await bridge.post(b"")).status, len(bridge.shelf.quarantined)) == (422, 1)


async def test_an_outbox_without_room_is_503_with_a_time_to_come_back(bridge: Bridge) -> None:
    bridge.shelf.failure = Unavailable("the outbox is full", retry_after_s=7)
    answer = await bridge.post()

    assert (answer.status, answer.headers["retry-after"]) == (503, "7")
    assert (answer.json["detail"], bridge.count("unavailable")) == ("the outbox is full", 1)


async def test_a_broken_outbox_is_503(bridge: Bridge) -> None:
    bridge.shelf.failure = OutboxBroken("fsync failed")

    assert (await bridge.post()).status == 503


async def test_what_does_not_become_durable_within_the_deadline_is_503() -> None:
    async with serve(Http(deadline_s=0.2), {"contoso": SOURCE}) as bridge:
        bridge.shelf.open.clear()
        async with patience():
            started = asyncio.get_running_loop().time()
            answer = await bridge.post()
            seconds = asyncio.get_running_loop().time() - started

    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    assert seconds > 0.15


@pytest.mark.parametrize("short_way", [True, False])
async def test_a_webhook_waits_no_longer_than_its_deadline(*, short_way: bool) -> None:
    async with serve(Http(deadline_s=60), {"contoso": SOURCE}, short_way=short_way) as bridge:
        bridge.shelf.open.clear()
        loop = asyncio.get_running_loop()
        began = loop.time()
        posting = asyncio.create_task(bridge.post())
        waits = bridge.webhooks._desk.deadlines._waits
        await until(lambda: bool(waits))
        moment, latest = next(iter(waits)).moment, loop.time() + 60
        bridge.shelf.open.set()

        assert 202 == (await posting).status

    assert began + 50 < moment < latest


async def test_over_max_in_flight_a_webhook_is_503_at_once_and_its_body_unread() -> None:
    async with serve(Http(max_in_flight=1), {"contoso": SOURCE}) as bridge:
        bridge.shelf.open.clear()
        first = asyncio.create_task(bridge.post())
        await until(lambda: bridge.webhooks.in_flight.count == 1)
        answer = await bridge.ask(request(b"", Content_Length="500"))
        bridge.shelf.open.set()

        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        assert (await first).status == 202


async def test_the_slow_bodies_of_one_source_are_no_503_for_another() -> None:
    greedy = request(b"", "/webhooks/greedy/class-changed", Content_Length="500")
    async with serve(Http(max_in_flight=20), {"contoso": SOURCE, "greedy": SOURCE}) as bridge:
        slow = [await bridge.connect() for _ in range(15)]
        for _, writer in slow:
            writer.write(greedy)
        await until(lambda: bridge.webhooks.in_flight.count == 15)

        assert [503] * 5 == [(await bridge.ask(greedy)).status for _ in range(5)]
        assert [202] * 10 == [(await bridge.post()).status for _ in range(10)]


async def test_a_defect_is_500_without_what_it_said(bridge: Bridge) -> None:
    bridge.shelf.failure = RuntimeError("hunter2")
    answer = await bridge.post()

    assert (answer.status, answer.json["type"]) == (500, "urn:tms-bridge:problem:internal-error")
    assert b"hunter2" not in answer.body
    assert "RuntimeError" in str(bridge.lines.of("defect")[0]["exception"])
    assert bridge.count("internal_error") == 1


async def test_bytes_that_are_no_http_get_a_problem_and_a_line_in_the_log(bridge: Bridge) -> None:
    answer = await bridge.ask(b"\x16\x03\x01\x02\x00\r\n\r\n")
    (line,) = bridge.lines.of("webhook")

    assert (answer.status, answer.headers["content-type"]) == (400, "application/problem+json")
    assert answer.headers["connection"] == "close"
    assert (line["outcome"], line["remote"]) == ("malformed_request", "127.0.0.1")
    assert line["request_id"] == answer.headers["x-request-id"] == answer.json["request_id"]
    assert bridge.count("malformed_request", "unknown", "unknown") == 1


async def test_during_shutdown_webhooks_are_taken_and_connections_closed(bridge: Bridge) -> None:
    bridge.health.stopping = True
    answer = await bridge.post()

    assert (answer.status, answer.headers["connection"]) == (202, "close")


async def test_a_trace_is_continued_with_the_request_id_as_its_span(bridge: Bridge) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    answer = await bridge.post(traceparent=f"00-{trace}-00f067aa0ba902b7-00")

    assert bridge.shelf.accepted[0].traceparent == f"00-{trace}-{answer.headers['x-request-id']}-00"


async def test_what_was_taken_in_shows_in_the_metrics(bridge: Bridge) -> None:
    await bridge.post()
    sample = bridge.metrics.registry.get_sample_value

    assert sample("tms_bridge_events_total", {"trigger": "class", "status": "completed"}) == 1
    assert sample("tms_bridge_credential_used_total", {"source": "contoso", "credential": "2026"}) == 1
    assert (sample("tms_bridge_last_accepted_timestamp_seconds", {"source": "contoso"}) or 0) > 1.7e9
    assert sample("tms_bridge_webhook_duration_seconds_count") == 1


async def test_one_line_is_logged_for_a_webhook_and_no_secret(bridge: Bridge) -> None:
    answer = await bridge.post()
    (line,) = bridge.lines.of("webhook")
    line.pop("timestamp")
    line.pop("duration_ms")

    assert line == {
        "level": "info",
        "event": "webhook",
        "outcome": "accepted",
        "http_status": 202,
        "source": "contoso",
        "trigger": "class",
        "id": answer.json["id"],
        "status": "completed",
        "routing_key": "tms.class.completed",
        "request_id": answer.headers["x-request-id"],
        "remote": "127.0.0.1",
    }
    assert AUTHORIZATION.split()[1].encode() not in bridge.lines.raw


async def test_a_reload_replaces_the_routes_as_a_whole(bridge: Bridge) -> None:
    other = msgspec.structs.replace(SOURCE, allow_from=("192.0.2.1",))
    bridge.webhooks.take_over(Routes(Http(), {"contoso": other, "fabrikam": SOURCE}))

    assert (await bridge.post()).status == 403
    assert (await bridge.post(path="/webhooks/fabrikam/class-changed")).status == 202


async def test_what_an_event_says_that_cannot_be_read_is_logged_and_counted(bridge: Bridge) -> None:
    answer = await bridge.post(b'{"Id": 7, "Status": "Denied", "MaxStudents": "twenty", "Start": "soon"}')

    assert (answer.status, answer.json["outcome"]) == (202, "accepted")
    await until(lambda: len(bridge.lines.of("webhook")) == 1)
    (line,) = bridge.lines.of("webhook")
    assert line["detail"] == "not read, though they hold a value: max_students, start"
    registry = bridge.metrics.registry
    assert [1.0, 1.0, None] == [
        registry.get_sample_value("tms_bridge_fields_unread_total", {"trigger": "class", "field": field})
        for field in ("max_students", "start", "name")
    ]


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/webhooks//contoso/class-changed", "The path has a doubled slash."),
        ("//webhooks/contoso/class-changed", "The path has a doubled slash."),
        ("/webhooks/contoso/class-changed/", "The path ends in a slash too many."),
        ("/tms/webhooks/contoso/class-changed", "The path has something before /webhooks."),
        ("/webhooks/contso/class-changed", "There is no such path or source."),
    ],
)
async def test_a_slip_of_the_slash_is_named_to_the_sender(bridge: Bridge, path: str, says: str) -> None:
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
    answer = await bridge.ask(head.encode())

    assert (answer.status, str(answer.json["detail"]).startswith(says)) == (404, True)


async def test_a_refusals_line_says_method_and_path_and_cuts_them(bridge: Bridge) -> None:
    for method, path in (("POST", "/nowhere/" + "x" * 300), ("DELETE", "/webhooks/contoso/class-changed")):
        await bridge.ask(f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".encode())
    unknown, other = bridge.lines.of("webhook")

    assert (unknown["method"], other["method"]) == ("POST", "DELETE")
    assert re.fullmatch(r"/nowhere/x{191} and \d+ more", str(unknown["path"]))
    assert other["path"] == "/webhooks/contoso/class-changed"


async def test_an_accepted_webhooks_line_needs_no_path(bridge: Bridge) -> None:
    assert (await bridge.post()).status == 202
    (line,) = bridge.lines.of("webhook")

    assert not {"method", "path"} & set(line)
