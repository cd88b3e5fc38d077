"""The limits on length that keep the code readable; they count every line, docstrings included."""

import ast
from pathlib import Path
from statistics import median

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted([*(ROOT / "service").rglob("*.py"), *(ROOT / "schemas").rglob("*.py")])


def _functions(path: Path) -> list[tuple[int, str]]:
    nodes = ast.walk(ast.parse(path.read_text()))
    return [
        ((node.end_lineno or 0) - node.lineno + 1, f"{path.relative_to(ROOT)}: {node.name}")
        for node in nodes
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


@pytest.fixture(scope="module")
def functions() -> list[tuple[int, str]]:
    return sorted(function for path in FILES for function in _functions(path))


def test_no_file_is_longer_than_400_lines() -> None:
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in FILES}
    assert {name: length for name, length in lengths.items() if length > 400} == {}


def test_no_function_is_longer_than_50_lines(functions: list[tuple[int, str]]) -> None:
    assert [function for function in functions if function[0] > 50] == []


def test_nine_tenths_of_the_functions_are_within_24_lines(functions: list[tuple[int, str]]) -> None:
    long = [function for function in functions if function[0] > 24]
    assert len(long) <= len(functions) / 10


def test_the_median_function_is_within_8_lines(functions: list[tuple[int, str]]) -> None:
    assert median(length for length, _ in functions) <= 8
