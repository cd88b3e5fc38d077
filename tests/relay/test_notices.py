"""What the log says of things that may go on for hours."""

import structlog
from structlog.testing import capture_logs

from tms_bridge.message import Kind, Message
from tms_bridge.relay.notices import Notices

EVENT = Message("i", Kind.EVENT, "s", "class", "x", "tms.class.x", "1", 0, "", "", b"")


def test_an_unroutable_key_is_told_at_once_and_then_once_a_minute_with_its_number() -> None:
    with capture_logs() as lines:
        notices = Notices(structlog.get_logger())
        for second in range(130):
            notices.unroutable(EVENT, float(second))
    assert [1, 60, 60] == [line["events"] for line in lines]


def test_blocked_lanes_are_told_once_a_minute_with_what_waits_and_their_end_once() -> None:
    with capture_logs() as lines:
        notices = Notices(structlog.get_logger())
        for second in range(90):
            notices.lanes({"tms.class.x": second}, float(second))
        for second in range(90, 100):
            notices.lanes({}, float(second))
    assert [{"tms.class.x": 1}, {"tms.class.x": 61}, None] == [line.get("waiting") for line in lines]
