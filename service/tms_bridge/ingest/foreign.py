"""What no body may be: anything but JSON in UTF-8, or nested too deep. The reasons are for a person."""

import re
from typing import Final, NoReturn

from tms_bridge.errors import Undecodable

MAX_DEPTH: Final = 60
"""Objects and arrays inside one another. With the message around it this stays under 64, which is where
common decoders (.NET's for one) stop."""

# It also takes a string that never ends: trying again at each of its quotes would take quadratic time.
_STRING: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)', re.DOTALL)
_TO_SQUARE: Final = bytes.maketrans(b"{}", b"[]")
_NO_BRACKET: Final = bytes(byte for byte in range(256) if byte not in b"[]{}")
OPENERS: Final = (b"{", b"[", b'"')
"""How a JSON value begins that is worth a look."""

_FOREIGN: Final = (
    (re.compile(rb"\xff\xfe\0\0|\0\0\xfe\xff|[ -~]\0\0\0|\0\0\0[ -~]"), "encoded in UTF-32"),
    (re.compile(rb"\xff\xfe|\xfe\xff|[\t-~]\0|\0[\t-~]"), "encoded in UTF-16"),
    (re.compile(rb"\x1f\x8b"), "compressed with gzip, which no Content-Encoding says"),
    (re.compile(rb"<"), "XML or HTML"),
    (re.compile(rb"--[^\r\n]+\r?\n(?i:content-)"), "form data (multipart/form-data)"),
    (re.compile(rb"%(?:7b|5b|22)", re.IGNORECASE), "percent-encoded"),
    (re.compile(rb"(?:eyJ|ew[o0])[\w+/-]+=*\Z"), "encoded in Base64"),
    (re.compile(rb"[\w.%+*\[\]-]+="), "form-encoded (application/x-www-form-urlencoded)"),
    (re.compile(rb"\+AHs|\+AFs"), "encoded in UTF-7"),
)
"""How a body begins that is not JSON in UTF-8, and what it is then."""


def refuse_encoding(body: bytes, value: bytes, error: UnicodeDecodeError) -> NoReturn:
    """Say what the value of a body is that is not UTF-8; raises Undecodable."""
    refuse_foreign(value)
    place = error.start + body.find(value)
    hint = "; it may be Windows-1252 or ISO 8859-1" if value.startswith(OPENERS) else ""
    raise Undecodable(f"the body is not UTF-8: byte {place} is wrong ({error.reason}){hint}") from None


def refuse_foreign(value: bytes) -> None:
    """Raise Undecodable where a value begins like something else."""
    for beginning, what in _FOREIGN:
        if beginning.match(value):
            raise Undecodable(f"the body is {what}, where JSON in UTF-8 is expected")


def too_deep(value: bytes) -> bool:
    """Say whether objects and arrays are nested too deep, whatever stands in strings."""
    brackets = _STRING.sub(b"", value).translate(_TO_SQUARE, _NO_BRACKET)
    # Each round takes away the innermost pairs everywhere, so that the rounds count the depth at C's speed.
    for _ in range(MAX_DEPTH):
        if not brackets:
            return False
        brackets = brackets.replace(b"[]", b"")
    return bool(brackets)
