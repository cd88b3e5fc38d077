"""What a check found."""

from typing import Final, Literal

import msgspec

Result = Literal["ok", "warn", "fail"]

OK: Final = "ok"
WARN: Final = "warn"
FAIL: Final = "fail"


class Checkup(msgspec.Struct, frozen=True):
    """One row of what `check` prints."""

    check: str
    result: Result
    text: str
