"""Checks that `pip install ./schemas .` works in an environment that has never seen uv."""

import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    """Install both packages as a user would, and ask the command for its version."""
    with tempfile.TemporaryDirectory(prefix="tms-bridge-pip-") as directory:
        venv.create(directory, with_pip=True)
        programs = f"{directory}/bin"
        pip = [f"{programs}/python", "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
        subprocess.run([*pip, "./schemas", "."], cwd=ROOT, check=True)
        subprocess.run([f"{programs}/tms-bridge", "--version"], check=True)
        subprocess.run([f"{programs}/python", "-c", "import tms_events"], check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
