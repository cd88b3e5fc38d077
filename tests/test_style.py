"""The limits that keep the code readable: on length, counting every line, and on names."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted([*(ROOT / "service").rglob("*.py"), *(ROOT / "schemas").rglob("*.py")])

PACKAGE = ROOT / "service" / "tms_bridge"
MODULES = [path for path in FILES if path.is_relative_to(PACKAGE)]
# Their names are those of the TOML tables, and of errors in a tree that their module draws.
NAMED_ELSEWHERE = {PACKAGE / "settings" / "model.py", PACKAGE / "errors.py"}
MOST_FILES = 12


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


def _classes(paths: list[Path]) -> Iterator[str]:
    for path in paths:
        nodes = ast.walk(ast.parse(path.read_text()))
        yield from (node.name for node in nodes if isinstance(node, ast.ClassDef))


def doubles() -> set[str]:
    return {name for name, count in Counter(_classes(MODULES)).items() if count > 1}


def glossary() -> list[str]:
    """Return the words in the first column of the glossary's tables."""
    rows = re.findall(r"^\| ([^|]+) \|", (ROOT / "docs" / "glossary.md").read_text(), re.MULTILINE)
    heads = {"word", "---"}
    return [word.strip(" `").lower() for row in rows if row not in heads for word in row.split(",")]


def has_word(name: str, words: set[str]) -> bool:
    """Tell whether a class is a kind of something in the glossary: `MemoryOutbox` is an outbox."""
    parts = [part.lower() for part in re.findall(r"[A-Z][a-z0-9]*", name)]
    endings = {" ".join(parts[start:]) for start in range(len(parts))}
    return bool(words & (endings | {ending.removesuffix("s") for ending in endings}))


def nameless() -> set[str]:
    words = set(glossary())
    public = [path for path in MODULES if path not in NAMED_ELSEWHERE]
    return {name for name in _classes(public) if name[0] != "_" and not has_word(name, words)}


def crowded() -> set[str]:
    counts = Counter(path.parent for path in MODULES if path.name != "__init__.py")
    return {str(package.relative_to(PACKAGE)) for package, count in counts.items() if count > MOST_FILES}


def test_a_class_name_is_defined_once() -> None:
    assert set() == doubles(), "a class of that name exists: take another word"


def test_every_public_noun_is_in_the_glossary() -> None:
    assert set() == nameless(), "say in docs/glossary.md what it means"


def test_the_glossary_has_each_word_once() -> None:
    assert [] == [word for word, count in Counter(glossary()).items() if count > 1]


def test_a_package_has_a_dozen_files_at_most() -> None:
    assert set() == crowded(), "merge files that are read together"


def test_a_kind_of_a_word_in_the_glossary_is_in_the_glossary() -> None:
    words = {"outbox", "group commit", "credential"}
    names = ("Outbox", "MemoryOutbox", "GroupCommit", "Credentials", "Manager", "OutboxManager", "Commit")
    assert ["Outbox", "MemoryOutbox", "GroupCommit", "Credentials"] == [
        name for name in names if has_word(name, words)
    ]
