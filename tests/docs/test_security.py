"""The page on security names tests, and they are there."""

import re

import pytest
from tests.docs.test_documents import REPOSITORY, text

NAMED = re.compile(r"`(tests/[a-z0-9_/]+\.py)::(\w+)`")
ROW = re.compile(r"^\| (?!asset|---).*\|$", re.MULTILINE)


def threats() -> list[str]:
    table = text("docs/security.md").partition("## Threats")[2].partition("## ")[0]
    return ROW.findall(table)


def test_there_are_threats() -> None:
    assert len(threats()) > 20


@pytest.mark.parametrize("row", threats())
def test_every_threat_names_a_test_that_is_there(row: str) -> None:
    named = NAMED.findall(row)

    assert 1 == len(named), row
    for path, test in named:
        assert re.search(rf"^(async )?def {test}\(", (REPOSITORY / path).read_text(), re.MULTILINE), row
