import pytest

from tms_bridge.settings.bindings import routing_keys, takes


@pytest.mark.parametrize(
    ("binding", "key", "expected"),
    [
        ("tms.class.completed", "tms.class.completed", True),
        ("tms.class.completed", "tms.class.denied", False),
        ("tms.class", "tms.class.completed", False),
        ("tms.class.completed.x", "tms.class.completed", False),
        ("tms.*.completed", "tms.class.completed", True),
        ("tms.*", "tms.class.completed", False),
        ("*.*.*", "tms.class.completed", True),
        ("#", "tms.class.completed", True),
        ("tms.#", "tms", True),
        ("tms.#.completed", "tms.completed", True),
        ("tms.#.completed", "tms.a.b.completed", True),
        ("tms.#.completed", "tms.a.b", False),
        ("#.#", "tms.class.completed", True),
    ],
)
def test_a_binding_takes_keys_as_a_topic_exchange_does(binding: str, key: str, *, expected: bool) -> None:
    assert takes(binding, key) == expected


def test_a_source_can_send_to_fourteen_keys() -> None:
    keys = routing_keys("a.b")
    assert (len(keys), keys[0]) == (14, "a.b.course_assignment.started")
