import subprocess
import sys
from pathlib import Path

from tms_events import TOPICS
from tms_events.table import render

PAGE = Path(__file__).parents[2] / "docs" / "topics.md"


def test_the_page_in_the_documentation_is_what_the_code_says() -> None:
    assert PAGE.read_text() == render(), f"run: python -m tms_events.table > {PAGE.name}"


def test_the_page_holds_every_topic() -> None:
    assert [topic for topic in TOPICS if f"`{topic}`" not in render()] == []


def test_the_page_is_printed_by_the_module() -> None:
    printed = subprocess.run([sys.executable, "-m", "tms_events.table"], check=True, capture_output=True)
    assert printed.stdout.decode() == render()


def test_importing_the_package_brings_msgspec_alone() -> None:
    code = "import sys, tms_events; print([m for m in sys.modules if m.startswith(('tms_bridge', 'aio'))])"
    printed = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert printed.stdout.strip() == "[]"
