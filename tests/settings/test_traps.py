from collections.abc import Callable

import pytest

from tms_bridge.settings.load import Loaded
from tms_bridge.settings.traps import contradictions, warnings

Read = Callable[..., Loaded]

SAFE = {
    "AMQP_URL": "amqps://bridge:s3cret@broker/",
    "TMS_PIN": "1234",
    "TMS_SPACED": "s3cret-of-the-source ",
}
KEY = "sources.contoso"
PROXIED = "client_address = 'x-forwarded-for'\ntrusted_proxies = ['192.0.2.7']"
WIDE = (
    "is as wide as a pod network, and whoever has an address in it may pose as any caller; name the "
    "addresses of the proxy alone"
)
BASIC = 'basic = { username = "tms", password = "${TMS_PASSWORD}" }'
PASSWORD = f"{KEY}.credentials[0].basic.password"
HEADERS = f"{KEY}.credentials[0].headers"


def warn(loaded: Loaded) -> str:
    return "\n".join(map(str, warnings(loaded.settings, loaded.literal_secrets)))


@pytest.fixture
def sound(minimal: str) -> str:
    """A configuration without any trap."""
    return minimal.replace("[http]", f"[http]\n{PROXIED}", 1)


def test_a_sound_configuration_has_no_traps(read_text: Read, sound: str) -> None:
    assert warn(read_text(sound, **SAFE)) == ""


def test_a_forwarding_header_that_nobody_may_send_is_a_contradiction(read_text: Read, minimal: str) -> None:
    text = minimal.replace("[http]", "[http]\nclient_address = 'forwarded'", 1)
    assert [
        (
            "http.trusted_proxies: is empty, so that no forwarded header is trusted and every caller seems "
            "to be the proxy; name the proxy's addresses"
        )
    ] == list(map(str, contradictions(read_text(text, **SAFE).settings)))
    assert contradictions(read_text(minimal, **SAFE).settings) == []


@pytest.mark.parametrize(
    ("replacement", "expected"),
    [
        (
            ("client_address = 'x-forwarded-for'", "listen = '127.0.0.1:8080'"),
            (
                'http.trusted_proxies: has no effect with http.client_address = "peer"; name the '
                "header that the proxies send\n"
                "http.listen: can be reached from this machine only; TMS needs a proxy here, or 0.0.0.0"
            ),
        ),
        (
            ("['192.0.2.7']", "['192.0.2.1/24', '0.0.0.0/0']"),
            (
                'http.trusted_proxies: "192.0.2.1/24" has bits beyond its prefix and is taken as '
                '"192.0.2.0/24"\n'
                'http.trusted_proxies: "0.0.0.0/0" takes in a large part of the internet'
            ),
        ),
        (
            ("['192.0.2.7']", "['10.0.0.0/8', '10.244.0.0/16', '10.244.7.0/24', 'fd00::/64', 'fd00::/120']"),
            "\n".join(
                f'http.trusted_proxies: "{wide}" {WIDE}'
                for wide in ("10.0.0.0/8", "10.244.0.0/16", "fd00::/64")
            ),
        ),
        (
            (PROXIED, ""),
            (
                "http.listen: takes credentials in clear text from other machines; put a proxy with TLS in "
                "front, and name it in http.trusted_proxies and the header it sends in http.client_address; "
                "or set [http.tls]"
            ),
        ),
        (
            ("${TMS_PASSWORD}", "${TMS_PIN}"),
            f"{PASSWORD}: is shorter than 12 characters and may be guessed",
        ),
        (
            ("${TMS_PASSWORD}", "${TMS_SPACED}"),
            (
                f"{PASSWORD}: begins or ends with a space; TMS must send the space too, "
                "so it is probably a mistake"
            ),
        ),
        (
            (
                'basic = { username = "tms", password = "${TMS_PASSWORD}" }',
                'headers = { X_Key = "${TMS_PIN}" }',
            ),
            (
                f"{HEADERS}.X_Key: has an underscore in its name; nginx and others drop such headers, so use "
                f"hyphens\n{HEADERS}: 4 characters may be guessed; use 12 or more"
            ),
        ),
        (
            ("[http]", "[http]\nsuccess_status = 200"),
            "http.success_status: TMS takes any 2xx; 202 says best that the event is yet to be delivered",
        ),
        (
            (PROXIED, "listen = ['127.0.0.1:1', '[::1]:1']"),
            "http.listen: can be reached from this machine only; TMS needs a proxy here, or 0.0.0.0",
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
            f"{KEY}.timeout_s: leaves less than 1 s over http.deadline_s for the way to TMS and back",
        ),
    ],
)
def test_a_trap_is_told_with_its_key(
    replacement: tuple[str, str], expected: str, read_text: Read, sound: str
) -> None:
    assert warn(read_text(sound, replacement, **SAFE)) == expected


def test_a_space_around_a_secret_that_a_header_carries_can_never_match(read_text: Read, minimal: str) -> None:
    token = ("[admin]", "[admin]\ntoken = '${TMS_SPACED}'")
    loaded = read_text(minimal, token, (BASIC, 'headers = { X-Key = "${TMS_SPACED}" }'), **SAFE)
    told = "begins or ends with a space, which no header can carry; take the space away"
    assert list(map(str, contradictions(loaded.settings))) == [
        f"admin.token: {told}",
        f"{HEADERS}.X-Key: {told}",
    ]


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
            "amqps://guest:s3cret@broker/",
            ["the user guest may connect from the broker's own machine alone; name another"],
        ),
    ],
)
def test_a_url_that_is_unsafe_is_told_without_showing_it(
    url: str, expected: list[str], read_text: Read, sound: str
) -> None:
    assert warn(read_text(sound, AMQP_URL=url)).splitlines() == [f"amqp.urls[0]: {text}" for text in expected]
