#!/usr/bin/env bash
# Sets up .venv and runs the experiments: `hw1 run-all`, whose words stand in
# hw1_jax/command/run_all.py; ./run_all.sh --help prints them.
set -u
export HW1_CALLED_FROM=$PWD  # relative paths in the flags start there
cd "$(dirname "${BASH_SOURCE[0]}")" || exit 2
case "$*" in
  -h|--help) sed -n '1s/^"""//p;2,/^"""/{/^"""/!p}' hw1_jax/command/run_all.py; exit 0 ;;
esac
. scripts/venv.sh
ensure_venv requirements.txt || exit
exec .venv/bin/python -m hw1_jax.command run-all "$@"
