import json

from tms_bridge.http.strangers import LINES_IN_ALL, LINES_PER_ADDRESS, Strangers, cut
from tms_bridge.log import Log
from tms_bridge.settings.model import Logging as LogSettings


class Lines:
    def __init__(self) -> None:
        self.lines: list[dict[str, object]] = []

    def write(self, line: bytes) -> None:
        self.lines.append(json.loads(line))


def strangers_to(lines: Lines) -> Strangers:
    return Strangers("http", Log(LogSettings(), lines).logger)


async def test_the_first_of_an_address_are_logged_and_the_rest_counted_in_one_line() -> None:
    lines = Lines()
    strangers = strangers_to(lines)
    heard = [strangers.is_new("192.0.2.1", "unauthorized") for _ in range(LINES_PER_ADDRESS + 7)]
    heard.append(strangers.is_new("192.0.2.2", "unknown_path"))
    strangers.tell()
    strangers.tell()

    assert [True] * LINES_PER_ADDRESS + [False] * 7 + [True] == heard
    (line,) = lines.lines
    assert ("requests from strangers", "http", 7) == (line["event"], line["listener"], line["requests"])
    assert {"unauthorized": 7} == line["outcomes"]
    assert {"192.0.2.1": LINES_PER_ADDRESS + 7, "192.0.2.2": 1} == line["busiest"]


async def test_many_addresses_have_a_limit_together() -> None:
    strangers = strangers_to(Lines())
    heard = [strangers.is_new(f"192.0.{number >> 8}.{number & 255}", "looked") for number in range(5000)]

    assert LINES_IN_ALL == sum(heard)
    assert len(strangers._heard) <= 1024


async def test_the_next_minute_begins_anew() -> None:
    strangers = strangers_to(Lines())
    while strangers.is_new("192.0.2.1", "looked"):
        pass
    strangers.tell()

    assert strangers.is_new("192.0.2.1", "looked")


def test_what_a_caller_wrote_is_escaped_and_cut() -> None:
    assert "a\\nb" == cut("a\nb", 20)
    assert "xxxxx and 15 more" == cut("x" * 20, 5)
