"""The pages over a real journal: what each role sees, what is never shown, and what a form needs."""

import re
import time
from pathlib import Path

import pytest
from pytest_aiohttp import AiohttpClient
from tests.admin.running import SOURCE, Client, Desk, Serve, Served, body, call, event
from tests.outbox.outboxes import hold, quarantine
from tests.waiting import until

from tms_bridge import admin, console
from tms_bridge.admin.context import WATCHERS
from tms_bridge.log import Log
from tms_bridge.message import Message
from tms_bridge.settings.model import Admin, AdminToken, Amqp, Settings
from tms_bridge.settings.model import Logging as LogSettings
from tms_bridge.words.standing import Standing

SETTINGS = Settings(amqp=Amqp(urls=("amqp://u:hunter2@h/",)), sources={"contoso": SOURCE, "fabrikam": SOURCE})
FOR_ALL = ("/", "/calls", "/calls?outcome=refused", "/plots", "/plots?span=day", "/keys", "/sources/contoso")
FOR_OPERATORS = ("/outbox", "/quarantine", "/topology", "/configuration?all=1")
TOKENS = Admin(
    token="an-operator-of-all",
    tokens=(
        AdminToken(name="contoso-admin", token="a-viewer-of-contoso", sources=("contoso",)),
        AdminToken(name="management", token="a-viewer-of-all"),
    ),
)
SECRET_BODY = b'{"Class": {"ClassNumber": 48311, "Name": "personal-data", "ConfirmationStatusId": 1}}'


def board_of(desk: Desk) -> console.Board:
    return console.Board(
        calls=desk.calls,
        sessions=console.Sessions(),
        tries=console.Tries(),
        settings=lambda: SETTINGS,
        standing=lambda: desk.standing,
        operators=desk.journal.operators,
        bus=desk.bus,
        logger=Log(LogSettings(), desk.lines).logger,
        watchers=admin.Watchers(),
        replica="bridge-0",
        version="0.1.0",
    )


@pytest.fixture
def serve(desk: Desk, aiohttp_client: AiohttpClient) -> Serve:
    """Serve the console under these tokens, and return a client of it."""

    async def serving(tokens: Admin | None = None) -> Client:
        guard, board = admin.Guard(tokens or Admin()), board_of(desk)
        app = admin.build(desk.context(), guard)
        console.mount(app, board, guard)
        return await aiohttp_client(Served(app))

    return serving


async def page(client: Client, path: str, status: int = 200) -> str:
    async with client.get(path, headers={"Accept": "text/html"}) as answer:
        assert status == answer.status
        return await answer.text()


async def post(client: Client, path: str, text: str, **parts: str) -> tuple[int, str]:
    """Send the form that a page holds for this path."""
    seal = re.search(
        rf'action="{re.escape(path)}"[^>]*>\s*<input type="hidden" name="csrf" value="(\w+)"', text
    )
    assert seal is not None
    async with client.post(path, data={"csrf": seal[1], **parts}) as answer:
        return answer.status, await answer.text()


async def sign_in(client: Client, token: str) -> None:
    async with client.post("/sign-in", data={"token": token, "next": "/"}, allow_redirects=False) as answer:
        assert 303 == answer.status
        cookie = answer.cookies["tms_bridge"]
        assert ("Strict", "/", True) == (cookie["samesite"], cookie["path"], cookie["httponly"])
        client.session.cookie_jar.update_cookies({"tms_bridge": cookie.value})


def read(message: Message, trigger: str) -> Message:
    return message if trigger else event(9)


@pytest.mark.parametrize("path", [*FOR_ALL, *FOR_OPERATORS])
async def test_every_page_is_whole_and_keeps_to_the_strict_policy(
    desk: Desk, serve: Serve, path: str
) -> None:
    now = time.time()
    desk.calls.note(call(now, id="e1"))
    desk.calls.note(call(now, id="", outcome="unauthorized", http_status=401, path="/<script>", source=""))
    client = await serve()
    async with client.get(path) as answer:
        text = await answer.text()
        assert (200, "no-store") == (answer.status, answer.headers["Cache-Control"])
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert text.rstrip().endswith("</html>")
    assert [] == re.findall(r"\sstyle=|\son\w+=|<style|data:|<script>|javascript:", text)
    assert 1 == text.count("<h1")


async def test_the_answer_to_a_call_and_its_remedy_stand_in_words(desk: Desk, serve: Serve) -> None:
    now = time.time()
    desk.calls.note(
        call(now, id="", outcome="unauthorized", http_status=401, listed=True, detail="none came")
    )
    desk.calls.note(
        call(now, id="", outcome="unknown_path", http_status=404, source="", path="/webhooks/contso/x")
    )
    client = await serve()
    text = await page(client, "/calls")
    assert "Refused: wrong password. None came" in text
    assert "tms-bridge tms-settings --source contoso --reveal" in text
    assert "did you mean &#34;contoso&#34;?" in text


async def test_a_flood_says_who_calls_and_that_real_senders_are_not_refused(desk: Desk, serve: Serve) -> None:
    now = time.time()
    client = await serve()
    assert "Who calls" not in await page(client, "/calls")
    for number in range(300):
        address = f"192.0.2.{1 + number % 2 * number // 100}"
        desk.calls.note(call(now, id="", outcome="unauthorized", http_status=401, address=address))
    desk.calls.history.look(now, 0, away=False)
    text = await page(client, "/calls")
    assert "Who calls" in text
    assert "<dt>192.0.2.1</dt>" in text
    assert "none refused" in text


async def test_an_event_tells_its_story_and_shows_its_message_on_request_alone(
    desk: Desk, serve: Serve
) -> None:
    row = desk.calls.note(call(time.time(), id=event(1).id))
    desk.calls.delivered(event(1), row.call.at, row.call.at + 0.005)
    path = f"/events/{event(1).id}"
    client = await serve()
    text = await page(client, path)
    status, shown = await post(client, f"{path}/message", text)
    assert "Confirmed" in text
    assert "The message, 2 bytes" not in text
    assert (200, True) == (status, "The message, 2 bytes" in shown)
    assert [("show", event(1).id)] == [(line["deed"], line["id"]) for line in desk.lines.of("audit")]


async def test_a_quarantined_body_is_opened_tried_and_dropped(desk: Desk, serve: Serve) -> None:
    row_id = (await quarantine(desk.journal, body(2, SECRET_BODY))).id
    path = f"/quarantine/{row_id}"
    client = await serve()
    text = await page(client, path)
    assert "personal-data" not in await page(client, "/quarantine") + text
    _, body_page = await post(client, f"{path}/body", text)
    _, tried = await post(client, f"{path}/try", text, id="/Class/ClassNumber", status="")
    refused, _ = await post(client, f"{path}/drop", text, why="", sure="on")
    _, after = await post(client, f"{path}/drop", text, why="a test", sure="on")
    assert "personal-data" in body_page
    assert "class 48311" in tried
    assert "[sources.contoso.fields.class]" in tried
    assert (400, True) == (refused, "Dropped." in after), after
    assert ["show", "try", "drop"] == [line["deed"] for line in desk.lines.of("audit")]


async def test_a_held_event_is_released_by_a_press(desk: Desk, serve: Serve) -> None:
    row_id = (await hold(desk.journal, event(4))).id
    client = await serve()
    text = await page(client, f"/quarantine/{row_id}")
    _, after = await post(client, f"/quarantine/{row_id}/release", text)
    assert "Released" in after
    await until(lambda: (1, 0) == (desk.journal.stats().events, desk.journal.stats().held))


async def test_a_body_that_is_readable_by_now_is_replayed_with_those_like_it(
    desk: Desk, serve: Serve
) -> None:
    desk.journal.operators.reread = read
    readable = b'{"Id": 5, "ConfirmationStatusId": 1}'
    first, _ = [
        (await quarantine(desk.journal, body(number, readable + b" " * number))).id for number in (5, 6)
    ]
    client = await serve()
    text = await page(client, f"/quarantine/{first}")
    assert "and 1 other that failed for the same reason" in text
    _, after = await post(client, f"/quarantine/{first}/replay", text)
    assert "Replayed" in after


async def test_a_form_of_another_site_or_session_is_refused(desk: Desk, serve: Serve) -> None:
    row_id = (await hold(desk.journal, event(4))).id
    path = f"/quarantine/{row_id}/release"
    client = await serve()
    for headers, seal in (
        ({}, "0" * 64),
        ({"Origin": "https://evil.example"}, "x"),
        ({"Sec-Fetch-Site": "cross-site"}, "x"),
    ):
        async with client.post(path, data={"csrf": seal}, headers=headers) as answer:
            assert answer.status in {403, 421}
    assert 1 == desk.journal.stats().held


async def test_nobody_looks_without_a_token_where_there_is_one(serve: Serve) -> None:
    client = await serve(TOKENS)
    async with client.get("/calls?outcome=held", allow_redirects=False) as answer:
        assert (303, "/sign-in?next=/calls?outcome%3Dheld") == (
            answer.status,
            answer.headers["Location"],
        )
    async with client.post("/sign-in", data={"token": "wrong", "next": "//evil.example"}) as answer:
        text = await answer.text()
        assert (401, True) == (answer.status, "That is not one of the tokens." in text)
        assert "evil.example" not in text
    await sign_in(client, "an-operator-of-all")
    assert "operator" in await page(client, "/")
    async with client.get("/api/v1/status") as answer:
        assert 401 == answer.status


async def test_an_address_may_try_ten_tokens_a_minute(serve: Serve) -> None:
    client = await serve(TOKENS)
    told = []
    for _ in range(11):
        async with client.post("/sign-in", data={"token": "wrong"}) as answer:
            told.append(answer.status)
    assert [401] * 10 + [429] == told


async def test_a_viewer_of_a_source_sees_that_alone(desk: Desk, serve: Serve) -> None:
    now = time.time()
    for source in ("contoso", "fabrikam"):
        desk.calls.note(
            call(now, id=f"of-{source}", source=source, entity="77" if source == "fabrikam" else "55")
        )
    client = await serve(TOKENS)
    await sign_in(client, "a-viewer-of-contoso")
    overview, calls = await page(client, "/"), await page(client, "/calls")
    assert "fabrikam" not in overview + calls
    assert "class 55" in calls
    for path in (*FOR_OPERATORS, "/events/of-fabrikam", "/sources/fabrikam", "/sources/nothing"):
        assert "There is no such page" in await page(client, path, 404)


@pytest.mark.parametrize(
    ("token", "theirs"), [("a-viewer-of-all", 0), ("a-viewer-of-contoso", 0), ("an-operator-of-all", 4)]
)
async def test_the_menu_leads_nobody_to_a_page_that_is_not_there_for_them(
    desk: Desk, serve: Serve, token: str, theirs: int
) -> None:
    desk.standing = Standing(now=time.time(), broker="down", unroutable=1, unroutable_topics=1)
    client = await serve(TOKENS)
    await sign_in(client, token)
    links = set(re.findall(r'href="(/\w*)"', await page(client, "/")))
    for link in links:
        await page(client, link)
    assert theirs == len(links & {"/outbox", "/quarantine", "/topology", "/configuration"})


async def test_the_sentence_leads_to_the_page_that_shows_more(desk: Desk, serve: Serve) -> None:
    desk.standing = Standing(now=time.time(), broker="down", unroutable=1, unroutable_topics=1)
    client = await serve()
    text = await page(client, "/calls")
    assert '<a href="/outbox">More' in text
    assert '<li><a href="/topology">No queue is bound to 1 topic' in text


async def test_who_is_one_too_many_is_told_that_the_page_is_not_live(serve: Serve) -> None:
    client = await serve()
    streams = [await client.get("/stream?view=calls") for _ in range(WATCHERS)]
    text = await page(client, "/calls")
    for stream in streams:
        stream.close()
    assert f"Not live: {WATCHERS} others watch." in text
    assert 'data-live="no"' in text


async def test_a_kept_body_and_an_unwanted_event_lead_to_where_they_are_mended(
    desk: Desk, serve: Serve
) -> None:
    kept = {"outcome": "quarantined", "http_status": 422, "detail": "no Id"}
    desk.calls.note(call(time.time(), id="kept", request_id="r1", **kept))
    desk.calls.note(call(time.time(), id="event"))
    desk.calls.told("event", "unroutable")
    client = await serve()
    assert 'href="/quarantine/kept"' in await page(client, "/calls/r1")
    assert 'href="/topology/replay?key=tms.class.completed"' in await page(client, "/events/event")


async def test_another_name_for_this_machine_is_refused_where_there_is_no_token(serve: Serve) -> None:
    client = await serve()
    async with client.get("/", headers={"Host": "rebound.example"}) as answer:
        assert 421 == answer.status


async def test_the_configuration_shows_no_secret(serve: Serve) -> None:
    client = await serve()
    text = await page(client, "/configuration?all=1")
    assert "hunter2" not in text
    assert "amqp.urls" in text


async def test_a_page_hears_of_new_calls_and_of_a_new_sentence(desk: Desk, serve: Serve) -> None:
    client = await serve()
    async with client.get("/stream?view=overview") as stream:
        desk.calls.note(call(time.time(), id="new"))
        seen = b""
        while b"event: rows" not in seen or b"event: say" not in seen or b"event: part" not in seen:
            seen += await stream.content.readany()
    assert b"/events/new" in seen


async def test_a_stream_that_broke_off_goes_on_after_what_it_told_last(desk: Desk, serve: Serve) -> None:
    desk.calls.note(call(time.time(), id="told"))
    headers = {"Last-Event-ID": str(desk.calls.change)}
    desk.calls.note(call(time.time(), id="missed"))
    client = await serve()
    async with client.get("/stream?view=calls&from=0", headers=headers) as stream:
        seen = b""
        while b"/events/missed" not in seen:
            seen += await stream.content.readany()
    assert b"/events/told" not in seen


async def test_what_leads_nowhere_is_a_page_for_people_and_a_problem_for_programs(serve: Serve) -> None:
    client = await serve()
    assert "There is no such page" in await page(client, "/nothing", 404)
    async with client.get("/nothing") as answer:
        assert (404, "application/problem+json") == (answer.status, answer.content_type)


@pytest.mark.parametrize(
    ("method", "path", "status", "allowed"),
    [
        ("HEAD", "/api/v1/status", 200, None),
        ("HEAD", "/api/v1/nothing", 404, None),
        ("POST", "/api/v1/nothing", 404, None),
        ("POST", "/api/v1/status", 405, "GET, HEAD"),
        ("GET", "/api/v1/outbox/1/retry", 405, "POST"),
        ("HEAD", "/api/v1/calls/stream", 405, "GET"),
        ("DELETE", "/livez", 405, "GET, HEAD"),
        ("GET", "/sign-out", 405, "POST"),
    ],
)
async def test_the_console_hides_no_wrong_method_of_the_api(
    serve: Serve, method: str, path: str, status: int, allowed: str | None
) -> None:
    client = await serve()
    async with client.request(method, path) as answer:
        assert (status, allowed) == (answer.status, answer.headers.get("Allow"))


def test_the_two_dark_themes_are_equal() -> None:
    css = (Path(console.__file__).parent / "static" / "console.css").read_text()
    dark = re.findall(r'data-theme="(?:light"\]\)|dark"\]) \{[^}]*?(--bg.*?)\n\}', css, re.DOTALL)
    assert 2 == len(dark)
    assert {re.sub(r"\s+", " ", dark[0])} == {re.sub(r"\s+", " ", dark[1])}
