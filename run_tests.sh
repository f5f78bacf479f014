#!/usr/bin/env bash
# Sets up .venv and runs the tests on the JAX CPU backend; further arguments go to pytest.
#
#   ./run_tests.sh                the suite: minutes, no network beyond the package index
#   ./run_tests.sh -m slow        the long ones (also: -m gpu, -m browser; see BUILD.md)
set -eu
cd "$(dirname "${BASH_SOURCE[0]}")"
. scripts/venv.sh
ensure_venv requirements.txt requirements-dev.txt
case " $* " in
  *" -m gpu "*) export JAX_PLATFORMS="${JAX_PLATFORMS:-cuda,cpu}" ;;
  *) export JAX_PLATFORMS=cpu ;;
esac
exec .venv/bin/python -m pytest "$@"
