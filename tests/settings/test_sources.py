from collections.abc import Callable

import pytest

from tms_bridge.errors import SettingsError
from tms_bridge.settings.load import Loaded

Read = Callable[..., Loaded]
Complain = Callable[..., str]

SOURCE = "[sources.contoso]"
KEY = "sources.contoso"
CREDENTIAL = f"{KEY}.credentials[0]"
BASIC = 'basic = { username = "tms", password = "${TMS_PASSWORD}" }'
KINDS = "must have one of basic = { username, password }, headers = { ... }, client_certificate = NAME"
NAME = "the name is part of the URL: up to 64 of a-z, 0-9, - and _, and not beginning with - or _"


@pytest.mark.parametrize("name", ["Contoso", "-a", "_a", '"a b"', '"ü"', "a" * 65, '""', '"a/b"'])
def test_a_sources_name_must_fit_into_a_url(name: str, complaints_about: Complain) -> None:
    text = complaints_about((SOURCE, f"[sources.{name}]"), ("[[sources.contoso", f"[[sources.{name}"))
    assert text == f"sources.{name}: {NAME}"


@pytest.mark.parametrize("name", ["a", "0", "contoso-2_b", "a" * 64])
def test_a_name_of_small_letters_digits_and_dashes_is_taken(name: str, read_text: Read, minimal: str) -> None:
    settings = read_text(
        minimal, (SOURCE, f"[sources.{name}]"), ("[[sources.contoso", f"[[sources.{name}")
    ).settings
    assert list(settings.sources) == [name]


def test_at_least_one_source_is_needed(read_text: Read, minimal: str) -> None:
    with pytest.raises(SettingsError, match="sources: is empty; add a"):
        read_text(minimal.partition(SOURCE)[0] + "[sources]")


@pytest.mark.parametrize(
    ("replacement", "expected"),
    [
        (
            (SOURCE, f"{SOURCE}\ntimeout_s = 5"),
            (
                f"{KEY}.timeout_s: 5 s must be over http.deadline_s (5 s), or TMS gives up before it "
                f"is answered; "
                "raise it, here and in TMS, or lower the deadline"
            ),
        ),
        (
            ('[outbox]\ndir = "var/outbox"\n[sources.contoso]', f'{SOURCE}\non_unlisted_address = "hold"'),
            f'{KEY}.on_unlisted_address: "hold" keeps events on disk; add an [outbox] table, or use "refuse"',
        ),
        (
            (SOURCE, f'{SOURCE}\nrouting_key_prefix = ""'),
            f"{KEY}.routing_key_prefix: must be words of A-Z, a-z, 0-9, - and _, separated by dots",
        ),
        (
            (SOURCE, f'{SOURCE}\nrouting_key_prefix = "tms."'),
            f"{KEY}.routing_key_prefix: must be words of A-Z, a-z, 0-9, - and _, separated by dots",
        ),
        (
            (SOURCE, f'{SOURCE}\nrouting_key_prefix = "tms.#"'),
            f"{KEY}.routing_key_prefix: must be words of A-Z, a-z, 0-9, - and _, separated by dots",
        ),
        (
            (SOURCE, f'{SOURCE}\nrouting_key_prefix = "{"a" * 229}"'),
            f"{KEY}.routing_key_prefix: is over 227 bytes; a routing key holds 255",
        ),
        (
            ("[[sources", f'[[sources.contoso.credentials]]\nname = "2026"\n{BASIC}\n[[sources'),
            f'{KEY}.credentials[1].name: "2026" stands twice; logs could not tell them apart',
        ),
        (
            ('name = "2026"', 'name = ""'),
            f"{CREDENTIAL}.name: must be 1 to 64 printable characters; it goes into logs and metrics",
        ),
        (
            (BASIC, ""),
            f"{CREDENTIAL}: {KINDS}",
        ),
        (
            (BASIC, f'{BASIC}\nheaders = {{ X-Key = "a" }}'),
            f"{CREDENTIAL}: {KINDS}",
        ),
        (
            (BASIC, "headers = {}"),
            f"{CREDENTIAL}.headers: is empty, which would let everybody in; name at least one header",
        ),
        (
            (BASIC, 'headers = { "X Key" = "a" }'),
            f'{CREDENTIAL}.headers."X Key": is not a valid header name',
        ),
        (
            (BASIC, 'headers = { X-Key = "a", x-key = "b" }'),
            f"{CREDENTIAL}.headers.x-key: stands twice; the case of a header's name does not count",
        ),
    ],
)
def test_what_is_wrong_with_a_source_says_how_to_mend_it(
    replacement: tuple[str, str], expected: str, complaints_about: Complain
) -> None:
    assert complaints_about(replacement) == expected


def test_a_source_has_at_least_one_credential(complaints_about: Complain) -> None:
    table = f'[[{KEY}.credentials]]\nname = "2026"\n{BASIC}\n'
    text = complaints_about((table, "credentials = []\n"))
    assert text == f"{KEY}.credentials: is empty; add a [[{KEY}.credentials]] table"


BLANK = "must not be empty, nor hold"


@pytest.mark.parametrize(
    ("replacement", "expected"),
    [
        (('"tms"', '""'), f"username: {BLANK} a colon or control characters"),
        (('"tms"', '"a:b"'), f"username: {BLANK} a colon or control characters"),
        (('"tms"', '"a\\nb"'), f"username: {BLANK} a colon or control characters"),
        (("${TMS_PASSWORD}", ""), f"password: {BLANK} control characters such as a line break"),
        (("${TMS_PASSWORD}", "a\\u007fb"), f"password: {BLANK} control characters such as a line break"),
    ],
)
def test_a_basic_credential_must_be_one_that_can_be_sent(
    replacement: tuple[str, str], expected: str, complaints_about: Complain
) -> None:
    assert complaints_about(replacement) == f"{CREDENTIAL}.basic.{expected}"


@pytest.mark.parametrize("value", ["", "  ", "a\\r\\nX-Other: b", "a\\u0000", "two\\nlines"])
def test_a_header_value_must_be_one_that_can_be_sent(value: str, complaints_about: Complain) -> None:
    assert complaints_about((BASIC, f'headers = {{ X-Key = "{value}" }}')) == (
        f"{CREDENTIAL}.headers.X-Key: the value must not be blank, nor hold control characters "
        f"such as a line break"
    )


def test_an_empty_environment_variable_is_no_password(complaints_about: Complain) -> None:
    text = complaints_about(TMS_PASSWORD="")
    assert text == f"{CREDENTIAL}.basic.password: {BLANK} control characters such as a line break"


POINTER = 'must be a JSON Pointer, as in "/Class/ConfirmationStatusId" (~0 is ~, ~1 is /)'


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ('clazz.status = "/S"', "clazz: is not a trigger; the triggers are class and course_assignment"),
        ('class.status = "Status"', f"class.status: {POINTER}"),
        ('class.status = "/a~2"', f"class.status: {POINTER}"),
        (
            'course_assignment.state = "/S"',
            (
                "course_assignment.state: is not a field; the fields are status, id, external_id, course_id, "
                "user_id, "
                "club_membership_id, expire, target_completion, start, complete"
            ),
        ),
    ],
)
def test_a_bad_pointer_says_what_is_wrong(fields: str, expected: str, complaints_about: Complain) -> None:
    assert complaints_about((SOURCE, f"{SOURCE}\nfields.{fields}")) == f"{KEY}.fields.{expected}"


def test_pointers_to_known_fields_are_taken(read_text: Read, minimal: str) -> None:
    fields = 'fields.class = { status = "/a~1b/0/c~0d", id = "/Id" }\nfields.course_assignment = { id = "/X"}'
    settings = read_text(minimal, (SOURCE, f"{SOURCE}\n{fields}")).settings
    assert settings.sources["contoso"].fields == {
        "class": {"status": "/a~1b/0/c~0d", "id": "/Id"},
        "course_assignment": {"id": "/X"},
    }


CERTIFIED = (BASIC, 'client_certificate = "gateway.example"')


def test_a_client_certificate_needs_a_ca_that_signs_it(complaints_about: Complain) -> None:
    expected = (
        f"{CREDENTIAL}.client_certificate: needs http.tls.client_ca, the CAs that sign such certificates"
    )

    assert expected == complaints_about(CERTIFIED)


def test_a_client_certificate_of_a_proxy_proves_nobody(complaints_about: Complain) -> None:
    http = '[http]\nclient_address = "forwarded"\ntrusted_proxies = ["10.0.0.1"]\n'
    said = complaints_about(("[http]\n", http), CERTIFIED)

    assert 'does not go with http.client_address = "forwarded"' in said


@pytest.mark.parametrize("more", [BASIC, 'headers = { X-Api-Key = "s3cret" }'])
def test_a_credential_is_of_one_kind(more: str, complaints_about: Complain) -> None:
    said = complaints_about((BASIC, f'{more}\nclient_certificate = "a"'))

    assert f"{CREDENTIAL}: {KINDS}" in said


def test_a_name_in_a_certificate_is_not_blank(complaints_about: Complain) -> None:
    assert "client_certificate: is blank" in complaints_about((BASIC, 'client_certificate = " "'))
