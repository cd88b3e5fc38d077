from collections.abc import Callable

import pytest

from tms_bridge.settings.load import Loaded

Read = Callable[..., Loaded]
Complain = Callable[..., str]

WRITE = 'is not an address with a port; write "0.0.0.0:8080" or "[::]:8080"'


@pytest.mark.parametrize(
    ("replacement", "expected"),
    [
        (("[http]", "[http]\nlisten = '8080'"), f'http.listen: "8080" {WRITE}'),
        (("[http]", "[http]\nlisten = [':80', 'x']"), f'http.listen[1]: "x" {WRITE}'),
        (
            ("[http]", "[http]\nlisten = []"),
            "http.listen: is an empty list; name at least one address and port",
        ),
        (("[admin]", "[admin]\nlisten = 'x'"), f'admin.listen: "x" {WRITE}'),
        (
            ("[admin]", "[admin]\nlisten = '0.0.0.0:8080'"),
            'admin.listen: "0.0.0.0:8080" is used twice; give each listener its own port',
        ),
        (
            ("[http]", "[http]\nlisten = [':80', ':80']"),
            'http.listen: ":80" is used twice; give each listener its own port',
        ),
        (
            ("[http]", "[http]\ntrusted_proxies = ['10.0.0.0/8', 'proxy']"),
            (
                'http.trusted_proxies[1]: "proxy" is not an address or range; write "203.0.113.7", '
                '"203.0.113.0/24" or '
                '"2001:db8::/32"'
            ),
        ),
        (
            ("[admin]", "[admin]\ntoken = '${BLANK:- }'"),
            "admin.token: must be ASCII text that is not blank; leave it out to do without",
        ),
        (
            ("[admin]", "[admin]\n[[admin.tokens]]\nname = 'admin'\ntoken = '${TMS_PASSWORD}'"),
            'admin.tokens[0].name: "admin" is taken; the audit log needs a name for each',
        ),
        (
            ("[admin]", "[admin]\n[[admin.tokens]]\nname = 'a'\ntoken = '${TMS_PASSWORD}'\nsources = ['x']"),
            'admin.tokens[0].sources: there is no source "x"',
        ),
        (
            (
                "[admin]",
                (
                    "[admin]\n[[admin.tokens]]\nname = 'a'\ntoken = '${TMS_PASSWORD}'\nrole = 'operator'\n"
                    "sources = ['contoso']"
                ),
            ),
            "admin.tokens[0].sources: limit what a viewer sees; an operator always has every source",
        ),
        (
            (
                "[admin]",
                "[admin]\ntoken = 'one-for-two'\n[[admin.tokens]]\nname = 'a'\ntoken = 'one-for-two'",
            ),
            "admin.tokens[0].token: is the same as admin.token; each holder needs a token of their own",
        ),
        (
            ("[admin]", "[admin]\ntoken = 'ä'"),
            "admin.token: must be ASCII text that is not blank; leave it out to do without",
        ),
        (
            ("[http]", "[http]\nsuccess_status = 204"),
            "http.success_status: 204 allows no body, which names the event; use 200 or 202",
        ),
        (("var/outbox", ""), "outbox.dir: is empty; name a directory on a local disk"),
    ],
)
def test_what_is_wrong_with_a_listener_says_how_to_mend_it(
    replacement: tuple[str, str], expected: str, complaints_about: Complain
) -> None:
    assert complaints_about(replacement) == expected


def test_both_listeners_may_take_any_free_port(read_text: Read, minimal: str) -> None:
    free = "listen = '127.0.0.1:0'"
    settings = read_text(minimal, ("[http]", f"[http]\n{free}"), ("[admin]", f"[admin]\n{free}")).settings
    assert settings.http.listen == settings.admin.listen


def test_admin_may_listen_beyond_loopback_without_a_token(read_text: Read, minimal: str) -> None:
    settings = read_text(minimal, ("[admin]", "[admin]\nlisten = ['0.0.0.0:8081', '[::]:8081']")).settings
    assert settings.admin.token is None
