import pytest

from tms_bridge.settings.model import Mistake, join


@pytest.mark.parametrize(
    ("problem", "expected"),
    [
        (Mistake("http.listen", "is wrong"), "http.listen: is wrong"),
        (Mistake("", "is wrong"), "is wrong"),
    ],
)
def test_a_problem_reads_as_its_key_and_what_is_wrong(problem: Mistake, expected: str) -> None:
    assert str(problem) == expected


@pytest.mark.parametrize(
    ("parent", "key", "expected"),
    [
        ("", "http", "http"),
        ("sources", "contoso-2_b", "sources.contoso-2_b"),
        ("sources", "a.b", 'sources."a.b"'),
        ("sources", "", 'sources.""'),
    ],
)
def test_a_key_is_quoted_where_toml_would_quote_it(parent: str, key: str, expected: str) -> None:
    assert join(parent, key) == expected
