from collections.abc import Callable

import pytest

from tms_bridge.settings.amqp import routing_keys, takes
from tms_bridge.settings.load import Loaded

Read = Callable[..., Loaded]
Complain = Callable[..., str]

UNREADABLE = (
    "is not a URL: its host or port cannot be read; percent-encode special characters in the password"
)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://h/", "must start with amqp:// or amqps://"),
        ("broker:5672", "must start with amqp:// or amqps://"),
        ("", "must start with amqp:// or amqps://"),
        ("amqp://", "names no host; write amqps://user:password@host:5671/vhost"),
        ("amqp://user:s3cret@:5672/", "names no host; write amqps://user:password@host:5671/vhost"),
        ("amqp://user:s3cret/x@h:5672/", UNREADABLE),
        ("amqp://user:s3cret@h:99999/", UNREADABLE),
        ("amqp://user:s3cret@[h/", UNREADABLE),
        (
            "amqp://u:s3cret@h/?cafile=/ca.pem&no_verify_ssl",
            "has TLS options (cafile, no_verify_ssl) but amqp:// never uses TLS; write amqps://",
        ),
        (
            "amqp://u:s3cret@h/?ca_certs=x",
            "has TLS options (ca_certs) but amqp:// never uses TLS; write amqps://",
        ),
        (
            "amqps://u:s3cret@h/?cert_reqs=0&cafile=x",
            (
                "has the option cert_reqs, which is not supported: it would be ignored; "
                "use cafile, capath, certfile, keyfile"
            ),
        ),
        (
            "amqps://u:s3cret@h/?cadata=zzz",
            (
                "has the option cadata, which is not supported: write the certificates to a file; "
                "use cafile, capath, certfile, keyfile"
            ),
        ),
        (
            "amqps://u:s3cret@h/?no_verify_ssl=1",
            (
                "has the option no_verify_ssl, which is not supported: the broker's certificate is always "
                "verified; use cafile, capath, certfile, keyfile"
            ),
        ),
    ],
)
def test_a_bad_url_says_what_is_wrong_without_showing_it(
    url: str, expected: str, complaints_about: Complain
) -> None:
    assert complaints_about(AMQP_URL=url) == f"amqp.urls[0]: {expected}"


@pytest.mark.parametrize(
    "url",
    [
        "amqp://localhost",
        "amqp://u:p@h:5672/%2Fvhost?connection_name=bridge",
        "amqps://u:p%2F%40@h:5671/v?cafile=/ca.pem&certfile=/c.pem&keyfile=/k.pem",
        "amqp://u:p@[::1]:5672/",
    ],
)
def test_a_good_url_is_taken_as_it_is(url: str, read_text: Read, minimal: str) -> None:
    assert read_text(minimal, AMQP_URL=url).settings.amqp.urls == (url,)


QUEUE = '[[amqp.queues]]\nname = "{name}"\nbindings = {bindings}\n[outbox]'


@pytest.mark.parametrize(
    ("name", "bindings", "expected"),
    [
        ("", '["#"]', "name: is empty"),
        ("q" * 256, '["#"]', "name: is longer than 255 bytes"),
        ("ü" * 128, '["#"]', "name: is longer than 255 bytes"),
        ("amq.gen-x", '["#"]', "name: starts with amq., which is reserved for the broker"),
        ("tms.unroutable", '["#"]', "name: tms.unroutable is the bridge's own; choose another"),
        ("tms.quarantine", '["#"]', "name: tms.quarantine is the bridge's own; choose another"),
        ("crm", "[]", 'bindings: is empty, so that nothing would reach the queue; "tms.#" matches all'),
        (
            "crm",
            '["#", ""]',
            'bindings[1]: "" has an empty word, or a space; words are separated by single dots',
        ),
        (
            "crm",
            '["tms..x"]',
            'bindings[0]: "tms..x" has an empty word, or a space; words are separated by single dots',
        ),
        (
            "crm",
            '["tms. x"]',
            'bindings[0]: "tms. x" has an empty word, or a space; words are separated by single dots',
        ),
        (
            "crm",
            '["tms.cl*"]',
            'bindings[0]: "tms.cl*": * stands for one whole word and # for any number of them, not for "cl*"',
        ),
        (
            "crm",
            '["##"]',
            'bindings[0]: "##": * stands for one whole word and # for any number of them, not for "##"',
        ),
        ("crm", f'["{"a" * 256}"]', "bindings[0]: is longer than 255 bytes"),
    ],
)
def test_a_bad_queue_says_what_is_wrong(
    name: str, bindings: str, expected: str, complaints_about: Complain
) -> None:
    text = complaints_about(("[outbox]", QUEUE.format(name=name, bindings=bindings)))
    assert text == f"amqp.queues[0].{expected}"


def test_a_queue_stands_once(complaints_about: Complain) -> None:
    queue = '[[amqp.queues]]\nname = "crm"\nbindings = ["#"]\n'
    assert (
        complaints_about(("[outbox]", f"{queue}{queue}[outbox]"))
        == 'amqp.queues[1].name: "crm" stands twice; put all its bindings in one table'
    )


@pytest.mark.parametrize(
    ("exchange", "expected"),
    [
        ("", "is empty"),
        ("amq.topic", "starts with amq., which is reserved for the broker"),
        ("tms.unroutable", "tms.unroutable is the bridge's own; choose another"),
        ("tms.quarantine", "tms.quarantine is the bridge's own; choose another"),
    ],
)
def test_the_exchange_is_one_that_the_bridge_can_call_its_own(
    exchange: str, expected: str, complaints_about: Complain
) -> None:
    assert complaints_about(("[amqp]", f'[amqp]\nexchange = "{exchange}"')) == f"amqp.exchange: {expected}"


def test_at_least_one_broker_is_named(complaints_about: Complain) -> None:
    assert (
        complaints_about(('["${AMQP_URL}"]', "[]"))
        == 'amqp.urls: is empty; name a broker, as in ["amqp://user:password@host:5672/"]'
    )


@pytest.mark.parametrize(
    ("archive", "expected"),
    [
        ('name = "tms.unroutable"', "name: tms.unroutable is the bridge's own; choose another"),
        ('name = "crm"', "name: crm is a queue of [[amqp.queues]] too; choose another"),
        ('max_age = "7 days"', 'max_age: must be a number and one of m, h or d, as in "36h" or "7d"'),
        ('max_age = "0d"', 'max_age: must be a number and one of m, h or d, as in "36h" or "7d"'),
    ],
)
def test_a_bad_archive_says_what_is_wrong(archive: str, expected: str, complaints_about: Complain) -> None:
    tables = f'[[amqp.queues]]\nname = "crm"\nbindings = ["#"]\n[amqp.archive]\n{archive}\n[outbox]'
    assert f"amqp.archive.{expected}" == complaints_about(("[outbox]", tables))


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
