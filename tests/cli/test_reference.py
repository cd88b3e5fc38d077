from pathlib import Path

from tms_bridge.cli.reference import markdown

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"


def test_the_page_is_what_the_help_texts_say() -> None:
    assert PAGE.read_text() == markdown(), "run: python -m tms_bridge.cli.reference > docs/cli.md"


def test_every_help_text_fits_its_block() -> None:
    assert 120 >= max(map(len, markdown().splitlines()))
