"""The files that pages on the inside of the code name are there; the ride goes through those of its page."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import ride

DOCS = Path(__file__).parents[2] / "docs"
FILE = re.compile(r"`((?:[a-z_]+/)*[a-z_]+\.py)`")


def files_of(text: str) -> Iterator[str]:
    """Yield each file of the service that a text names; a bare name is of the package that was named last."""
    package = ""
    for name in FILE.findall(text):
        if "/" in name:
            package = name.partition("/")[0]
        beside = f"{package}/{name}"
        yield beside if "/" not in name and (ride.PACKAGE / beside).exists() else name


@pytest.mark.parametrize("page", ["architecture.md", "outbox.md"])
def test_every_file_that_a_page_names_is_there(page: str) -> None:
    text = (DOCS / page).read_text()
    roots = (ride.PACKAGE, ride.PACKAGE / "outbox", ride.PACKAGE / "ingest", DOCS.parent)
    named = set(files_of(text))
    assert named
    assert set() == {name for name in named if not any((root / name).exists() for root in roots)}


def test_the_architecture_page_walks_through_every_file_of_the_ride_and_no_other() -> None:
    walk = (DOCS / "architecture.md").read_text().partition("### The same, file by file")[2]
    on_loop, in_writer = asyncio.run(ride.ride())
    walked = set(files_of(walk.partition("\n## ")[0])) - {"benchmarks/ride.py"}
    assert set(on_loop.files) | set(in_writer.files) == walked
