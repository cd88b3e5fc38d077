"""The digest that makes equal bodies recognisable, on every replica."""

import hashlib


def digest(source: str, trigger: str, body: bytes) -> str:
    """Return the hex BLAKE2b-256 of source, NUL, trigger, NUL and the body as it came."""
    # The copy that joining makes costs less than four updates of the hash, up to some 100 KB.
    return hashlib.blake2b(
        b"%s\0%s\0%s" % (source.encode(), trigger.encode(), body), digest_size=32
    ).hexdigest()
