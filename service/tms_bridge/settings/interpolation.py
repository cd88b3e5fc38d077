"""What the configuration takes from elsewhere: `${NAME}`, `${NAME:-default}`, `${file:/path}`, and `@file`.

Whatever lies at a path must not hold up or end a bridge that runs: a pipe would block for ever, a device
never ends. So only regular files are read, without blocking, and no more of them than anyone needs.
"""

import codecs
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import quote

_REFERENCE: Final = re.compile(r"\$\$\{|\$\{([^}]*)(\}?)")
_NAME: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)
_USER_INFO: Final = re.compile(r"amqps?://((?:\$\{[^}]*\}|[^/@?#])*)@")
_URL_PASSWORD: Final = re.compile(r"://(?:\$\{[^}]*\}|[^:@/])*:(.*)@")

MAX_BYTES: Final = 65_536

_UTF_16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class Unresolved(Exception):  # noqa: N818 - states the fact
    """A reference cannot be filled in, or a file not be read; the text says why, and never shows a value."""


def read_file(path: Path) -> str:
    """Return the text of a regular file, without a byte-order mark.

    Raises:
        Unresolved: it is missing, may not be read, is no regular file, is too long, or is not UTF-8 text.
    """
    content = _content(path)
    if content.startswith(_UTF_16):
        raise Unresolved("it is UTF-16 text; save it as UTF-8")
    try:
        return content.decode().lstrip("\ufeff")
    except UnicodeDecodeError:
        raise Unresolved("it is not UTF-8 text") from None


def _content(path: Path) -> bytes:
    try:
        # A pipe that nobody writes to would hold up a plain open.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as error:
        raise Unresolved(_reason(error)) from None
    except ValueError:
        raise Unresolved("the path holds a NUL character") from None
    try:
        return _bounded(descriptor)
    finally:
        os.close(descriptor)


def _bounded(descriptor: int) -> bytes:
    if not stat.S_ISREG(mode := os.fstat(descriptor).st_mode):
        raise Unresolved("it is a directory" if stat.S_ISDIR(mode) else "it is not a regular file")
    content = b""
    try:
        # A file of /proc or of a network may give less than was asked for.
        while len(content) <= MAX_BYTES and (more := os.read(descriptor, MAX_BYTES + 1 - len(content))):
            content += more
    except OSError as error:
        raise Unresolved(_reason(error)) from None
    if len(content) > MAX_BYTES:
        raise Unresolved(f"it is longer than {MAX_BYTES // 1024} KiB")
    return content


def _reason(error: OSError) -> str:
    return (error.strerror or type(error).__name__).lower()


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

        What comes as the user or the password of an AMQP URL is percent-encoded. A reference that stands for
        both is taken as it is: it has to hold the colon between them.

        Raises:
            Unresolved: a variable or a file is missing, or a reference is written wrongly.
        """
        user_info = _USER_INFO.match(text)
        if user_info is None or _REFERENCE.fullmatch(user_info[1]):
            return _REFERENCE.sub(self._replace, text)
        encoded = _REFERENCE.sub(lambda match: quote(self._replace(match), safe=""), user_info[0])
        return encoded + _REFERENCE.sub(self._replace, text[user_info.end() :])

    def read(self, path: str) -> str:
        """Return a file's content without its last newline; a relative path starts at the configuration.

        Raises:
            Unresolved: the file cannot be read (see `read_file`).
        """
        file = self._directory / path
        self.files.append(file)
        try:
            content = read_file(file)
        except Unresolved as error:
            raise Unresolved(f"cannot read the file {file} ({error}); correct the file or its path") from None
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
