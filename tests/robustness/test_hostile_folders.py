"""What is not a run's stays as it is: foreign files, links, locks, folders with odd names."""

import json
import os
import pathlib
import signal
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from toy import command, make_experiment

from hw1_jax.runs.folder import OWN
from hw1_jax.runs.lock import MARK, Lock

TOY = make_experiment()


def contents(folder):
  """Returns {path: bytes} of every file below a folder, and None for each folder."""
  return {
    str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
    for path in sorted(folder.rglob("*"))
  }


NAMES = st.sampled_from(
  [*OWN, ".lock", "figures/loss.svg", "figures/f.svg", "tables/t.csv", "notes.txt", ".x.tmp",
   ".config.json.12.tmp", "sub/provenance.json", "figures/.f.svg.7.tmp", "report.html"]
)  # fmt: skip
CONTENTS = st.one_of(
  st.binary(max_size=40),
  st.just(b'{"seed": 0, "num_steps": 6, "sizes": [1.0, 2.5], "loud": false}'),
  st.just(b'{"status": "finished", "checksums": {}}'),
)


@settings(max_examples=80, deadline=None, derandomize=True, database=None,
          suppress_health_check=list(HealthCheck))  # fmt: skip
@given(files=st.dictionaries(NAMES, CONTENTS, min_size=1, max_size=4),
       flags=st.sampled_from([(), ("--overwrite",), ("--figures_only",)]))  # fmt: skip
def test_foreign_files_are_the_same_afterwards(tmp_path_factory, files, flags):
  folder = tmp_path_factory.mktemp("foreign")
  for name, content in files.items():
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(content)
  before = contents(folder)
  outcome = command(TOY, f"--workdir={folder}", *flags)
  after = contents(folder)
  if outcome.code:
    assert outcome.code == 2
    assert after == before
  else:  # none of our names was taken: the run came beside them
    assert {name: after[name] for name in before if name != ".lock"} == {
      name: content for name, content in before.items() if name != ".lock"
    }
    assert before.get(".lock", b"") in (b"", MARK[: len(before.get(".lock", b""))])
    assert not {name.split("/")[0] for name in before} & {*OWN, "figures", "tables"}


def test_what_a_user_adds_to_a_run_outlives_its_overwriting(tmp_path):
  folder = tmp_path / "run"
  assert command(TOY, f"--workdir={folder}").code == 0
  for name in ("figures/mine.svg", "tables/mine.csv", "notes.txt", ".mine.tmp"):
    (folder / name).write_text("mine")
  assert command(TOY, f"--workdir={folder}", "--overwrite", "--seed=1").code == 0
  for name in ("figures/mine.svg", "tables/mine.csv", "notes.txt", ".mine.tmp"):
    assert (folder / name).read_text() == "mine"


def test_a_forged_list_of_files_reaches_no_other_folder(tmp_path):
  folder, outside = tmp_path / "run", tmp_path / "precious.svg"
  outside.write_text("precious")
  assert command(TOY, f"--workdir={folder}").code == 0
  path = folder / "provenance.json"
  content = json.loads(path.read_text())
  content["files"] = ["../precious.svg", str(outside), "figures/../../precious.svg"]
  path.write_text(json.dumps(content))
  assert command(TOY, f"--workdir={folder}", "--overwrite").code == 0
  assert outside.read_text() == "precious"


def test_a_lock_that_is_a_link_or_a_pipe_is_left_alone(tmp_path):
  for name in ("link", "pipe"):
    (tmp_path / name).mkdir()
  target = tmp_path / "target"
  target.write_text("precious")
  (tmp_path / "link" / ".lock").symlink_to(target)
  os.mkfifo(tmp_path / "pipe" / ".lock")
  for name in ("link", "pipe"):
    outcome = command(TOY, f"--workdir={tmp_path / name}")
    assert outcome.code == 2
    assert "is a link or a file that no run has written" in outcome.lines[-1]
  assert target.read_text() == "precious"


def test_a_lock_deleted_while_held_is_made_again_or_ends_the_run(tmp_path):
  folder = tmp_path / "run"

  def delete(step):
    if step == 2:
      (folder / ".lock").unlink()

  assert command(make_experiment(on_step=delete), f"--workdir={folder}").code == 0
  folder = tmp_path / "other"
  second = Lock(folder)

  def take(step):
    if step == 2:
      (folder / ".lock").unlink()
      second.__enter__()

  outcome = command(make_experiment(on_step=take), f"--workdir={folder}")
  second.__exit__(None, None, None)
  assert outcome.code == 2
  assert "was replaced while this run held it" in outcome.lines[-1]


def test_a_file_system_without_locks_is_named_as_that(tmp_path, monkeypatch):
  def flock(file, how):
    raise OSError(95, "Operation not supported")

  monkeypatch.setattr("fcntl.flock", flock)
  outcome = command_any_line(f"--workdir={tmp_path / 'run'}")
  assert "no locks here (Operation not supported); start no second run" in outcome


def command_any_line(*flags):
  import contextlib
  import io

  from hw1_jax.runs.main import main

  told = io.StringIO()
  with contextlib.redirect_stderr(told):
    main(TOY, ["toy", *flags])
  return told.getvalue()


def test_another_experiments_folder_is_refused(tmp_path):
  import dataclasses

  folder = tmp_path / "run"
  assert command(TOY, f"--workdir={folder}").code == 0
  copied = dataclasses.replace(TOY, name="copied")
  before = contents(folder)
  outcome = command(copied, f"--workdir={folder}")
  assert outcome.code == 2
  assert "holds a run of another experiment: got copied, expected toy" in outcome.lines[-1]
  assert contents(folder) == before


@pytest.mark.parametrize("text", ["", " ", "a\nb", "a\x1b[2Jb", "~nobody-has-this-name/x"])
@pytest.mark.parametrize("flag", ["workdir", "compilation_cache_dir"])
def test_no_file_has_such_a_name(tmp_path, monkeypatch, flag, text):
  monkeypatch.chdir(tmp_path)
  outcome = command(TOY, f"--{flag}={text}")
  assert outcome.code == 2
  assert outcome.lines[-1].startswith(f"toy: --{flag}: got ")
  assert not list(tmp_path.iterdir())


def test_a_tilde_is_the_home_folder(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  monkeypatch.setenv("HOME", str(tmp_path / "home"))
  assert command(TOY, "--workdir=~/run").code == 0
  assert (tmp_path / "home" / "run" / "result.npz").exists()
  assert not (tmp_path / "~").exists()


def test_sighup_saves_and_without_overwrite_the_command_resumes(tmp_path):
  folder = tmp_path / "run"

  def hang_up(step):
    if step == 3:
      signal.raise_signal(signal.SIGHUP)

  before = signal.getsignal(signal.SIGHUP)
  assert threading.current_thread() is threading.main_thread()
  outcome = command(make_experiment(on_step=hang_up), f"--workdir={folder}", "--overwrite")
  signal.signal(signal.SIGHUP, before)
  assert outcome.code == 129
  assert "the same command without --overwrite resumes here" in outcome.lines[-1]
  outcome = command(TOY, f"--workdir={folder}")
  signal.signal(signal.SIGHUP, before)
  assert outcome.code == 0
  assert "resuming from" in outcome.lines[0]


def test_a_run_under_other_circumstances_is_refused_or_mixed_knowingly(tmp_path, monkeypatch):
  folder = tmp_path / "run"

  def stop(step):
    if step == 3:
      signal.raise_signal(signal.SIGTERM)

  stopped = make_experiment(on_step=stop)
  assert command(stopped, f"--workdir={folder}").code == 143
  monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_enable_fast_math=true")
  before = contents(folder)
  outcome = command(TOY, f"--workdir={folder}")
  assert outcome.code == 2
  assert "XLA_FLAGS none there, --xla_cpu_enable_fast_math=true now" in outcome.lines[-1]
  assert "--accept_changes" in outcome.lines[-1]
  after = contents(folder)
  assert {k: v for k, v in after.items() if k != ".lock"} == {
    k: v for k, v in before.items() if k != ".lock"
  }
  assert command(TOY, f"--workdir={folder}", "--accept_changes").code == 0
  provenance = json.loads(pathlib.Path(folder, "provenance.json").read_text())
  assert len(provenance["changes_since_start"]) == 1


def test_a_failed_drawing_is_finished_once_it_is_drawn(tmp_path):
  folder = tmp_path / "run"

  def fail():
    raise RuntimeError("no ink")

  with pytest.raises(RuntimeError, match="no ink"):
    command(make_experiment(on_draw=fail), f"--workdir={folder}")
  assert json.loads((folder / "provenance.json").read_text())["status"] == "failed"
  assert command(TOY, f"--workdir={folder}", "--figures_only").code == 0
  assert json.loads((folder / "provenance.json").read_text())["status"] == "finished"
  assert "finished before" in command(TOY, f"--workdir={folder}").out


def test_the_command_in_provenance_can_be_pasted_back(tmp_path):
  import shlex

  folder = tmp_path / "a run; with 'odd' $HOME"
  assert command(TOY, f"--workdir={folder}").code == 0
  line = json.loads((folder / "provenance.json").read_text())["command"]
  assert shlex.split(line) == ["python", "-m", "experiments.toy", f"--workdir={folder}"]
