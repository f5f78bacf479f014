#!/usr/bin/env bash
# Makes uv.lock from pyproject.toml, and requirements.txt and requirements-dev.txt from uv.lock.
#
#   scripts/lock.sh               after a change of pyproject.toml; versions stay where they can
#   scripts/lock.sh --upgrade     the newest versions that fit; further arguments go to `uv lock`
set -eu
cd "$(dirname "${BASH_SOURCE[0]}")/.."
command -v uv >/dev/null || PATH="$PWD/.venv/bin:$PATH"
uv lock --default-index https://pypi.org/simple "$@"
export() { uv export --quiet --frozen --no-annotate --no-emit-project "$@" >/dev/null; }
export --no-default-groups --output-file requirements.txt
export --only-group dev --output-file requirements-dev.txt
