import re

import pytest

from tms_bridge.http.ids import mark

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
WELL_FORMED = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


@pytest.mark.parametrize(
    ("incoming", "flags"),
    [(f"00-{TRACE}-{SPAN}-01", "01"), (f"00-{TRACE}-{SPAN}-00", "00"), (f"cc-{TRACE}-{SPAN}-01-more", "01")],
)
def test_a_valid_trace_goes_on_under_a_new_span(incoming: str, flags: str) -> None:
    marks = mark(incoming)

    assert marks.traceparent == f"00-{TRACE}-{marks.request_id}-{flags}"
    assert marks.request_id != SPAN


@pytest.mark.parametrize(
    "incoming",
    [
        None,
        "",
        "nonsense",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}-01\n",
    ],
)
def test_anything_else_begins_a_new_trace(incoming: str | None) -> None:
    marks = mark(incoming)

    assert WELL_FORMED.fullmatch(marks.traceparent)
    assert TRACE not in marks.traceparent


def test_no_two_requests_share_an_id() -> None:
    assert len({mark(None).request_id for _ in range(100)}) == 100
