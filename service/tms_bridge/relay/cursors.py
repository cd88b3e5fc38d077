"""How far the relay has looked at the outbox, and what it has left there behind blocked lanes.

Theory of operation
-------------------
`front` is the highest seq that was looked at. What waits behind a blocked lane is dropped from memory: its
line is skipped from then on, and the lowest seq that was dropped is noted. When a lane opens, all of it must
be read again, which takes long where it is much, and nothing new may wait for that. So a second cursor does
it: `back` walks from the lowest seq towards the front, page by page, and the front goes on meanwhile.

Order holds because the lines that were skipped are left to the walk. Between the two cursors only messages
of these lines are not in memory; the front takes in none of them, and the back takes them in by seq.

| looked at by     | its line is      | the message is                                              |
| ---------------- | ---------------- | ----------------------------------------------------------- |
| front, no walk   | skipped          | dropped and noted                                           |
| front, in a walk | left to the walk | dropped; the back comes by                                  |
| back             | skipped          | dropped and noted                                           |
| either           | neither          | taken in                                                    |

| what happens                    | no walk                              | in a walk                        |
| ------------------------------- | ------------------------------------ | -------------------------------- |
| a message is dropped behind the | noted; its line is skipped           | the same, and its line is left   |
| back, or there is none          |                                      | to the walk                      |
| a message is dropped before it  |                                      | its line is skipped and left to  |
|                                 |                                      | the walk, which comes by         |
| a lane opens, nothing is noted  | only the lines of probes are skipped | the same                         |
| a lane opens, something is      | a walk begins before it; what was    | the back goes to before it; only |
|                                 | skipped is left to it, and only the  | the lines of probes are skipped  |
|                                 | lines of probes are skipped          |                                  |
| the back comes to the front, or |                                      | the walk is over                 |
| finds nothing more              |                                      |                                  |

Lines are kept as bits of their hashes, in a fixed amount of memory, however many they are. So a line may be
taken for skipped, or for left to the walk, that is not: it waits for the next lane that opens, or for the
back. None that is skipped or left is ever missed. All that is skipped in a walk is left to it, too.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Final

SKIPPED_BITS: Final = 1 << 26
"""How large a bitmap of lines is: 8 MiB, of which untouched pages cost nothing. There are two at most."""

_MARKS: Final = 3
"""Bits a line: beside a million lines one other in 12,000 is taken for skipped, beside ten one in 20."""


class Cursors:
    """Where to read on, and which lines to pass over.

    Attributes:
        front: the highest seq that was looked at.
        back: the seq that the walk has come to; None: there is no walk.
        rewinds: how often the back was set back, after which a page that is on its way is of no use.
        waiting: how many messages are noted, by the lane that each would take.
    """

    def __init__(self) -> None:
        self.front = 0
        self.back: int | None = None
        self.rewinds = 0
        self.waiting: Counter[str] = Counter()
        self._lowest: int | None = None
        self._skipped = _Lines()
        self._left = _Lines()

    @property
    def all_read(self) -> bool:
        """Whether nothing up to the front is left to be read again."""
        return self._lowest is None and self.back is None

    def look(self, seq: int, *, again: bool) -> None:
        """Go on to a message: the front, or, again, the back, which the front's own ends."""
        if again and seq <= self.front:
            self.back = seq
        else:
            self.front = seq
        if again and seq >= self.front:
            self.meet()

    def meet(self) -> None:
        """The walk is over: there is nothing more between back and front."""
        self.back = None
        self._left = _Lines()

    def passes_over(self, seq: int, line: str) -> bool:
        """Say whether the message that is looked at stays in the outbox for now."""
        return line in (self._left if self._before_back(seq) else self._skipped)

    def note(self, seq: int, lane: str) -> None:
        """A message is dropped; where the back is still to come by, it will be noted then."""
        if not self._before_back(seq):
            self.waiting[lane] += 1
            if self._lowest is None or seq < self._lowest:
                self._lowest = seq

    def skip(self, line: str) -> None:
        """Skip this line from now on."""
        self._skipped.add(line)
        if self.back is not None:
            self._left.add(line)

    def reopen(self, probed: Iterable[str]) -> None:
        """A lane opens: skip only the lines of the other lanes' probes, and read again what is noted."""
        skipped, lowest = self._skipped, self._lowest
        self._skipped, self._lowest, self.waiting = _Lines(probed), None, Counter()
        if lowest is not None:
            if self.back is None:
                self._left = skipped
            self.back = lowest - 1
            self.rewinds += 1

    def _before_back(self, seq: int) -> bool:
        return self.back is not None and seq > self.back


class _Lines:
    """A set of lines, by bits of their hashes."""

    def __init__(self, lines: Iterable[str] = ()) -> None:
        self._bits: bytearray | None = None
        for line in lines:
            self.add(line)

    def __contains__(self, line: str) -> bool:
        bits = self._bits
        return bits is not None and all(bits[place >> 3] & 1 << (place & 7) for place in _places(line))

    def add(self, line: str) -> None:
        if self._bits is None:
            self._bits = bytearray(SKIPPED_BITS >> 3)
        for place in _places(line):
            self._bits[place >> 3] |= 1 << (place & 7)


def _places(line: str) -> tuple[int, ...]:
    code = hash(line)
    step = code >> 32 | 1
    return tuple((code + turn * step) % SKIPPED_BITS for turn in range(_MARKS))
