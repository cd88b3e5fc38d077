from collections.abc import Callable
from pathlib import Path

import pytest

from tms_bridge.settings.load import Loaded

Read = Callable[..., Loaded]
Complain = Callable[..., str]

KEY = "sources.contoso.allow_from"
RANGES = '"203.0.113.7", "203.0.113.0/24" or "2001:db8::/32"'
WRITE = f'is not an address or range; write {RANGES}, or "skillable-tms"'


def test_entries_and_lists_are_put_together_in_order(tmp_path: Path, read_text: Read, minimal: str) -> None:
    (tmp_path / "lab").write_text("# lab\n192.0.2.1\t# gate\r\n\n  2001:db8::/32  \n")
    entries = '["127.0.0.1", "@lab", "skillable-tms", "any"]'
    settings = read_text(minimal, ('["skillable-tms"]', entries)).settings
    expected = ("127.0.0.1", "192.0.2.1", "2001:db8::/32", "skillable-tms", "any")
    assert settings.sources["contoso"].allow_from == expected


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ("[]", f'{KEY}: is empty; name "skillable-tms", addresses and ranges, or "any"'),
        ('["300.0.0.1"]', f'{KEY}[0]: "300.0.0.1" {WRITE}'),
        ('["127.0.0.1", "Any"]', f'{KEY}[1]: "Any" {WRITE}'),
        ('["@bad"]', f'{KEY}[0]: bad line 2: "nonsense" {WRITE}\n{KEY}[0]: bad line 4: "any" {WRITE}'),
        ('["@comments"]', f"{KEY}[0]: the file comments names no address"),
        (
            '["127.0.0.1", "@none"]',
            (
                f"{KEY}[1]: cannot read the file {{dir}}/none (no such file or directory); correct the file "
                f"or its path"
            ),
        ),
    ],
)
def test_a_bad_entry_is_named_with_its_place(
    entries: str, expected: str, tmp_path: Path, complaints_about: Complain
) -> None:
    (tmp_path / "bad").write_text("192.0.2.1\nnonsense\n192.0.2.2\nany\n")
    (tmp_path / "comments").write_text("# nothing yet\n")
    assert complaints_about(('["skillable-tms"]', entries)) == expected.format(dir=tmp_path)
