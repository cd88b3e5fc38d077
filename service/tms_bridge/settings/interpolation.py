"""`${NAME}`, `${NAME:-default}`, `${file:/path}` and `$${` in the strings of the configuration."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

_REFERENCE: Final = re.compile(r"\$\$\{|\$\{([^}]*)(\}?)")
_NAME: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)
_URL_PASSWORD: Final = re.compile(r"://[^:@/]*:(.*)@")


class Unresolved(Exception):  # noqa: N818 - states the fact
    """A reference cannot be filled in; the text says which and how to mend it, never a value."""


def refers(text: str) -> bool:
    """Return whether anything in the text takes its value from elsewhere."""
    return any(match[0] != "$${" for match in _REFERENCE.finditer(text))


def spells_out_secret(text: str) -> bool:
    """Return whether the text holds a password itself, be it as a default; an AMQP URL's guest is none."""
    if "amqp" in text and "://" in text:
        password = _URL_PASSWORD.search(text)
        text = password[1] if password and password[1] != "guest" else ""
    return bool(_REFERENCE.sub("", text)) or ":-" in text


class Interpolation:
    """Fills in references from an environment and files, and remembers the files that it read."""

    def __init__(self, environ: Mapping[str, str], directory: Path) -> None:
        self._environ = environ
        self._directory = directory
        self.files: list[Path] = []

    def expand(self, text: str) -> str:
        """Return the text with every reference filled in; what is filled in is not looked at again.

        Raises:
            Unresolved: a variable or a file is missing, or a reference is written wrongly.
        """
        return _REFERENCE.sub(self._replace, text)

    def read(self, path: str) -> str:
        """Return a file's content without its last newline; a relative path starts at the configuration.

        Raises:
            Unresolved: the file cannot be read as UTF-8 text.
        """
        file = self._directory / path
        self.files.append(file)
        try:
            content = file.read_bytes().decode()
        except OSError as error:
            raise Unresolved(
                f"cannot read the file {file} ({error.strerror}); create it or mend the path"
            ) from None
        except ValueError:
            raise Unresolved(f"the file {file} is not UTF-8 text") from None
        return content.removesuffix("\n").removesuffix("\r")

    def _replace(self, match: re.Match[str]) -> str:
        if match[0] == "$${":
            return "${"
        if not match[2]:
            raise Unresolved("a ${ has no closing }; for a literal ${ write $${")
        inner = match[1]
        if inner.startswith("file:"):
            return self.read(inner.removeprefix("file:"))
        return self._variable(inner)

    def _variable(self, inner: str) -> str:
        parts = _NAME.fullmatch(inner)
        if parts is None:
            raise Unresolved(
                "a reference is none of ${NAME}, ${NAME:-default}, ${file:/path}; for a literal ${ write $${"
            )
        name, default = parts[1], parts[2]
        value = self._environ.get(name)
        if value is None and default is None:
            raise Unresolved(
                f"the environment variable {name} is not set; set it, or give a default: ${{{name}:-...}}"
            )
        if value is not None and not _is_text(value):
            raise Unresolved(f"the environment variable {name} is not UTF-8 text")
        return value or default or ""


def _is_text(value: str) -> bool:
    """Return whether an environment variable was UTF-8; Python hides other bytes as lone surrogates."""
    return not any("\ud800" <= letter <= "\udfff" for letter in value)
