import asyncio
import json
import logging
import subprocess
import sys
import textwrap
from typing import Literal

import msgspec
import pytest

from tms_bridge.log import Line, Log, without_passwords
from tms_bridge.settings.model import Logging as LogSettings


class Lines:
    def __init__(self) -> None:
        self.raw = b""

    def write(self, line: bytes) -> int:
        self.raw += line
        return len(line)

    def json(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.raw.splitlines()]


class Broken:
    def write(self, line: bytes) -> int:
        raise BrokenPipeError(line)


@pytest.fixture
def lines() -> Lines:
    return Lines()


def test_a_line_is_one_json_object_with_time_and_level_first(lines: Lines) -> None:
    Log(LogSettings(), lines).logger.info("webhook", source="contoso", duration_ms=1.5)

    (line,) = lines.json()
    assert list(line) == ["timestamp", "level", "source", "duration_ms", "event"]
    assert line["level"] == "info"
    assert str(line["timestamp"]).endswith("Z")


class Short(Line):
    """A line of the short way."""

    source: str = "contoso"
    path: str | msgspec.UnsetType = msgspec.UNSET
    event: str = "webhook"


@pytest.mark.parametrize("level", ["info", "warning"])
def test_the_short_way_writes_the_same_line(lines: Lines, level: Literal["info", "warning"]) -> None:
    log = Log(LogSettings(), lines)
    log.line(Short("", level, "contoso", "/\udcff"))
    log.logger.log(getattr(logging, level.upper()), "webhook", source="contoso", path="/\udcff")
    short, long = lines.json()

    assert list(short) == list(long)
    assert len(str(short.pop("timestamp"))) == len(str(long.pop("timestamp")))
    assert short == long


def test_the_short_way_heeds_the_level(lines: Lines) -> None:
    Log(LogSettings(level="warning"), lines).line(Short("", "info"))

    assert lines.raw == b""


def test_the_short_way_writes_console_lines_too(lines: Lines) -> None:
    Log(LogSettings(format="console"), lines).line(Short("", "info"))

    assert b"contoso" in lines.raw


def test_lines_below_the_level_are_dropped_until_the_level_changes(lines: Lines) -> None:
    log = Log(LogSettings(level="warning"), lines)
    log.logger.info("quiet")
    log.set_level(LogSettings(level="debug"))
    log.logger.debug("loud")

    assert [line["event"] for line in lines.json()] == ["loud"]


def test_a_bound_logger_follows_a_changed_level_too(lines: Lines) -> None:
    log = Log(LogSettings(level="error"), lines)
    bound = log.logger.bind(part="relay")
    log.set_level(LogSettings(level="info"))
    bound.info("heard")

    assert lines.json()[0]["part"] == "relay"


def test_a_traceback_shows_no_local_variables(lines: Lines) -> None:
    def fail() -> None:
        secret = "hunter2-" + "in-a-local"
        raise ValueError(len(secret))

    log = Log(LogSettings(), lines)
    try:
        fail()
    except ValueError:
        log.logger.exception("bug")

    assert "ValueError: 18" in str(lines.json()[0]["exception"])
    assert b"hunter2-in-a-local" not in lines.raw


def test_bytes_that_are_no_utf8_do_not_break_a_line(lines: Lines) -> None:
    Log(LogSettings(), lines).logger.info("odd", path=b"/\xff".decode(errors="surrogateescape"))

    assert lines.json()[0]["path"] == "/\udcff"


def test_a_reader_that_went_away_does_not_fail_the_writer() -> None:
    Log(LogSettings(), Broken()).logger.info("unheard")


def test_the_console_format_is_for_people(lines: Lines) -> None:
    Log(LogSettings(format="console"), lines).logger.warning("odd", path="/\udcff")

    assert b"odd" in lines.raw
    assert b"path" in lines.raw


def test_people_read_the_outcome_first_and_prose_last(lines: Lines) -> None:
    logger = Log(LogSettings(format="console"), lines).logger
    logger.info("webhook", outcome="accepted", source="contoso", id="", http_status=202, http=["a", "b"])
    logger.warning("webhook", outcome="unauthorized", detail="No header came.\x1b[2J", peer="a b")

    assert [line.split(b"  ", 1)[1] for line in lines.raw.splitlines()] == [
        b"accepted  source=contoso  http_status=202  http=a,b",
        b'WARNING unauthorized  peer="a b"  No header came.\\x1b[2J',
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            'closing <Channel: "1" at 0x7f39df3dd540>, as <Exchange.Declare object at 0x7f39> was cancelled',
            'closing Channel: "1", as Exchange.Declare was cancelled',
        ),
        ("expected OpenOk, got <Connection.Close object at 0x1f>", "expected OpenOk, got Connection.Close"),
        ("a < b, and b > 0x7", "a < b, and b > 0x7"),
    ],
)
def test_what_a_library_says_names_no_object_by_its_address(lines: Lines, text: str, expected: str) -> None:
    with Log(LogSettings(), lines).adopt_libraries():
        logging.getLogger("aiormq.channel").warning(text)
    assert [expected] == [line["event"] for line in lines.json()]


def test_library_warnings_end_in_the_same_stream_without_passwords(lines: Lines) -> None:
    log = Log(LogSettings(), lines)
    with log.adopt_libraries():
        logging.getLogger("aiormq.channel").warning("lost %s", "amqp://tms:s3cret@broker/")
        logging.getLogger("asyncio").info("too detailed")
        logging.getLogger("aiormq.connection").error("refused, as the broker module says itself")
        failure = OSError("amqp://tms:s3cret@broker/")
        logging.getLogger("asyncio").error("failed", exc_info=failure)
    logging.getLogger("asyncio").debug("after")

    assert [(line["logger"], line["event"], line["level"]) for line in lines.json()] == [
        ("aiormq.channel", "lost amqp://***@broker/", "warning"),
        ("asyncio", "failed", "error"),
    ]
    assert b"s3cret" not in lines.raw


def test_the_amqp_client_gets_one_line_for_a_lost_connection(lines: Lines) -> None:
    log = Log(LogSettings(level="debug"), lines)
    lost = ConnectionResetError("amqp://tms:s3cret@broker/")
    with log.adopt_libraries():
        logging.getLogger("aiormq.connection").warning("reader exited abnormally", exc_info=lost)
        logging.getLogger("aiormq.channel").warning("closed by the broker")
    reader, channel = lines.json()
    assert ("debug", "ConnectionResetError('amqp://***@broker/')") == (reader["level"], reader["reason"])
    assert "warning" == channel["level"]
    assert "exception" not in reader
    assert "reason" not in channel


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("amqp://u:p@h/v", "amqp://***@h/v"),
        ("amqps://h/v and amqp://a:b@c", "amqps://h/v and amqp://***@c"),
        ("mail me@example.org", "mail me@example.org"),
    ],
)
def test_only_the_user_part_of_a_url_is_taken_out(text: str, expected: str) -> None:
    assert without_passwords(text) == expected


async def test_the_log_goes_to_standard_output_unbuffered() -> None:
    program = textwrap.dedent("""
        import os
        from tms_bridge.log import Log
        from tms_bridge.settings.model import Logging as Settings
        Log(Settings()).logger.info("last words")
        os._exit(0)
    """)
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", program], capture_output=True, check=True
    )

    assert json.loads(done.stdout)["event"] == "last words"


class Writes:
    def __init__(self) -> None:
        self.events: list[list[str]] = []

    def write(self, lines: bytes) -> int:
        self.events.append([json.loads(line)["event"] for line in lines.splitlines()])
        return len(lines)


async def test_the_short_lines_of_one_turn_of_the_loop_are_one_write_and_keep_their_place() -> None:
    writes = Writes()
    log = Log(LogSettings(), writes)
    for event in ("one", "two"):
        log.line(Short("", "info", event=event))
    log.logger.info("three")
    log.line(Short("", "info", event="four"))
    await asyncio.sleep(0)

    assert [["one", "two"], ["three"], ["four"]] == writes.events


async def test_short_lines_gather_only_up_to_what_a_pipe_takes_at_once() -> None:
    writes = Writes()
    log = Log(LogSettings(), writes)
    for _ in range(3):
        log.line(Short("", "info", "x" * 1500, event="long"))
    log.close()

    assert [["long", "long"], ["long"]] == writes.events
