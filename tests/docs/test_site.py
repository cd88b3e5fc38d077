from pathlib import Path

import pytest

from site_pages import ROOT, Site


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    (tmp_path / "service").mkdir()
    (tmp_path / "service" / "log.py").write_text("import sys\n")
    (tmp_path / "README.md").write_text("[how](docs/how.md#there) [code](service/log.py) [all](service/)\n")
    (tmp_path / "docs" / "how.md").write_text("# How\n\n[home](../README.md)\n\n```md\n[no](link.md)\n```\n")
    return tmp_path


def test_links_between_pages_and_to_files_are_made_to_fit(checkout: Path) -> None:
    site = Site(checkout, checkout / "site")
    site.write()
    assert [] == site.broken
    assert (
        "[how](how.md#there) [code](service/log.py.txt) [all](service/index.md)\n"
        == (checkout / "site" / "index.md").read_text()
    )
    assert "- [log.py](log.py.txt)\n" in (checkout / "site" / "service" / "index.md").read_text()
    assert "import sys\n" == (checkout / "site" / "service" / "log.py.txt").read_text()


def test_what_a_page_quotes_is_no_link(checkout: Path) -> None:
    Site(checkout, checkout / "site").write()
    page = (checkout / "site" / "how.md").read_text()
    assert "# How\n\n[home](index.md)\n\n```md\n[no](link.md)\n```\n" == page


@pytest.mark.parametrize("link", ["missing.md", "../../outside.md", "service"])
def test_a_link_that_leads_nowhere_is_named(checkout: Path, link: str) -> None:
    (checkout / "docs" / "how.md").write_text(f"[there]({link})\n")
    site = Site(checkout, checkout / "site")
    site.write()
    assert [f"docs/how.md: {link}"] == site.broken


def test_no_page_of_ours_has_such_a_link(tmp_path: Path) -> None:
    site = Site(ROOT, tmp_path / "site")
    site.write()
    assert [] == site.broken
