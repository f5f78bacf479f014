# Sourced by run_all.sh and run_tests.sh: makes .venv what a lock file says.

# Prints the first Python 3.11 to 3.13 found; $PYTHON, if set, comes first.
find_python() {
  local candidate
  for candidate in ${PYTHON:-} python3 python3.13 python3.12 python3.11; do
    if "$candidate" -c 'import sys, venv; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
        >/dev/null 2>&1; then
      echo "$candidate"
      return 0
    fi
  done
  return 1
}

# ensure_venv LOCK: creates .venv when it is missing and installs LOCK when it has changed since.
ensure_venv() {
  local lock="$1" stamp=".venv/.installed-$1" python
  if [ ! -x .venv/bin/python ]; then
    python=$(find_python) || {
      echo "setup: no Python 3.11, 3.12 or 3.13 with venv found; install one or set PYTHON" >&2
      return 2
    }
    echo "setup: creating .venv with $("$python" --version)" >&2
    "$python" -m venv .venv || {
      echo "setup: could not create .venv; on Debian and Ubuntu: apt install python3-venv" >&2
      return 2
    }
  fi
  if ! cmp -s "$lock" "$stamp"; then
    echo "setup: installing $lock (about a minute)" >&2
    .venv/bin/python -m pip install --quiet --disable-pip-version-check -r "$lock" || {
      echo "setup: installation failed; see above. BUILD.md covers machines without internet" >&2
      return 2
    }
    cp "$lock" "$stamp"
  fi
}
