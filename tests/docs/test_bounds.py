"""Each bound of the page on reliability names the test that holds it."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
TEST = re.compile(r"\[([a-z0-9 ]+)\]\(([^)]+\.py)\)")


def test_each_bound_has_a_test_of_the_name_that_it_gives() -> None:
    table = PAGE.read_text().partition("## What is bounded")[2].partition("Measured")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ")][2:]
    assert len(rows) >= 20
    for row in rows:
        named = TEST.findall(row)
        assert named, f"no test stands in {row}"
        for words, path in named:
            code = (PAGE.parent / path).read_text()
            assert f"def test_{words.replace(' ', '_')}(" in code, f"{path} has no test {words!r}"
