"""Children of run-all: several at a time, their exit codes, and every signal to all of them."""

import contextlib
import errno
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from hw1_jax.command import catalog
from hw1_jax.command.plan import Plan
from hw1_jax.command.run_all import LONGEST, _run
from hw1_jax.runs.terminal import PROGRESS

ROOT = pathlib.Path(__file__).resolve().parents[2]
KINDS = ["forked", "new"]  # a process with a second thread is not forked

# `python -m program KIND WORK ...` runs WORK of each in a child, and prints its name and code.
PROGRAM = """
import os, signal, sys, threading, time
from hw1_jax.command.children import Children, stop_with

def say(*words):
  print(" ".join(map(str, words)) + "\\n", end="", flush=True)  # as one write

def told(signum, frame):
  patient = "patient" in sys.argv  # as a run that saves its state first
  if patient:
    signal.signal(signum, signal.SIG_DFL)
  say(os.getpid(), signal.Signals(signum).name)
  if not patient:
    raise SystemExit(128 + signum)

def main(arguments):
  if arguments[0] == "child":
    parent, work, kind = arguments[1:]
    stop_with(int(parent))
    assert os.getpgid(0) == os.getpid() and os.read(0, 1) == b""
    assert (sys.argv[1] == kind) == (kind == "forked")
    if work in ("sleep", "patient"):
      for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, told)
      say(os.getpid(), "begun")
      for _ in range(1200):  # a signal just before one long sleep would be handled after it
        time.sleep(0.05)
    if work == "die":
      os.kill(os.getpid(), signal.SIGKILL)
    if work == "raise":
      raise ValueError("broken")
    return int(work) if work.isdecimal() else sys.exit(work)
  kind, *works = arguments
  if kind == "new":
    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
  children = Children("program", main)
  with children.listening():
    for work in works:
      children.start(work, [work, kind])
    while children.running:
      say(*children.wait())
  return children.code

if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def begin(tmp_path):
  """Returns a function that starts the program above; what still runs at the end is killed."""
  (tmp_path / "program.py").write_text(PROGRAM)
  begun = []

  def begin(*arguments, before=()):
    process = subprocess.Popen(
      [*before, sys.executable, "-m", "program", *arguments],
      cwd=tmp_path,
      env={**os.environ, "PYTHONPATH": str(ROOT)},
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE,
      text=True,
      start_new_session=True,
    )
    begun.append(process)
    return process

  yield begin
  for process in begun:
    with contextlib.suppress(ProcessLookupError):
      process.kill()
    process.wait()
    process.stdout.close()
    process.stderr.close()


def begun_children(process, number=2):
  """Returns the process ids of children that sleep."""
  return [int(process.stdout.readline().removesuffix(" begun\n")) for _ in range(number)]


def state(pid):
  try:
    return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
  except FileNotFoundError:
    return "gone"


def wait_for(condition):
  for _ in range(200):
    if condition():
      return
    time.sleep(0.05)
  pytest.fail("waited for 10 s")


@pytest.mark.parametrize("kind", KINDS)
def test_each_child_ends_with_its_own_exit_code(begin, kind):
  out, err = begin(kind, "0", "3", "die", "raise", "text").communicate(timeout=30)
  assert sorted(out.splitlines()) == ["0 0", "3 3", "die 137", "raise 1", "text 1"]
  assert "ValueError: broken" in err
  assert "AssertionError" not in err


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_reaches_every_child_once(begin, kind, signum):
  process = begin(kind, "sleep", "sleep")
  pids = begun_children(process)
  process.send_signal(signum)
  out, err = process.communicate(timeout=30)
  told = [line for line in out.splitlines() if "SIG" in line]
  assert sorted(told) == sorted(f"{pid} {signum.name}" for pid in pids)
  assert out.splitlines().count(f"sleep {128 + signum}") == 2
  assert (process.returncode, err) == (128 + signum, "")


@pytest.mark.parametrize("kind", KINDS)
def test_a_second_ctrl_c_stops_at_once(begin, kind):
  process = begin(kind, "patient", "patient")
  begun_children(process)
  for _ in range(2):
    process.send_signal(signal.SIGINT)
    told = [process.stdout.readline() for _ in range(2)]
  assert told == ["patient 130\n", "patient 130\n"]
  assert process.wait(timeout=30) == 130


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("kind", KINDS)
def test_a_killed_parent_stops_every_child(begin, kind):
  process = begin(kind, "sleep", "sleep")
  pids = begun_children(process)
  process.kill()
  wait_for(lambda: all(state(pid) in ("Z", "gone") for pid in pids))
  assert sorted(process.stdout.read().splitlines()) == sorted(f"{pid} SIGTERM" for pid in pids)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_ctrl_z_pauses_every_child_and_fg_lets_all_go_on(begin):
  process = begin("forked", "sleep", "sleep")
  everyone = [process.pid, *begun_children(process)]
  process.send_signal(signal.SIGTSTP)
  wait_for(lambda: all(state(pid) == "T" for pid in everyone))
  process.send_signal(signal.SIGCONT)
  wait_for(lambda: not any(state(pid) == "T" for pid in everyone))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_what_is_ignored_stays_ignored_in_every_child(begin):
  nohup = ["sh", "-c", "trap '' HUP; exec \"$@\"", "sh"]
  process = begin("forked", "sleep", before=nohup)
  (child,) = begun_children(process, 1)
  for pid in (process.pid, child):
    os.kill(pid, signal.SIGHUP)
  process.terminate()
  out, _ = process.communicate(timeout=30)
  assert out.splitlines() == [f"{child} SIGTERM", "sleep 143"]


class Scripted:
  """Children that end in the order and with the codes of a script."""

  def __init__(self, *ends):
    self.ends, self.running, self.code, self.log = list(ends), {}, 0, []

  def start(self, name, arguments):
    self.running[len(self.log)] = name
    self.log.append(f"{name} begins")
    assert arguments == [name, f"--seed={name}"]

  def wait(self):
    name, code = self.ends.pop(0)
    self.running = {pid: other for pid, other in self.running.items() if other != name}
    self.log.append(f"{name} ends")
    return name, code

  def stop(self, signum):
    self.code = 128 + signum
    self.log.append(f"stop by {signum}")


def plan(jobs, names="abc"):
  commands = {name: [f"--seed={name}"] for name in names}
  return Plan("quick", pathlib.Path(), commands, jobs, (), help=False)


@pytest.fixture(autouse=True)
def own_environment(monkeypatch):
  monkeypatch.setenv(PROGRESS, "")


@pytest.mark.parametrize(
  ("jobs", "ends", "log"),
  [
    (1, "abc", "a begins, a ends, b begins, b ends, c begins, c ends"),
    (2, "bac", "a begins, b begins, b ends, c begins, a ends, c ends"),
    (9, "cba", "a begins, b begins, c begins, c ends, b ends, a ends"),
  ],
)
def test_the_next_begins_when_one_of_n_ends(jobs, ends, log, capsys):
  children = Scripted(*((name, 0) for name in ends))
  assert _run(plan(jobs), children) == []
  assert ", ".join(children.log) == log
  assert capsys.readouterr().err.splitlines() == ["[1 of 3] a", "[2 of 3] b", "[3 of 3] c"]
  assert os.environ[PROGRESS] == ("lines" if jobs > 1 else "")


def test_several_at_a_time_begin_with_the_longest_and_one_at_a_time_keeps_the_order(capsys):
  names = ("gradient_norm", "train_on_task", "sensitivity", "flatness")
  by_length = ("flatness", "train_on_task", "gradient_norm", "sensitivity")
  for jobs, expected in ((1, names), (2, by_length)):
    children = Scripted(*((name, 0) for name in expected))
    assert _run(plan(jobs, names), children) == []
    begun = [line.split("] ")[1] for line in capsys.readouterr().err.splitlines()]
    assert tuple(begun) == expected
  assert set(LONGEST) < set(catalog.names())


def test_failures_stop_nobody_and_are_told_in_the_order_of_the_plan():
  children = Scripted(("b", 2), ("a", 137), ("c", 0))
  assert _run(plan(2), children) == ["a", "b"]
  assert children.log[-1] == "c ends"


def test_one_that_was_killed_is_told_with_the_signals_name(capsys):
  children = Scripted(("a", 137), ("b", 139), ("c", 1), ("d", 255))  # 255: no signal has number 127
  assert _run(plan(1, "abcd"), children) == ["a", "b", "c", "d"]
  told = [line for line in capsys.readouterr().err.splitlines() if "ended by" in line]
  assert [line.split(": ", 1)[1].partition(";")[0] for line in told] == [
    "a was ended by SIGKILL", "b was ended by SIGSEGV"]  # fmt: skip


def test_a_stderr_on_a_full_disk_stops_nothing(monkeypatch):
  class Full:
    def write(self, text):
      raise OSError(errno.ENOSPC, "No space left on device")

    flush = write

  monkeypatch.setattr(sys, "stderr", Full())
  children = Scripted(("a", 0), ("b", 137), ("c", 0))
  assert _run(plan(1), children) == ["b"]
  assert children.log[-1] == "c ends"


def test_one_that_is_interrupted_stops_the_others_and_none_begins():
  children = Scripted(("b", 143), ("a", 143))
  assert _run(plan(2), children) == []
  assert children.log == ["a begins", "b begins", "b ends", "stop by 15", "a ends"]
  assert children.code == 143


def test_a_failure_beside_an_interruption_begins_nothing():
  children = Scripted(("a", 130), ("b", 1))
  _run(plan(2), children)
  assert children.code == 130
  assert "c begins" not in children.log
