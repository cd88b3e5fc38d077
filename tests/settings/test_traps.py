from collections.abc import Callable

import pytest

from tms_bridge.settings.load import Loaded
from tms_bridge.settings.traps import contradictions, warnings

Read = Callable[..., Loaded]

SAFE = {"AMQP_URL": "amqps://bridge:s3cret@broker/"}
KEY = "sources.contoso"


def warn(loaded: Loaded) -> str:
    return "\n".join(map(str, warnings(loaded.settings, loaded.literal_secrets)))


def test_a_sound_configuration_has_no_traps(read_text: Read, minimal: str) -> None:
    assert warn(read_text(minimal, **SAFE)) == ""


def test_a_forwarding_header_that_nobody_may_send_is_a_contradiction(read_text: Read, minimal: str) -> None:
    text = minimal.replace("[http]", "[http]\nclient_address = 'forwarded'", 1)
    assert [
        (
            "http.trusted_proxies: is empty, so that no forwarded header is believed and every caller is the "
            "proxy; name the proxy's addresses"
        )
    ] == list(map(str, contradictions(read_text(text, **SAFE).settings)))
    assert contradictions(read_text(minimal, **SAFE).settings) == []


@pytest.mark.parametrize(
    ("replacement", "expected"),
    [
        (
            ("[http]", "[http]\ntrusted_proxies = ['10.0.0.0/8']"),
            (
                'http.trusted_proxies: has no effect with http.client_address = "peer"; name the '
                "header that the "
                "proxies send"
            ),
        ),
        (
            ("[http]", "[http]\nclient_address = 'forwarded'\ntrusted_proxies = ['10.0.0.1/8', '0.0.0.0/0']"),
            (
                'http.trusted_proxies[0]: "10.0.0.1/8" has bits beyond its prefix and is taken as '
                '"10.0.0.0/8"\n'
                'http.trusted_proxies[1]: "0.0.0.0/0" takes in a large part of the internet'
            ),
        ),
        (
            ("[http]", "[http]\nsuccess_status = 200"),
            "http.success_status: TMS takes any 2xx; 202 says best that the event is yet to be delivered",
        ),
        (
            ("[http]", "[http]\nlisten = ['127.0.0.1:1', '[::1]:1']"),
            "http.listen: is reached from this machine alone; TMS needs a proxy here, or 0.0.0.0",
        ),
        (
            ('[outbox]\ndir = "var/outbox"', ""),
            "outbox: there is none, so that webhooks are answered 503 whenever the broker does not confirm",
        ),
        (
            ("[admin]", "[admin]\nlisten = ':8081'"),
            (
                "admin.token: is not set and admin.listen is reached from other machines, so that the API "
                "stays off; probes and metrics are served"
            ),
        ),
        (
            ("[admin]", "[admin]\ntoken = '${TMS_PASSWORD}'"),
            "admin.token: is shorter than 16 characters and may be guessed",
        ),
        (
            ("[admin]", "[admin]\ntoken = 'spelled-out-in-the-file'"),
            "admin.token: the secret is written in the file itself; take it from ${NAME} or ${file:/path}",
        ),
        (
            ("[outbox]", "[[amqp.queues]]\nname = 'crm'\nbindings = ['tms.#', 'class.*']\n[outbox]"),
            (
                'amqp.queues[0].bindings[1]: "class.*" matches no routing key that a source can send '
                "to, such as "
                '"tms.course_assignment.started"'
            ),
        ),
        (
            ('["skillable-tms"]', '["any"]'),
            f'{KEY}.allow_from: "any" leaves the credentials as the only check; "skillable-tms" is safer',
        ),
        (
            ('["skillable-tms"]', '["10.0.0.1/24"]'),
            f'{KEY}.allow_from: "10.0.0.1/24" has bits beyond its prefix and is taken as "10.0.0.0/24"',
        ),
        (
            ("[sources.contoso]", "[sources.contoso]\ntimeout_s = 5.5"),
            f"{KEY}.timeout_s: leaves less than 1 s over http.deadline_s for the road to TMS and back",
        ),
    ],
)
def test_a_trap_is_told_with_its_key(
    replacement: tuple[str, str], expected: str, read_text: Read, minimal: str
) -> None:
    assert warn(read_text(minimal, replacement, **SAFE)) == expected


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("amqp://guest:guest@localhost/", []),
        ("amqp://[::1]/", []),
        ("amqps://bridge:s3cret@broker/", []),
        (
            "amqp://bridge:s3cret@broker/",
            ["sends the password and every event in the clear; amqps:// encrypts them"],
        ),
        (
            "amqps://broker/",
            ["the user guest may connect from the broker's own machine alone; name another"],
        ),
        (
            "amqps://guest:s3cret@broker/?no_verify_ssl=1",
            [
                "the user guest may connect from the broker's own machine alone; name another",
                "no_verify_ssl lets anyone on the way pose as the broker; name a cafile",
            ],
        ),
    ],
)
def test_a_url_that_is_unsafe_is_told_without_showing_it(
    url: str, expected: list[str], read_text: Read, minimal: str
) -> None:
    assert warn(read_text(minimal, AMQP_URL=url)).splitlines() == [
        f"amqp.urls[0]: {text}" for text in expected
    ]
