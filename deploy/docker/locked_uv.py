"""Prints the requirement line of the uv that a lock file pins, with its hashes, for pip."""

import sys
import tomllib
from pathlib import Path


def requirement(lock: str) -> str:
    """Return `uv==VERSION --hash=... --hash=...` as the lock's text has them."""
    (uv,) = (package for package in tomllib.loads(lock)["package"] if package["name"] == "uv")
    hashes = [f"--hash={wheel['hash']}" for wheel in uv["wheels"]]
    return " ".join([f"uv=={uv['version']}", *hashes])


if __name__ == "__main__":
    print(requirement(Path(sys.argv[1]).read_text()))
