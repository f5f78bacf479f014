# Sourced by run_all.sh and run_tests.sh: makes .venv what the lock files say.
#
# A set-up that failed or was stopped is done again from what is known to be whole: .venv is kept
# only while its interpreter and pip work, and packages are trusted only where .installed-LOCK, a
# copy of the lock, was written behind them.

unset PYTHONHOME PIP_TARGET PIP_PREFIX PIP_USER  # they would send pip or Python elsewhere

say() { echo "setup: $*" >&2; }

# Prints why a command cannot make a virtual environment; nothing if it can.
why_not() {
  local answer probe='
import sys
version = "%d.%d" % sys.version_info[:2]
if version not in ("3.11", "3.12", "3.13"):
  print("is Python " + version)
else:
  try:
    import ensurepip, venv
    print("is good")
  except ImportError:
    print("lacks venv; on Debian and Ubuntu: apt install python" + version + "-venv")'
  if [ -d "$1" ] || ! command -v "$1" >/dev/null 2>&1; then
    echo "is no command"
    return
  fi
  answer=$("$1" -c "$probe" 2>/dev/null)
  case $answer in
    "is good") ;;
    "is Python "*|"lacks venv"*) echo "$answer" ;;
    *) echo "is no Python" ;;
  esac
}

# Prints the Python that .venv is to be made with: $PYTHON, or the first one that can.
find_python() {
  local candidate reason nearly=
  if [ -n "${PYTHON:-}" ]; then
    reason=$(why_not "$PYTHON")
    [ -z "$reason" ] && echo "$PYTHON" && return
    say "PYTHON=$PYTHON $reason; expected a Python 3.11, 3.12 or 3.13"
    return 2
  fi
  for candidate in python3 python3.13 python3.12 python3.11; do
    reason=$(why_not "$candidate")
    [ -z "$reason" ] && echo "$candidate" && return
    case $reason in lacks*) nearly=${nearly:-$candidate $reason} ;; esac
  done
  say "${nearly:-no Python 3.11, 3.12 or 3.13 found; install one, or name it: PYTHON=/path/to/python3.12}"
  return 2
}

# Prints version and home of a Python; fails if it does not run or is not supported. With a
# second argument it must be the environment in that folder, and have pip.
identity() {
  "$1" -I -c '
import importlib.util, os, sys
folder = sys.argv[1:]
if folder and not os.path.samefile(sys.prefix, folder[0]) or not importlib.util.find_spec("pip"):
  sys.exit(bool(folder))
if not (3, 11) <= sys.version_info[:2] <= (3, 13):
  sys.exit(1)
print(sys.version.split()[0], os.path.realpath(sys.base_prefix))
' "${@:2}" 2>/dev/null
}

# Says what is wrong with the .venv that is there; nothing if it can be kept.
venv_fault() {
  local here wanted
  if ! here=$(identity .venv/bin/python .venv); then
    echo "its Python or pip does not work"
  elif [ -e .venv/.installing ]; then
    echo "an installation was stopped half-way"
  elif [ -n "${PYTHON:-}" ] && wanted=$(identity "$PYTHON") && [ "$here" != "$wanted" ]; then
    echo "it is Python ${here%% *} and PYTHON=$PYTHON is ${wanted%% *}"
  fi
}

# Whether .venv, made by uv and so without pip, is what the lock files say; else tells what to do.
uv_venv_fits() {
  local difference
  difference=$(.venv/bin/python -I -c '
import re, sys
from importlib import metadata
for line in (line for name in sys.argv[1:] for line in open(name)):
  found = re.match(r"([\w.-]+)==([^\s;]+)", line)
  if found and (";" not in line or sys.platform in line):
    try:
      version = metadata.version(found[1])
    except metadata.PackageNotFoundError:
      version = "missing"
    if version != found[2]:
      sys.exit(print(f"{found[1]} is {version}, not {found[2]}"))
' "$@" 2>&1)
  [ -z "$difference" ] && return
  say ".venv was made by uv, and differs from the lock: ${difference##*$'\n'}; run: uv sync --frozen --inexact"
  return 2
}

# Runs a command, its output in a file, and prints progress until it ends; stopped with us.
watched() {
  local log=$1 total=$2 child code now begun=$SECONDS last=$SECONDS
  shift 2
  "$@" >"$log" 2>&1 </dev/null &
  child=$!
  trap 'kill $child; wait $child; trap - INT; kill -INT $$' INT
  trap 'kill $child; wait $child; exit 143' TERM HUP
  while kill -0 $child 2>/dev/null; do
    if grep -q '^Installing collected' "$log"; then
      now=$(find .venv/lib -maxdepth 3 -name '*.dist-info' | wc -l)  # with pip and setuptools
      now="$((now < total ? now : total)) of $total packages installed"
    else
      now="$(grep -cE '^ *(Collecting|Requirement already satisfied)' "$log") of $total packages found"
    fi
    if [ -t 2 ]; then
      printf '\r\033[Ksetup: %s, %s s' "$now" $((SECONDS - begun)) >&2
    elif [ $((SECONDS - last)) -ge 10 ]; then
      say "$now, $((SECONDS - begun)) s"
      last=$SECONDS
    fi
    sleep 0.5
  done
  wait $child
  code=$?
  trap - INT TERM HUP
  [ -t 2 ] && printf '\r\033[K' >&2
  return $code
}

# ensure_venv LOCK...: rebuilds .venv unless it works, and installs what has changed since.
ensure_venv() {
  local lock fault= python changed= files=()
  if [ -n "${PYTHON:-}" ]; then
    find_python >/dev/null || return
  fi
  if grep -qs '^uv = ' .venv/pyvenv.cfg; then
    uv_venv_fits "$@"
    return
  fi
  exec 9<.
  if command -v flock >/dev/null && ! flock -n 9 2>/dev/null; then
    say "another set-up is under way in this folder; waiting for it"
    flock 9
  fi
  for lock in "$@"; do
    files+=(-r "$lock")
    cmp -s "$lock" ".venv/.installed-$lock" || changed=yes
  done
  [ -e .venv ] || [ -L .venv ] && fault=$(venv_fault)
  if [ -n "$fault" ] || [ -n "$changed" ]; then
    set_up "$fault" "$@" || { exec 9<&-; return 2; }
  fi
  exec 9<&-
}

# set_up FAULT LOCK...: the slow part of ensure_venv.
set_up() {
  local fault=$1 python lock files=() total
  shift
  if ! [ -w . ] || { [ -d .venv ] && ! [ -w .venv ]; }; then
    say "$PWD cannot be written, and .venv has to be made in it; clone to a folder of your own"
    return 2
  fi
  if [ -z "$fault" ] && [ -e .venv ] && ! .venv/bin/python -I -m pip --version >/dev/null 2>&1; then
    fault="its pip does not work"
  fi
  if [ -n "$fault" ] || ! [ -e .venv ]; then
    python=$(find_python) || return
    if [ -e .venv/pyvenv.cfg ] || [ -x .venv/bin ]; then
      say "rebuilding .venv: $fault"
    elif [ -n "$(ls -A .venv 2>/dev/null)" ]; then
      say ".venv is there and is no virtual environment; move it away"
      return 2
    fi
    say "creating .venv with $("$python" --version)"
    [ -d .venv ] || rm -f .venv  # a link to nothing
    "$python" -m venv --clear .venv || {
      say "could not create .venv with $python; see above"
      return 2
    }
  fi
  for lock in "$@"; do
    files+=(-r "$lock")
  done
  total=$(cat "$@" | grep -oE '^[A-Za-z0-9._-]+==' | sort -u | wc -l)
  say "installing $total packages: a minute or two, 1.3 GB (pip's own words: .venv/setup.log)"
  for lock in "$@"; do
    rm -f ".venv/.installed-$lock"
  done
  : >.venv/.installing
  watched .venv/setup.log "$total" \
    .venv/bin/python -I -m pip install --disable-pip-version-check --no-input --progress-bar off "${files[@]}" || {
    rm -f .venv/.installing  # pip came to its own end, and leaves no half of a package
    grep -iE 'error|no space' .venv/setup.log | tail -n 5 >&2
    say "installation failed; see .venv/setup.log. BUILD.md covers machines without internet"
    return 2
  }
  rm .venv/.installing
  for lock in "$@"; do
    cp "$lock" ".venv/.installed-$lock"
  done
}
