"""Lays the pages of this checkout out for MkDocs, with every link made to fit; exits 1 if one leads nowhere.

    .venv/bin/python deploy/site_pages.py build/site/pages

The pages are written to be read in the repository, where they link to files of any kind. Here a page links to
a page, and what is no page is laid beside them as it is.
"""

import posixpath
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
_LINK: Final = re.compile(r"(?<=\]\()(?!https?:|mailto:|#)([^)\s#]+)(#[^)\s]*)?(?=\))")
_FENCE: Final = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)

# Pages that lie outside docs/, and where they go.
_ELSEWHERE: Final = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "report.md",
    "schemas/README.md": "contract.md",
    "examples/bodies/README.md": "bodies.md",
}


class Site:
    """The pages and files of one checkout, on their way to a directory.

    Attributes:
        broken: links that lead nowhere, with their page.
    """

    def __init__(self, root: Path, to: Path) -> None:
        self.broken: list[str] = []
        self._root = root
        self._to = to
        docs = (path.relative_to(root).as_posix() for path in (root / "docs").rglob("*.md"))
        self._pages = {page: page.removeprefix("docs/") for page in docs}
        self._pages |= {page: place for page, place in _ELSEWHERE.items() if (root / page).is_file()}

    def write(self) -> None:
        """Write every page, and each file that one links to."""
        shutil.rmtree(self._to, ignore_errors=True)
        for page, place in self._pages.items():
            path = self._to / place
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(self._parts(page, (self._root / page).read_text())))

    def _parts(self, page: str, text: str) -> Iterator[str]:
        """Yield the page with its links rewritten, except in what it quotes."""
        at = 0
        for fence in _FENCE.finditer(text):
            yield self._relinked(page, text[at : fence.start()])
            yield fence[0]
            at = fence.end()
        yield self._relinked(page, text[at:])

    def _relinked(self, page: str, text: str) -> str:
        return _LINK.sub(lambda link: self._target(page, link[1]) + (link[2] or ""), text)

    def _target(self, page: str, link: str) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(page), link))
        place = self._place(target)
        if place is None:
            self.broken.append(f"{page}: {link}")
            return link
        return posixpath.relpath(place, posixpath.dirname(self._pages[page]) or ".")

    def _place(self, target: str) -> str | None:
        if (self._root / target).is_dir():
            readme = posixpath.join(target, "README.md")
            return self._pages.get(readme) or self._folder(target)
        return self._pages.get(target) or self._file(target)

    def _folder(self, target: str) -> str:
        """Write a page that lists a folder, for links that lead to one."""
        place = f"{target.removeprefix('docs/')}/index.md"
        lines = [f"# {target}", ""]
        for path in sorted((self._root / target).iterdir()):
            inside = self._place(f"{target}/{path.name}") if path.is_file() else None
            if inside is not None:
                lines.append(f"- [{path.name}]({posixpath.relpath(inside, posixpath.dirname(place))})")
        (self._to / place).parent.mkdir(parents=True, exist_ok=True)
        (self._to / place).write_text("\n".join(lines) + "\n")
        return place

    def _file(self, target: str) -> str | None:
        """Lay a file beside the pages; text has an ending that a browser shows."""
        source = self._root / target
        if target.startswith("..") or not source.is_file():
            return None
        place = target.removeprefix("docs/")
        if source.suffix not in {".svg", ".png", ".json"}:
            place += ".txt"
        (self._to / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, self._to / place)
        return place


def main(arguments: Sequence[str]) -> int:
    """Write the pages; return the exit code."""
    (to,) = arguments
    site = Site(ROOT, Path(to))
    site.write()
    for link in site.broken:
        print(f"{link} leads nowhere", file=sys.stderr)
    return 1 if site.broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
