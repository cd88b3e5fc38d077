from tms_bridge.message import Kind, Message

from .sources import CLASS, message_of


def test_messages_of_one_entity_share_their_order_key() -> None:
    assert message_of(b'{"Id": 7}', CLASS).order_key == "contoso/class/7"


def test_a_quarantined_body_is_in_order_with_nothing() -> None:
    message = Message("q-1", Kind.QUARANTINE, "contoso", "class", "", "", "", 0, "", "", b"")
    assert message.order_key == "contoso/class/q-1"
