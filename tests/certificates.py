"""Certificates for tests, made with openssl."""

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Pair:
    """A certificate that signed itself, and its key."""

    certificate: Path
    key: Path

    def as_toml(self, table: str, client_ca: Path | None = None) -> str:
        more = f'client_ca = "{client_ca}"\n' if client_ca else ""
        return f'[{table}]\ncertificate = "{self.certificate}"\nkey = "{self.key}"\n{more}'


def make(directory: Path, name: str) -> Pair:
    """Make a pair, in the place of one of the same name."""
    pair = Pair(directory / f"{name}.pem", directory / f"{name}.key")
    fresh = Pair(directory / f"{name}.pem.new", directory / f"{name}.key.new")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
            *("-nodes", "-days", "2", "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", fresh.key, "-out", fresh.certificate),
        ],
        check=True,
        capture_output=True,
    )
    fresh.key.replace(pair.key)
    fresh.certificate.replace(pair.certificate)
    return pair


def lock(key: Path, locked: Path) -> None:
    """Write a key again, with a password."""
    subprocess.run(
        ["openssl", "ec", "-in", key, "-out", locked, "-aes256", "-passout", "pass:secret"],  # noqa: S607 - as above
        check=True,
        capture_output=True,
    )
