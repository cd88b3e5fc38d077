"""Where an example runs: with the tests' own interpreter, or in an environment of its own.

`make examples-test` sets OWN_ENVIRONMENTS: then each example has what its line in examples/README.md
installs, and nothing else.
"""

import functools
import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
OWN = bool(os.environ.get("OWN_ENVIRONMENTS"))


@functools.cache
def interpreter(name: str) -> str:
    """Return the Python that runs an example."""
    if not OWN:
        return sys.executable
    directory = tempfile.mkdtemp(prefix=f"tms-{name}-")
    subprocess.run([sys.executable, "-m", "venv", directory], check=True)
    program, *arguments = shlex.split(_line(name))
    assert program == "pip"
    command = [f"{directory}/bin/python", "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments]
    subprocess.run(command, cwd=REPOSITORY, check=True, timeout=300)
    return f"{directory}/bin/python"


def _line(name: str) -> str:
    page = (REPOSITORY / "examples" / "README.md").read_text()
    found = re.search(rf"`(pip install [^`]*) && python examples/{re.escape(name)}`", page)
    assert found is not None, f"examples/README.md does not say what {name} needs"
    return found[1]
