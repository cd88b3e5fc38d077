from pathlib import Path

import pytest

from tms_bridge.settings.interpolation import Interpolation, Unresolved, refers, spells_out_secret

ENVIRON = {
    "NAME": "value",
    "EMPTY": "",
    "DOLLAR": "${NAME}",
    "ODD": "p@s/s:%",
    "BOTH": "user:pass",
    "BAD": "\udcff",
}


@pytest.fixture
def interpolation(tmp_path: Path) -> Interpolation:
    (tmp_path / "secret").write_bytes("geheim ä\n\n".encode())
    (tmp_path / "windows").write_bytes(b"secret\r\n")
    (tmp_path / "bare").write_bytes(b"secret")
    (tmp_path / "binary").write_bytes(b"\xfe\xfe")
    return Interpolation(ENVIRON, tmp_path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("", ""),
        ("${NAME}", "value"),
        ("a${NAME}b${NAME}c", "avaluebvaluec"),
        ("${EMPTY}", ""),
        ("${NAME:-default}", "value"),
        ("${UNSET:-default}", "default"),
        ("${EMPTY:-default}", "default"),
        ("${UNSET:-}", ""),
        ("${UNSET:-amqp://guest:guest@localhost:5672/}", "amqp://guest:guest@localhost:5672/"),
        ("${UNSET:-a:-b}", "a:-b"),
        ("${DOLLAR}", "${NAME}"),
        ("$${NAME}", "${NAME}"),
        ("$$${NAME}", "$${NAME}"),
        ("$${NAME}${NAME}", "${NAME}value"),
        ("$NAME costs $5 {NAME}", "$NAME costs $5 {NAME}"),
        ("$${", "${"),
        ("${file:secret}", "geheim ä\n"),
        ("${file:bare}", "secret"),
        ("${file:windows}", "secret"),
        ("Bearer ${file:bare}", "Bearer secret"),
        ("amqp://${NAME}:${file:secret}@h/", "amqp://value:geheim%20%C3%A4%0A@h/"),
        ("amqps://u:${ODD}@h:5671/%2F?cafile=${ODD}", "amqps://u:p%40s%2Fs%3A%25@h:5671/%2F?cafile=p@s/s:%"),
        ("amqp://${BOTH}@h/", "amqp://user:pass@h/"),
        ("amqp://h/${ODD}", "amqp://h/p@s/s:%"),
        ("http://u:${ODD}@h/", "http://u:p@s/s:%@h/"),
    ],
)
def test_references_are_filled_in(text: str, expected: str, interpolation: Interpolation) -> None:
    assert interpolation.expand(text) == expected


def test_an_absolute_path_is_taken_as_it_is(interpolation: Interpolation, tmp_path: Path) -> None:
    assert interpolation.expand(f"${{file:{tmp_path}/bare}}") == "secret"


MEND = "mend the file or its path"
MISTAKEN = "a reference is none of ${NAME}, ${NAME:-default}, ${file:/path}; for a literal ${ write $${"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${UNSET}", "the environment variable UNSET is not set; set it, or give a default: ${UNSET:-...}"),
        ("${BAD}", "the environment variable BAD is not UTF-8 text"),
        ("${NAME", "a ${ has no closing }; for a literal ${ write $${"),
        ("${}", MISTAKEN),
        ("${NAME-default}", MISTAKEN),
        ("${ NAME }", MISTAKEN),
        ("${1}", MISTAKEN),
        ("${env:NAME}", MISTAKEN),
        (
            "${file:none}",
            "cannot read the file {dir}/none (no such file or directory); correct the file or its path",
        ),
        ("${file:}", "cannot read the file {dir} (it is a directory); correct the file or its path"),
        (
            "${file:binary}",
            "cannot read the file {dir}/binary (it is not UTF-8 text); correct the file or its path",
        ),
        (
            "${file:nul\0}",
            "cannot read the file {dir}/nul\0 (the path holds a NUL character); correct the file or its path",
        ),
    ],
)
def test_what_cannot_be_filled_in_says_how_to_mend_it(
    text: str, expected: str, interpolation: Interpolation, tmp_path: Path
) -> None:
    with pytest.raises(Unresolved) as caught:
        interpolation.expand(text)
    assert str(caught.value) == expected.replace("{dir}", str(tmp_path))


def test_files_are_remembered_also_where_they_are_missing(
    interpolation: Interpolation, tmp_path: Path
) -> None:
    interpolation.expand("${file:bare}${file:secret}")
    with pytest.raises(Unresolved):
        interpolation.read("none")
    assert interpolation.files == [tmp_path / "bare", tmp_path / "secret", tmp_path / "none"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("plain", False), ("$${NAME}", False), ("${NAME}", True), ("a ${file:x}", True), ("${", True)],
)
def test_a_text_refers_when_it_takes_anything_from_elsewhere(text: str, *, expected: bool) -> None:
    assert refers(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hunter2", True),
        ("${PASSWORD}", False),
        ("${file:/run/secrets/x}", False),
        ("${PASSWORD:-hunter2}", True),
        ("Bearer ${TOKEN}", True),
        ("${AMQP_URL}", False),
        ("${AMQP_URL:-amqp://guest:guest@localhost:5672/}", False),
        ("amqps://${file:/run/user}:${file:/run/password}@broker/", False),
        ("amqps://${file:/run/user}:s3cret@broker/", True),
        ("${AMQP_URL:-amqp://bridge:hunter2@localhost:5672/}", True),
        ("amqps://bridge:hunter2@broker/", True),
        ("amqps://bridge:${PASSWORD}@broker/", False),
        ("amqps://broker/", False),
    ],
)
def test_a_secret_is_spelled_out_when_the_file_holds_any_of_it(text: str, *, expected: bool) -> None:
    assert spells_out_secret(text) == expected
