"""A terminal of some columns for a command, and what of an answer a person cannot copy from it."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

Program = subprocess.Popen[bytes]
Cue = tuple[str, Callable[[Program], object]]
"""What is to be done once this stands on the screen."""

BEGINNING = 12
"""Letters by which a value is recognised on the screen: as many as none has in common with another."""

LONG = 8
"""A value of so many letters is missed by no accident when the lines of the screen are put together."""

LONGEST_S = 120
"""After which a command is ended; only a defect makes it take so long."""

_STEADY = re.compile(r"(?![\d,]+$)")
"""A word of prose that is no number: how much room a disk has changes from look to look."""

_STEERING = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


def shown_on(
    columns: int, args: Iterable[object], cwd: Path, cues: Sequence[Cue] = (), **environ: str
) -> str:
    """Run a command on a terminal of its own until it ends, and return what it shows, without colours."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    kept = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "LINES")}
    process = subprocess.Popen(
        [sys.executable, "-m", "tms_bridge", *map(str, args)],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=cwd,
        env=kept | {"TERM": "xterm-256color"} | environ,
    )
    os.close(theirs)
    shown, waiting = "", list(cues)
    guard = threading.Timer(LONGEST_S, process.kill)
    guard.start()
    for block in iter(lambda: _read(ours), b""):
        shown += block.decode(errors="replace")
        while waiting and waiting[0][0] in _STEERING.sub("", shown):
            waiting.pop(0)[1](process)
    os.close(ours)
    process.wait()
    guard.cancel()
    assert not waiting, shown
    assert "object at 0x" not in shown
    return _STEERING.sub("", shown).replace("\r\n", "\n")


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65_536)
    except OSError:  # how Linux tells that the other side is closed
        return b""


def values(answer: object) -> Iterator[str]:
    """Yield what a person might copy: every text and number of the JSON."""
    if isinstance(answer, dict):
        for value in answer.values():
            yield from values(value)
    elif isinstance(answer, list | tuple):
        for value in answer:
            yield from values(value)
    elif isinstance(answer, str):
        # Prose breaks between its words, where nothing is lost by it.
        yield from [answer] if answer.count(" ") < 2 else filter(_STEADY.match, answer.split())
    elif isinstance(answer, int | float) and not isinstance(answer, bool):
        yield f"{answer:g}" if isinstance(answer, float) else str(answer)


def ids(answer: object) -> Iterator[str]:
    """Yield the ids of things in the JSON: they are what is copied most."""
    if isinstance(answer, dict):
        yield from (value for key, value in answer.items() if key == "id" and isinstance(value, str))
        answer = list(answer.values())
    for value in answer if isinstance(answer, list | tuple) else ():
        yield from ids(value)


def folded(shown: str, told: object) -> list[str]:
    """Return the values that are on the screen but not in one piece, and the ids that are not there."""
    together = re.sub(r"\s*\n\s*", "", shown)
    there = [value for value in values(told) if value[:BEGINNING] in shown or _joined(value, together)]
    assert there, f"nothing of the answer stands on the screen:\n{shown}"
    return [value for value in (*there, *ids(told)) if value not in shown]


def _joined(value: str, together: str) -> bool:
    return len(value) >= LONG and value in together
