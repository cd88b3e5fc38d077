"""Looks at all that reaches a test from what it tests: no log, answer, page or command shows a repr.

What Python makes of an object that has no text of its own helps nobody who reads it. It is looked for where
bytes come in: asyncio's streams, aiohttp's client, sockets, what processes print, commands that run
within the test, and the log of a bridge.
"""

import asyncio
import functools
import re
import socket
import subprocess
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import pytest
from aiohttp.client_proto import ResponseHandler
from click.testing import CliRunner

from bridge import Bridge

REPR = re.compile(rb".{0,80}object at 0x.{0,40}")
LONGEST = 40
"""Bytes of a repr that may have come before the rest of it."""


class Reprs:
    """What was found, and how each stream ended, since bytes come in pieces."""

    def __init__(self) -> None:
        self._found: list[str] = []
        self._ends: WeakKeyDictionary[object, bytes] = WeakKeyDictionary()

    def look(self, text: str | bytes | None, stream: object = None) -> None:
        """Look for a repr in what came, or came next in a stream."""
        came = text.encode(errors="replace") if isinstance(text, str) else bytes(text or b"")
        if stream is not None:
            came = self._ends.get(stream, b"") + came
            self._ends[stream] = came[-LONGEST:]
        if b"object at 0x" in came:
            self._found += [found.decode(errors="replace") for found in REPR.findall(came)]

    def look_at_all(self, *texts: str | bytes | None) -> None:
        """Look for a repr in what is whole."""
        for text in texts:
            self.look(text)

    def taken(self) -> list[str]:
        """Return what was found, and forget it."""
        found, self._found = self._found, []
        return found


def watch(patch: pytest.MonkeyPatch) -> Reprs:
    """Look at everything from now on until the patches are undone."""
    reprs = Reprs()

    def after(owner: type, name: str, look: Callable[..., object]) -> None:
        original = getattr(owner, name)

        @functools.wraps(original)
        def wrapped(self: Any, *args: Any, **kwargs: Any) -> Any:
            result = original(self, *args, **kwargs)
            look(self, result, *args)
            return result

        patch.setattr(owner, name, wrapped)

    after(asyncio.StreamReader, "feed_data", lambda self, _, data: reprs.look(data, self))
    after(ResponseHandler, "data_received", lambda self, _, data: reprs.look(data, self))
    after(socket.SocketIO, "readinto", lambda self, count, into: reprs.look(bytes(into[: count or 0]), self))
    after(subprocess.Popen, "communicate", lambda _, ended, *__: reprs.look_at_all(*ended))
    after(CliRunner, "invoke", lambda _, result, *__: reprs.look_at_all(result.stdout, result.stderr))
    _before_it_is_gone(patch, reprs)
    return reprs


def _before_it_is_gone(patch: pytest.MonkeyPatch, reprs: Reprs) -> None:
    """Look at a bridge's log before its directory is removed."""
    close = Bridge.close

    def look_and_close(self: Bridge) -> None:
        reprs.look(self.log)
        close(self)

    patch.setattr(Bridge, "close", look_and_close)
