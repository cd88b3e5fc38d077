#!/bin/sh
# Puts both packages, the tms-bridge command and the development tools into .venv, as uv.lock says.
# Needs Python 3.11 or newer, or uv. Does nothing when nothing has changed.
set -eu

cd "$(dirname "$0")/../.."

VENV=$PWD/.venv
STAMP=$VENV/.tms-bridge-setup
export UV_PROJECT_ENVIRONMENT="$VENV"
unset VIRTUAL_ENV || true

say() { printf '%s\n' "setup: $*" >&2; }
fail() { say "$*"; exit 1; }

fingerprint() { cat uv.lock pyproject.toml schemas/pyproject.toml deploy/local/setup.sh | cksum; echo "$PWD"; }

# uv keeps what it fetches in the home directory; where that cannot be written, beside the packages.
choose_cache() {
    [ -z "${UV_CACHE_DIR:-}" ] || return 0
    home_cache=${XDG_CACHE_HOME:-${HOME:-/nonexistent}/.cache}/uv
    if mkdir -p "$home_cache" 2>/dev/null && [ -w "$home_cache" ]; then
        return 0
    fi
    UV_CACHE_DIR=$VENV/.cache/uv
    export UV_CACHE_DIR
}

is_done() {
    [ -x "$VENV/bin/tms-bridge" ] && [ -f "$STAMP" ] && [ "$(fingerprint)" = "$(cat "$STAMP")" ] &&
        "$VENV/bin/python" -c '' 2>/dev/null
}

find_python() {
    for name in python3 python3.14 python3.13 python3.12 python3.11 python; do
        if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$name"
            return
        fi
    done
    fail "no Python 3.11 or newer found; install one, or uv (https://docs.astral.sh/uv/), and try again"
}

# Debian and Ubuntu ship Python without its venv module.
install_venv_module() {
    command -v apt-get >/dev/null || fail "$1 cannot make a virtual environment; install its venv module, or uv"
    as_root=
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || fail "run as root: apt-get install python3-venv"
        as_root=sudo
    fi
    if [ -t 0 ]; then
        printf 'setup: install the package python3-venv with apt-get? [Y/n] ' >&2
        read -r answer
        case $answer in [nN]*) fail "then install python3-venv, or uv, yourself and try again" ;; esac
    fi
    say "installing python3-venv"
    version=$("$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    $as_root apt-get update -qq
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "python$version-venv" >/dev/null
}

make_venv() {
    python=$(find_python)
    say "making .venv with $python"
    "$python" -c 'import ensurepip' 2>/dev/null || install_venv_module "$python"
    "$python" -m venv --clear "$VENV"
}

# The requirement line for the uv that uv.lock pins, with the hashes that it must have.
locked_uv() {
    awk '/^\[\[package\]\]/ { inside = 0 }
         /^name = "uv"$/ { inside = 1 }
         inside && /^version = / { gsub(/"/, ""); printf "uv==%s", $3 }
         inside && match($0, /sha256:[0-9a-f]+/) { printf " --hash=%s", substr($0, RSTART, RLENGTH) }
         END { print "" }' uv.lock
}

if is_done; then
    exit 0
fi
choose_cache
if uv --version >/dev/null 2>&1; then
    UV=uv
else
    [ -x "$VENV/bin/python" ] && "$VENV/bin/python" -m pip --version >/dev/null 2>&1 || make_venv
    say "fetching uv"
    locked_uv >"$VENV/uv-requirement.txt"
    "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes \
        --requirement "$VENV/uv-requirement.txt"
    UV=$VENV/bin/uv
fi
say "installing what uv.lock names"
"$UV" sync --locked --quiet
fingerprint >"$STAMP"
say "done: .venv/bin/tms-bridge"
