from collections.abc import Callable

import pytest

from tms_bridge.settings.load import Loaded

Read = Callable[..., Loaded]
Complain = Callable[..., str]


@pytest.mark.parametrize(
    ("replacement", "expected"),
    [
        (("[http]", "[http]\nlistne = 1"), "http.listne: unknown key; did you mean listen?"),
        (
            ("[http]", "[htpp]\n[log]\nzzz = 1"),
            "htpp: unknown key; did you mean http?\nlog.zzz: unknown key; known here: format, level",
        ),
        (
            ("name =", '"a b" = 1\nname ='),
            (
                'sources.contoso.credentials[0]."a b": unknown key; '
                "known here: name, basic, headers, client_certificate"
            ),
        ),
        (('dir = "var/outbox"', ""), "outbox.dir: is missing; it has no default"),
        (("[outbox]", "[[outbox]]"), "outbox: must be a table, not a list"),
        (("[http]", "[http]\nlisten = 8080"), "http.listen: must be a string, not a number"),
        (("[http]", "[http]\nlisten = [8080]"), "http.listen[0]: must be a string, not a number"),
        (("[http]", "[http]\nlisten = {}"), "http.listen: must be a string, not a table"),
        (("[http]", "[http]\ntrusted_proxies = 'x'"), "http.trusted_proxies: must be a list, not this text"),
        (
            ("[http]", "[http]\nmax_in_flight = '7'"),
            "http.max_in_flight: must be an integer of at least 1, not this text",
        ),
        (
            ("[http]", "[http]\nmax_in_flight = 1.5"),
            "http.max_in_flight: must be an integer of at least 1, not 1.5",
        ),
        (
            ("[http]", "[http]\nmax_in_flight = 0"),
            "http.max_in_flight: must be an integer of at least 1, not 0",
        ),
        (
            ("[http]", "[http]\nmax_in_flight = true"),
            "http.max_in_flight: must be an integer of at least 1, not true or false",
        ),
        (
            ("[http]", "[http]\nmax_in_flight = []"),
            "http.max_in_flight: must be an integer of at least 1, not a list",
        ),
        (
            ("[http]", "[http]\nmax_in_flight = 2026-01-01"),
            "http.max_in_flight: must be an integer of at least 1, not a date or time",
        ),
        (
            ("[http]", "[http]\nsuccess_status = 300"),
            "http.success_status: must be an integer from 200 to 299, not 300",
        ),
        (
            ("[http]", "[http]\nsuccess_status = 199"),
            "http.success_status: must be an integer from 200 to 299, not 199",
        ),
        (
            ("[http]", "[http]\nmax_body_bytes = 4194305"),
            "http.max_body_bytes: must be an integer from 1 to 4194304, not 4194305",
        ),
        (("[http]", "[http]\ndeadline_s = 0"), "http.deadline_s: must be a number over 0, not 0"),
        (("[http]", "[http]\ndeadline_s = nan"), "http.deadline_s: must be a number over 0, not nan"),
        (("[http]", "[http]\ndeadline_s = inf"), "http.deadline_s: must be a number over 0, not inf"),
        (
            ("[http]", "[http]\ndeadline_s = true"),
            "http.deadline_s: must be a number over 0, not true or false",
        ),
        (
            ("[http]", "[http]\nshutdown_delay_s = -1"),
            "http.shutdown_delay_s: must be a number of at least 0, not -1",
        ),
        (
            ("[amqp]", "[amqp]\nmax_outstanding = 4097"),
            "amqp.max_outstanding: must be an integer from 1 to 4096, not 4097",
        ),
        (
            ("[amqp]", "[amqp]\nmax_outstanding = 0"),
            "amqp.max_outstanding: must be an integer from 1 to 4096, not 0",
        ),
        (("[amqp]", "[amqp]\ndeclare = 'yes'"), "amqp.declare: must be true or false, not this text"),
        (
            ("[http]", "[http]\nclient_address = 'xff'"),
            (
                'http.client_address: must be one of "forwarded", "peer", "proxy-protocol", '
                '"x-forwarded-for", not this text'
            ),
        ),
        (
            ("[outbox]", "[log]\nlevel = 3\n[outbox]"),
            'log.level: must be one of "debug", "error", "info", "warning", not a number',
        ),
        (("[admin]", "[admin]\ntoken = 12345"), "admin.token: must be a string, not a number"),
        (
            ("basic = {", "basic = 5\n#"),
            "sources.contoso.credentials[0].basic: must be a table, not a number",
        ),
        (
            ("basic = {", "headers = { X-Key = 12345 }\n#"),
            "sources.contoso.credentials[0].headers.X-Key: must be a string, not a number",
        ),
        (
            ("[http]", "[http]\nmax_in_flight = '${TMS_PASSWORD}'"),
            "http.max_in_flight: must be an integer of at least 1, not this text",
        ),
        (
            ("[http]", "[http]\ndeadline_s = '${TMS_PASSWORD}'"),
            "http.deadline_s: must be a number over 0, not this text",
        ),
        (
            ("[amqp]", "[amqp]\ndeclare = '${TMS_PASSWORD}'"),
            "amqp.declare: must be true or false, not this text",
        ),
    ],
)
def test_what_does_not_fit_names_its_key_and_what_is_wanted(
    replacement: tuple[str, str], expected: str, complaints_about: Complain
) -> None:
    assert complaints_about(replacement) == expected


def test_text_from_the_environment_becomes_what_is_wanted(read_text: Read, minimal: str) -> None:
    settings = read_text(
        minimal,
        (
            "[http]",
            "[http]\nmax_in_flight = '${COUNT}'\ndeadline_s = '${SECONDS}'\nlisten = '${HOST}:${PORT:-80}'",
        ),
        ("[amqp]", "[amqp]\ndeclare = '${DECLARE}'\nexchange = '${COUNT}'"),
        ("[outbox]", "[log]\nlevel = '${LEVEL:-debug}'\n[outbox]"),
        COUNT="7",
        SECONDS="2.5",
        HOST="192.0.2.1",
        DECLARE="False",
    ).settings
    assert (settings.http.max_in_flight, settings.http.deadline_s) == (7, 2.5)
    assert (settings.http.listen, settings.log.level) == ("192.0.2.1:80", "debug")
    assert (settings.amqp.declare, settings.amqp.exchange) == (False, "7")


def test_secrets_spelled_out_in_the_file_are_told_by_key(read_text: Read, minimal: str) -> None:
    loaded = read_text(
        minimal,
        ("${AMQP_URL}", "amqp://bridge:pw@broker/"),
        ("[admin]", "[admin]\ntoken = 'inline'"),
        ("${TMS_PASSWORD}", "inline"),
        (
            "name =",
            (
                "name = 'key'\nheaders = { X-Key = 'inline', X-Other = '${TMS_PASSWORD}' }\n"
                "[[sources.contoso.credentials]]\nname ="
            ),
        ),
    )
    assert loaded.literal_secrets == (
        "admin.token",
        "amqp.urls[0]",
        "sources.contoso.credentials[0].headers.X-Key",
        "sources.contoso.credentials[1].basic.password",
    )


def test_settings_never_show_a_secret(read_text: Read, minimal: str) -> None:
    settings = read_text(
        minimal,
        ("[admin]", "[admin]\ntoken = '${TMS_PASSWORD}'"),
        (
            "name =",
            "name = 'key'\nheaders = { X-Key = '${TMS_PASSWORD}' }\n[[sources.contoso.credentials]]\nname =",
        ),
    ).settings
    assert "s3cret" not in f"{settings!r} {settings} {settings.sources['contoso'].credentials[1].basic}"
