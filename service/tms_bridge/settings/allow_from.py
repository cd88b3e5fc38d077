"""Lists of addresses: entries of their own, lists in files, and for `allow_from` two words besides."""

from typing import Final

from tms_bridge.settings.interpolation import Interpolation, Unresolved
from tms_bridge.settings.network import parse_network
from tms_bridge.settings.problem import Mistake

ANY: Final = "any"
"""Every address."""

SKILLABLE_TMS: Final = "skillable-tms"
"""The addresses that the vendor publishes."""


class AddressList:
    """One key that holds addresses and ranges: `expand` it, then look at its `problems`."""

    words: frozenset[str] = frozenset()
    """What an entry may say besides; in a file, `any` is none of them: it must stand where it is read."""

    hint = ""
    """What else an entry that is no address may have meant."""

    def __init__(self, key: str, interpolation: Interpolation) -> None:
        self._key = key
        self._interpolation = interpolation
        self.problems: list[Mistake] = []

    def expand(self, entries: tuple[str, ...]) -> tuple[str, ...]:
        """Return the entries, with the addresses of each `@file` in its place."""
        expanded: list[str] = []
        for at, entry in enumerate(entries):
            key = f"{self._key}[{at}]"
            if entry.startswith("@"):
                expanded += self._listed(key, entry[1:])
            elif entry in self.words or self._is_good(key, entry, ""):
                expanded.append(entry)
        return tuple(expanded)

    def _listed(self, key: str, path: str) -> list[str]:
        """Return the entries of a list file, one a line; `#` starts a comment. It cannot say `any`."""
        try:
            lines = self._interpolation.read(path).split("\n")
        except Unresolved as error:
            self._complain(key, str(error))
            return []
        entries = [(number, line.partition("#")[0].strip()) for number, line in enumerate(lines, 1)]
        if not any(entry for _, entry in entries):
            self._complain(key, f"the file {path} names no address")
        return [
            entry
            for number, entry in entries
            if entry and self._is_good(key, entry, f"{path} line {number}: ")
        ]

    def _is_good(self, key: str, entry: str, where: str) -> bool:
        if entry == SKILLABLE_TMS and entry in self.words:
            return True
        try:
            parse_network(entry)
        except ValueError as error:
            self._complain(key, f"{where}{error}{self.hint}")
            return False
        return True

    def _complain(self, key: str, text: str) -> None:
        self.problems.append(Mistake(key, text))


class AllowFrom(AddressList):
    """One `allow_from` key."""

    words = frozenset({ANY, SKILLABLE_TMS})
    hint = f', or "{SKILLABLE_TMS}"'

    def expand(self, entries: tuple[str, ...]) -> tuple[str, ...]:
        """Return the entries, with the addresses of each `@file` in its place; there must be one."""
        if not entries:
            self._complain(self._key, f'is empty; name "{SKILLABLE_TMS}", addresses and ranges, or "{ANY}"')
        return super().expand(entries)
