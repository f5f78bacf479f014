"""scripts/venv.sh: a set-up that failed or was stopped succeeds later, and says what is wrong."""

import contextlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import zipfile

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
GO = """. scripts/venv.sh
ensure_venv requirements.txt || exit
.venv/bin/python -c 'import demo; print("demo", demo.VERSION)'
"""
TOOLS = "bash cat cmp cp find flock grep ls rm sleep sort tail wc"  # all that venv.sh calls


def make_wheel(folder, version):
  """Writes a wheel of one module, demo, as small as a wheel can be."""
  info = f"demo-{version}.dist-info"
  with zipfile.ZipFile(folder / f"demo-{version}-py3-none-any.whl", "w") as wheel:
    wheel.writestr("demo.py", f"VERSION = '{version}'\n")
    wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: demo\nVersion: {version}\n")
    wheel.writestr(
      f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    )
    wheel.writestr(f"{info}/RECORD", "")


@pytest.fixture(scope="session")
def fast_python(tmp_path_factory):
  """A Python whose `-m venv --clear .venv` copies one made before: pip takes long to unpack."""
  folder = tmp_path_factory.mktemp("python")
  subprocess.run([sys.executable, "-m", "venv", folder / "made"], check=True)
  (folder / "python3").write_text(f"""#!{shutil.which("bash")}
    if [ "$*" = "-m venv --clear .venv" ]; then
      {shutil.which("rm")} -rf .venv && exec {shutil.which("cp")} -r {folder / "made"} .venv
    fi
    exec {sys.executable} "$@"
  """)
  (folder / "python3").chmod(0o755)
  return folder / "python3"


@pytest.fixture
def clone(tmp_path, fast_python):
  """A folder with venv.sh, a lock of one package, and the package."""
  tree = tmp_path / "clone"
  (tree / "scripts").mkdir(parents=True)
  shutil.copy(ROOT / "scripts" / "venv.sh", tree / "scripts")
  (tree / "go").write_text(GO)
  (tree / "requirements.txt").write_text("demo==1.0\n")
  (tree / "wheels").mkdir()
  make_wheel(tree / "wheels", "1.0")
  (tree / "python3").symlink_to(fast_python)
  return tree


def environment(clone, **variables):
  own = {
    "PIP_CONFIG_FILE": os.devnull,
    "PIP_NO_INDEX": "1",
    "PIP_FIND_LINKS": str(clone / "wheels"),
  }
  kept = {k: v for k, v in os.environ.items() if not k.startswith("PIP_") and k != "PYTHON"}
  return kept | {"PYTHON": str(clone / "python3")} | own | variables


def start(clone, **variables):
  return subprocess.Popen(
    ["bash", "go"],
    cwd=clone,
    env=environment(clone, **variables),
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  )


def go(clone, **variables):
  """Returns exit code, stdout and stderr of a set-up and of a program that needs its package."""
  process = start(clone, **variables)
  out, err = process.communicate(timeout=120)
  return process.returncode, out, err


def test_the_second_time_nothing_is_done_until_the_lock_changes(clone):
  assert go(clone, PYTHON=sys.executable)[:2] == (0, "demo 1.0\n")
  assert go(clone) == (0, "demo 1.0\n", "")
  make_wheel(clone / "wheels", "2.0")
  (clone / "requirements.txt").write_text("demo==2.0\n")
  assert go(clone)[:2] == (0, "demo 2.0\n")


def without_pip(clone):  # Ctrl-C while .venv was made, or python3-venv missing
  subprocess.run([sys.executable, "-m", "venv", "--without-pip", ".venv"], cwd=clone, check=True)


def first_folders(clone):
  (clone / ".venv" / "bin").mkdir(parents=True)


def interpreter_gone(clone):
  without_pip(clone)
  (clone / ".venv" / "bin" / "python").unlink()
  (clone / ".venv" / "bin" / "python").symlink_to("/no/such/python3")


def other_version(clone):
  without_pip(clone)
  (clone / ".venv" / "bin" / "python").unlink()
  (clone / ".venv" / "bin" / "python").write_text("#!/bin/sh\necho 3.9.1 /usr\nexit 1\n")
  (clone / ".venv" / "bin" / "python").chmod(0o755)


def stopped_half_way(clone):
  assert go(clone)[0] == 0
  (clone / ".venv" / ".installing").touch()
  next(clone.glob(".venv/lib/*/site-packages/demo.py")).unlink()


@pytest.mark.parametrize(
  "damage", [without_pip, first_folders, interpreter_gone, other_version, stopped_half_way]
)
def test_a_venv_that_does_not_work_is_rebuilt(clone, damage):
  damage(clone)
  if damage is not stopped_half_way:  # what an earlier set-up wrote must not be believed
    shutil.copy(clone / "requirements.txt", clone / ".venv" / ".installed-requirements.txt")
  code, out, err = go(clone)
  assert (code, out) == (0, "demo 1.0\n"), err
  assert "rebuilding .venv" in err


def test_a_venv_of_uv_is_kept_and_compared_with_the_lock(clone):
  assert go(clone)[0] == 0
  shutil.rmtree(next(clone.glob(".venv/lib/*/site-packages/pip")))  # uv installs none
  with open(clone / ".venv" / "pyvenv.cfg", "a") as file:
    file.write("uv = 0.13.9\n")
  assert go(clone) == (0, "demo 1.0\n", "")
  (clone / "requirements.txt").write_text("demo==2.0 ; sys_platform == 'darwin'\ndemo==3.0\n")
  code, out, err = go(clone)
  assert (code, out) == (2, "")
  assert "differs from the lock: demo is 1.0, not " in err
  assert "run: uv sync --frozen" in err
  assert (clone / ".venv" / "bin" / "python").exists()


def test_a_folder_of_the_users_is_never_cleared(clone):
  (clone / ".venv").mkdir()
  (clone / ".venv" / "thesis.tex").write_text("years of work")
  code, _, err = go(clone)
  assert code == 2
  assert "is no virtual environment; move it away" in err
  assert (clone / ".venv" / "thesis.tex").read_text() == "years of work"


def tools(folder):
  """Returns a PATH without any Python: what venv.sh calls, and nothing else."""
  folder.mkdir()
  for name in TOOLS.split():
    if path := shutil.which(name):
      (folder / name).symlink_to(path)
  return str(folder)


def test_missing_venv_is_named_and_once_installed_all_works(clone, tmp_path):
  path = tools(tmp_path / "bin")
  fake = tmp_path / "bin" / "python3"
  hide = "import sys; sys.modules['ensurepip'] = None; exec(sys.argv[1])"
  fake.write_text(f'#!{shutil.which("bash")}\nexec "{sys.executable}" -I -c "{hide}" "$2"\n')
  fake.chmod(0o755)
  # bash is found before its PATH is replaced
  arguments = [shutil.which("bash"), "go"]
  variables = environment(clone, PATH=path)
  del variables["PYTHON"]
  done = subprocess.run(arguments, cwd=clone, env=variables, capture_output=True, text=True)
  minor = ".".join(map(str, sys.version_info[:2]))
  assert done.returncode == 2
  assert f"setup: python3 lacks venv; on Debian and Ubuntu: apt install python{minor}-venv" in (
    done.stderr.splitlines()
  )
  fake.unlink()
  fake.symlink_to(clone / "python3")  # apt has brought it
  done = subprocess.run(arguments, cwd=clone, env=variables, capture_output=True, text=True)
  assert (done.returncode, done.stdout) == (0, "demo 1.0\n"), done.stderr
  fake.unlink()
  shutil.rmtree(clone / ".venv")
  done = subprocess.run(arguments, cwd=clone, env=variables, capture_output=True, text=True)
  assert done.returncode == 2
  assert "no Python 3.11, 3.12 or 3.13 found" in done.stderr


OLD = "#!/bin/sh\necho is Python 2.7\n"  # what the probe prints under Python 2.7


@pytest.mark.parametrize(
  ("python", "reason"),
  [
    ("pyhton3.12", "is no command"),
    ("/usr", "is no command"),
    ("true", "is no Python"),
    ("./old", "is Python 2.7"),
  ],
)
@pytest.mark.parametrize("made", [False, True])
def test_a_wrong_python_is_named_whether_or_not_it_is_needed(clone, python, reason, made):
  (clone / "old").write_text(OLD)
  (clone / "old").chmod(0o755)
  if made:
    without_pip(clone)
  code, out, err = go(clone, PYTHON=python)
  assert (code, out) == (2, "")
  assert err == f"setup: PYTHON={python} {reason}; expected a Python 3.11, 3.12 or 3.13\n"
  assert (clone / ".venv").exists() == made


def test_another_python_than_that_of_the_venv_replaces_it(clone):
  other = shutil.which("python3", path="/usr/bin")
  probe = "import sys, ensurepip, venv; print(sys.version.split()[0], sys.base_prefix)"
  done = other and subprocess.run([other, "-c", probe], capture_output=True, text=True)
  home = f"{sys.version.split()[0]} {sys.base_prefix}"
  if not other or done.returncode or done.stdout.strip() == home or done.stdout < "3.11":
    pytest.skip("there is no second Python with venv in /usr/bin")
  assert go(clone)[0] == 0
  code, out, err = go(clone, PYTHON=other)
  assert (code, out) == (0, "demo 1.0\n")
  assert f"rebuilding .venv: it is Python {sys.version.split()[0]} and PYTHON={other} is" in err


def test_a_clone_that_cannot_be_written_is_named(clone):
  """As a user who may not write; root may write anywhere, and becomes another user here."""
  with tempfile.TemporaryDirectory() as folder:
    tree = pathlib.Path(folder) / "clone"
    shutil.copytree(clone, tree)
    for path in (pathlib.Path(folder), tree, tree / "scripts"):
      path.chmod(0o555)
    become = []
    if os.geteuid() == 0:
      become = [shutil.which("setpriv") or pytest.skip("needs setpriv"),
                "--reuid=65534", "--clear-groups"]  # fmt: skip
    variables = environment(tree)
    del variables["PYTHON"]
    arguments = [*become, "bash", "go"]
    done = subprocess.run(arguments, cwd=tree, env=variables, capture_output=True, text=True)
    pathlib.Path(folder).chmod(0o755)
    tree.chmod(0o755)
    (tree / "scripts").chmod(0o755)
  assert done.returncode == 2
  assert f"{tree} cannot be written" in done.stderr
  assert len(done.stderr.splitlines()) == 1


def test_a_failed_installation_is_told_and_repeated(clone):
  (clone / "wheels" / "demo-1.0-py3-none-any.whl").rename(clone / "away")
  for _ in range(2):
    code, out, err = go(clone)
    assert (code, out) == (2, "")
    assert "No matching distribution found for demo==1.0" in err
    assert "installation failed; see .venv/setup.log" in err
  (clone / "away").rename(clone / "wheels" / "demo-1.0-py3-none-any.whl")
  code, out, err = go(clone)
  assert (code, out) == (0, "demo 1.0\n")
  assert "rebuilding" not in err  # its Python and pip are whole


def children(pid):
  return pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_stopped_while_installing_leaves_no_pip_and_succeeds_later(clone, signum):
  with socket.create_server(("127.0.0.1", 0)) as server:  # an index that never answers
    url = f"http://127.0.0.1:{server.getsockname()[1]}/simple"
    variables = {"PIP_NO_INDEX": "0", "PIP_INDEX_URL": url, "PIP_FIND_LINKS": ""}
    process = start(clone, **variables)
    server.settimeout(60)
    connection, _ = server.accept()  # pip is asking
    with connection:
      pips = [pid for pid in children(process.pid) if b"pip" in cmdline(pid)]
      assert len(pips) == 1
      process.send_signal(signum)
      _, err = process.communicate(timeout=30)
  assert process.returncode == {signal.SIGINT: -signal.SIGINT}.get(signum, 143), err
  for _ in range(50):
    if not pathlib.Path(f"/proc/{pips[0]}").exists():
      break
    time.sleep(0.1)
  assert not pathlib.Path(f"/proc/{pips[0]}").exists()
  assert go(clone)[:2] == (0, "demo 1.0\n")


def cmdline(pid):
  with contextlib.suppress(OSError):
    return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
  return b""


@pytest.mark.skipif(not shutil.which("flock"), reason="needs flock")
def test_two_set_ups_at_once_both_succeed(clone):
  pair = [start(clone) for _ in range(2)]
  for process in pair:
    out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (0, "demo 1.0\n"), err


def test_settings_of_pip_cannot_send_packages_elsewhere(clone):
  elsewhere = clone / "elsewhere"
  hostile = {"PIP_TARGET": str(elsewhere), "PIP_USER": "1", "PYTHONHOME": "/nowhere"}
  code, out, err = go(clone, **hostile)
  assert (code, out) == (0, "demo 1.0\n"), err
  assert not elsewhere.exists()


def test_a_checkout_made_for_windows_line_ends_still_has_line_feeds(tmp_path):
  """Git's autocrlf turns text to CRLF unless .gitattributes forbids it."""
  if not (ROOT / ".git").exists():
    pytest.skip("not a git checkout")
  git = ["git", "-c", "core.autocrlf=true", "-c", "core.eol=crlf"]
  subprocess.run([*git, "init", "-q", tmp_path], check=True)
  for name in (".gitattributes", "run_all.sh", "scripts/venv.sh", "experiments/assignment.toml"):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    shutil.copy(ROOT / name, tmp_path / name)
  subprocess.run([*git, "-C", tmp_path, "add", "--all"], check=True, capture_output=True)
  for path in tmp_path.glob("**/*.sh"):
    path.unlink()
  (tmp_path / "experiments" / "assignment.toml").unlink()
  subprocess.run([*git, "-C", tmp_path, "checkout", "-q", "."], check=True)
  for name in ("run_all.sh", "scripts/venv.sh", "experiments/assignment.toml"):
    assert b"\r" not in (tmp_path / name).read_bytes(), name
