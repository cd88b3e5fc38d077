import re
from collections.abc import Callable
from pathlib import Path

from tms_bridge.settings.load import Loaded
from tms_bridge.settings.model import Http, Settings
from tms_bridge.settings.reference import template
from tms_bridge.settings.traps import warnings

Read = Callable[..., Loaded]


def test_the_template_is_a_configuration_as_it_stands(read_text: Read) -> None:
    settings = read_text(template("drawn")).settings
    basic = settings.sources["contoso"].credentials[0].basic
    assert basic is not None
    assert (basic.username, basic.password) == ("tms", "s3cret-of-tms")


def test_the_template_warns_of_nothing_but_the_clear_text_and_the_password_in_the_file(
    read_text: Read,
) -> None:
    loaded = read_text(template(), AMQP_URL="")
    assert [problem.key for problem in warnings(loaded.settings, loaded.literal_secrets)] == [
        "http.listen",
        "sources.contoso.credentials[0].basic.password",
    ]


def test_every_template_has_a_long_password_of_its_own(read_text: Read) -> None:
    passwords = set[str]()
    for _ in range(2):
        basic = read_text(template(), TMS_PASSWORD="").settings.sources["contoso"].credentials[0].basic
        assert basic is not None
        passwords.add(basic.password)
    assert [len(password) for password in passwords] == [32, 32]


def test_every_table_and_every_key_of_a_listener_stands_in_the_template() -> None:
    text = template()
    assert [] == [
        table for table in Settings.__struct_fields__ if not re.search(rf"^\[{table}\b", text, re.MULTILINE)
    ]
    kept_apart = {"max_body_bytes", "max_in_flight", "success_status", "tls"}
    assert kept_apart == {
        key for key in Http.__struct_fields__ if not re.search(rf"^(# )?{key} = ", text, re.MULTILINE)
    }


def test_what_the_template_comments_out_is_valid_too(read_text: Read, tmp_path: Path) -> None:
    lines = [re.sub(r"^# (?=\[\[|[a-z_]+ = )", "", line) for line in template().splitlines()]
    for name in ("admin-token", "tms-admin-token"):
        (tmp_path / name).write_text(f"s3cret-of-{name}")
    settings = read_text("\n".join(lines).replace("/run/secrets", str(tmp_path))).settings
    assert (settings.http.client_address, len(settings.amqp.queues)) == ("x-forwarded-for", 1)
    assert [("tms-admin", "viewer", ("contoso",))] == [
        (token.name, token.role, token.sources) for token in settings.admin.tokens
    ]
