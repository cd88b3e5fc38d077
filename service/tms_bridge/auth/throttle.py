"""What wrong credentials cost whoever shows them: at first nothing, then time, then they are not looked at.

Pure: the moment is an argument. Each address has an allowance of wrong attempts that fills up again at a
steady pace; one number says how much of it is used (the generic cell rate algorithm). The numbers lie in a
fixed table, found by a keyed hash: memory is bounded whatever number of addresses guess, nothing is ever
thrown out of it to make room, and nobody can tell which addresses share a number. Whoever shares one with a
guesser loses nothing by it: right credentials from a listed address are never asked about here.
"""

import math
import secrets
from array import array
from hashlib import blake2b
from typing import Final

from tms_bridge.auth.allowlist import network_of
from tms_bridge.errors import Throttled

ALLOWANCE: Final = 50
"""How many wrong attempts an address has at once."""

PACE_S: Final = 1.0
"""After so long it has another one."""

_AT_ONCE: Final = 20
"""So many are answered without delay; a typing error should not feel like a fault."""

GUESS: Final = 25
"""What a guess costs that is not the last one again, where right ones are told apart from any address."""

_SLOWEST_S: Final = 0.25
_NUMBERS: Final = 16_384


class Throttle:
    """The allowances of all addresses, an IPv6 /64 being one."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(16)
        self._full_at = array("d", bytes(8 * _NUMBERS))
        self._guesses = array("Q", bytes(8 * _NUMBERS))

    def refusal(self, address: str, now: float) -> Throttled | None:
        """Return what is said to an address that has used up its allowance; None while there is some."""
        over_s = self._used_s(self._number_of(address), now) - (ALLOWANCE - 1) * PACE_S
        if over_s <= 0:
            return None
        return Throttled(
            "Too many wrong credentials came from this address; try again after Retry-After. Right ones from "
            "a listed address are never turned away.",
            retry_after_s=math.ceil(over_s),
        )

    def strike(self, address: str, now: float, guess: bytes = b"") -> float:
        """Take one attempt off the allowance; return how many seconds the answer should wait.

        Args:
            address: whose allowance.
            now: the moment.
            guess: what was shown, where a new guess is dear; a sender with a wrong password repeats it.
        """
        number = self._number_of(address)
        used_s = self._used_s(number, now)
        self._full_at[number] = now + used_s + self._cost(number, guess) * PACE_S
        slow = (used_s / PACE_S - _AT_ONCE) / (ALLOWANCE - _AT_ONCE)
        return min(max(slow, 0.0), 1.0) * _SLOWEST_S

    def _cost(self, number: int, guess: bytes) -> int:
        if not guess:
            return 1
        last, self._guesses[number] = self._guesses[number], self._hash(guess)
        return 1 if last == self._guesses[number] else GUESS

    def _used_s(self, number: int, now: float) -> float:
        """Return how long it takes until the whole allowance is there again."""
        return max(self._full_at[number] - now, 0.0)

    def _number_of(self, address: str) -> int:
        return self._hash(network_of(address).encode()) % _NUMBERS

    def _hash(self, text: bytes) -> int:
        return int.from_bytes(blake2b(text, digest_size=8, key=self._key).digest())
