#!/usr/bin/env bash
# Runs pytest on each supported Python that this machine has, but for that of .venv, each in an environment
# of its own, with the arguments given.
set -euo pipefail

cd "$(dirname "$0")/../.."

say() { printf '%s\n' "pythons: $*" >&2; }

# Where a Python of this series may be; pyenv's shims are there for versions that are switched off, too.
find_python() {
    for candidate in "$(command -v "python$1" || true)" "${PYENV_ROOT:-$HOME/.pyenv}/versions/$1".*/bin/python; do
        if [ -x "$candidate" ] && "$candidate" -c '' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
}

own=$(.venv/bin/python -c 'import sys; print("%d.%d" % sys.version_info[:2])')
for series in 3.11 3.12 3.13; do
    [ "$series" = "$own" ] && continue
    python=$(find_python "$series")
    if [ -z "$python" ]; then
        say "no Python $series on this machine: not tested"
        continue
    fi
    say "testing on $("$python" -V)"
    UV_PROJECT_ENVIRONMENT=$PWD/.venv-$series .venv/bin/uv sync --locked --quiet --python "$python"
    ".venv-$series/bin/python" -m pytest "$@"
done
