"""What must hold of a whole body, also where nothing reads it: consumers get it verbatim as the payload."""

import codecs
import re

from tms_bridge.errors import Undecodable

MAX_DEPTH = 60
"""Objects and arrays inside one another. With the message around it this stays under 64, which is where
common decoders (.NET's for one) stop."""

_WHITESPACE = b" \t\r\n"
# It also takes a string that never ends: trying again at each of its quotes would take quadratic time.
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)', re.DOTALL)
_TO_SQUARE = bytes.maketrans(b"{}", b"[]")
_NO_BRACKET = bytes(byte for byte in range(256) if byte not in b"[]{}")


def json_value(body: bytes) -> bytes:
    """Return the bytes of the JSON value in a body, without byte-order mark and surrounding whitespace.

    Raises:
        Undecodable: the body is empty, is not UTF-8 throughout, or is nested too deep.
    """
    value = body.removeprefix(codecs.BOM_UTF8).strip(_WHITESPACE)
    if not value:
        raise Undecodable("the body is empty")
    try:
        value.decode()
    except UnicodeDecodeError as error:
        place = error.start + body.find(value)
        raise Undecodable(f"the body is not UTF-8: byte {place} is wrong ({error.reason})") from None
    if value.count(b"[") + value.count(b"{") > MAX_DEPTH and _too_deep(value):
        raise Undecodable(f"objects or arrays are nested more than {MAX_DEPTH} deep")
    return value


def _too_deep(value: bytes) -> bool:
    brackets = _STRING.sub(b"", value).translate(_TO_SQUARE, _NO_BRACKET)
    # Each round takes away the innermost pairs everywhere, so that the rounds count the depth at C's speed.
    for _ in range(MAX_DEPTH):
        if not brackets:
            return False
        brackets = brackets.replace(b"[]", b"")
    return bool(brackets)
