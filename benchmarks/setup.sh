#!/bin/sh
# Puts what the benchmarks compare with, and wrk, in place: Python's rivals in build/bench/venv, Node's in
# build/bench/node. Does nothing when nothing has changed.
set -eu

cd "$(dirname "$0")/.."
HOME_OF_BENCH=$PWD/build/bench
STAMP=$HOME_OF_BENCH/.done

say() { printf '%s\n' "bench: $*" >&2; }

as_root() { if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi; }

install_missing() {
    missing=
    command -v wrk >/dev/null || missing="$missing wrk"
    command -v node >/dev/null || missing="$missing nodejs"
    command -v npm >/dev/null || missing="$missing npm"
    [ -z "$missing" ] && return
    command -v apt-get >/dev/null || { say "install these, then try again:$missing"; exit 1; }
    say "installing$missing"
    as_root apt-get update -qq
    # shellcheck disable=SC2086 # several words are meant
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >&2
}

fingerprint() { cat uv.lock benchmarks/setup.sh benchmarks/rivals/node/* | cksum; echo "$PWD"; }

install_missing
[ -f "$STAMP" ] && [ "$(fingerprint)" = "$(cat "$STAMP")" ] && exit 0
mkdir -p "$HOME_OF_BENCH/node"
UV=.venv/bin/uv
command -v "$UV" >/dev/null || UV=uv
say "installing Python's rivals"
UV_PROJECT_ENVIRONMENT=$HOME_OF_BENCH/venv "$UV" sync --locked --quiet --no-default-groups --group bench
say "installing Node's rival"
cp benchmarks/rivals/node/* "$HOME_OF_BENCH/node/"
(cd "$HOME_OF_BENCH/node" && npm ci --no-audit --no-fund --loglevel=error >&2)
fingerprint >"$STAMP"
