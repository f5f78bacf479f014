"""From a command line to a run folder: files, exit codes, one-line errors, resume."""

import dataclasses
import json
import signal
import subprocess
import sys
import time
from typing import NamedTuple

import numpy as np
import pytest
import toy
from matplotlib.figure import Figure
from threadpoolctl import ThreadpoolController, threadpool_info

from hw1_jax.errors import UserError
from hw1_jax.loops import Chunk
from hw1_jax.runs.checkpoint import pack_checkpoint, unpack_checkpoint
from hw1_jax.runs.experiment import Experiment
from hw1_jax.runs.files import read_result
from hw1_jax.runs.folder import RunFolder
from hw1_jax.runs.main import main, saved_config
from hw1_jax.runs.monitor import RunMonitor
from hw1_jax.runs.settings import Settings, setting
from hw1_jax.summary import Number, Summary


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
  num_epochs: int = setting(5, "steps", minimum=1)
  sizes: tuple[float, ...] = setting((1.0, 2.0), "sizes", above=0)
  loud: bool = setting(False, "louder")
  limit: int | None = setting(None, "limit", minimum=1)


class Result(NamedTuple):
  total: np.ndarray
  parts: dict[str, np.ndarray]


STOP_AT = None  # the toy sends itself a signal after this many steps
POISON_AT = None  # and reports a value that is not finite here


def run(config, monitor):
  def advance(state):
    done = int(state["done"]) + 1
    if done == STOP_AT:
      signal.raise_signal(signal.SIGTERM)
    error = f"toy: the loss is nan at epoch {done}" if done == POISON_AT else None
    total = state["total"] + np.float64(done)
    new = {"done": np.int64(done), "total": total}
    return Chunk(new, done, done >= config.num_epochs, [{"step": done}], error)

  start = {"done": np.int64(0), "total": np.zeros(3)}
  state = monitor.loop("count", start, advance, total=config.num_epochs)
  return Result(state["total"], {"a": np.arange(2.0)})


def summarize(config, result):
  table = {"t": [{"x": 1, "y": float("nan")}]}
  return Summary((Number("total", (float(result.total[0]),)),), captions={"f": "c"}, tables=table)


def draw(config, result):
  figure = Figure()
  figure.subplots().plot(result.total)
  return {"f": figure}


TOY = Experiment("toy", "A toy.", Config, Result, run, summarize, draw)


def command(tmp_path, *flags):
  main(TOY, ["toy", f"--workdir={tmp_path / 'run'}", *flags])
  return tmp_path / "run"


@pytest.fixture(autouse=True)
def keep_signal_handlers():
  kept = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)}
  yield
  for signum, handler in kept.items():
    signal.signal(signum, handler)


def test_a_run_leaves_all_of_its_files(tmp_path):
  folder = command(tmp_path)
  config = json.loads((folder / "config.json").read_text())
  assert config == {"seed": 0, "num_epochs": 5, "sizes": [1.0, 2.0], "loud": False, "limit": None}
  provenance = json.loads((folder / "provenance.json").read_text())
  assert provenance["status"] == "finished"
  assert provenance["versions"]["jax"]
  assert provenance["threads"] >= 1
  assert provenance["seconds"] > 0
  lines = (folder / "metrics.jsonl").read_text().splitlines()
  assert [json.loads(line)["step"] for line in lines] == [1, 2, 3, 4, 5]
  result = read_result(folder / "result.npz", Result)
  np.testing.assert_array_equal(result.total, [15.0] * 3)
  np.testing.assert_array_equal(result.parts["a"], [0.0, 1.0])
  summary = json.loads((folder / "summary.json").read_text())
  assert summary["numbers"][0]["values"] == [15.0]
  assert summary["tables"]["t"] == [{"x": 1, "y": None}]
  assert (folder / "tables" / "t.csv").read_text() == "x,y\n1,nan\n"
  assert (folder / "figures" / "f.svg").read_bytes().startswith(b"<?xml")
  assert (folder / "figures" / "f.png").read_bytes().startswith(b"\x89PNG")
  assert not list(folder.glob("checkpoint*"))
  assert not list(folder.glob("**/*.tmp"))


def test_run_flags_repeat_the_run(tmp_path):
  folder = command(tmp_path, "--num_epochs=7", "--sizes=3,0.5", "--loud", "--limit=2")
  again = tmp_path / "again"
  main(TOY, ["toy", f"--flagfile={folder / 'run.flags'}", f"--workdir={again}"])
  assert (again / "config.json").read_text() == (folder / "config.json").read_text()
  assert (again / "result.npz").read_bytes() == (folder / "result.npz").read_bytes()
  assert (again / "figures/f.svg").read_bytes() == (folder / "figures/f.svg").read_bytes()


def test_a_finished_run_is_not_run_again(tmp_path, capsys):
  folder = command(tmp_path)
  before = (folder / "result.npz").stat().st_mtime_ns
  command(tmp_path)
  assert "finished before" in capsys.readouterr().out
  assert (folder / "result.npz").stat().st_mtime_ns == before
  command(tmp_path, "--overwrite")
  assert (folder / "result.npz").stat().st_mtime_ns != before


def fails(capsys, tmp_path, *flags, code=2):
  with pytest.raises(SystemExit) as caught:
    command(tmp_path, *flags)
  assert caught.value.code == code
  lines = capsys.readouterr().err.strip().splitlines()
  return lines[-1]


@pytest.mark.parametrize(
  ("flag", "message"),
  [
    ("--num_epochs=0", "toy: --num_epochs: got 0, expected at least 1"),
    ("--num_epochs=many", "toy: --num_epochs: got 'many', expected a whole number"),
    ("--num_epochs=", "toy: --num_epochs: got '', expected a whole number"),
    ("--sizes=1,two", "toy: --sizes: got '1,two', expected a number"),
    ("--sizes=1,nan", "expected a finite number"),
    ("--sizes=", "expected at least one entry"),
    ("--num_epoch=5", "Unknown command line flag 'num_epoch'"),
    ("--loud=perhaps", "loud"),
    ("surplus", "got 'surplus', expected flags only"),
    ("--flagfile=/nowhere/x.flags", "/nowhere/x.flags"),
    ("--num_devices=0", "--num_devices: got 0, expected at least 1 and at most 4096"),
    ("--seed=１２x", "expected a whole number"),
  ],
)
def test_wrong_flags_are_one_line_and_exit_2(tmp_path, capsys, flag, message):
  line = fails(capsys, tmp_path, flag)
  assert message in line
  assert line.startswith("toy: ")
  assert not (tmp_path / "run").exists()


def test_other_settings_in_the_folder_are_refused_by_name(tmp_path, capsys):
  command(tmp_path)
  line = fails(capsys, tmp_path, "--num_epochs=6", "--loud")
  assert "got --num_epochs=6 --loud, expected --num_epochs=5 --loud=false" in line
  assert "--overwrite" in line


def test_a_folder_that_cannot_be_written(tmp_path, capsys):
  (tmp_path / "run").write_text("a file where the folder should be")
  line = fails(capsys, tmp_path)
  assert "cannot write" in line
  assert "--workdir" in line


def test_two_processes_on_one_folder(tmp_path, capsys):
  folder = RunFolder(tmp_path / "run")
  with folder.hold(dataclasses.asdict(Config()), overwrite=False):
    line = fails(capsys, tmp_path)
  assert "is in use by host" in line
  command(tmp_path)


def test_not_finite_keeps_what_was_recorded(tmp_path, capsys, monkeypatch):
  monkeypatch.setattr(sys.modules[__name__], "POISON_AT", 3)
  line = fails(capsys, tmp_path, code=1)
  assert "the loss is nan at epoch 3; what was recorded so far is in" in line
  assert len((tmp_path / "run/metrics.jsonl").read_text().splitlines()) == 3
  provenance = json.loads((tmp_path / "run/provenance.json").read_text())
  assert provenance["status"] == "failed"
  assert "nan at epoch 3" in provenance["message"]


@pytest.mark.parametrize("stop_at", [1, 2, 4])
def test_sigterm_saves_and_the_same_command_goes_on_to_the_same_bits(
  tmp_path, capsys, monkeypatch, stop_at
):
  whole = command(tmp_path / "whole")
  monkeypatch.setattr(sys.modules[__name__], "STOP_AT", stop_at)
  line = fails(capsys, tmp_path, code=143)
  assert "stopped by SIGTERM; the same command resumes here" in line
  assert json.loads((tmp_path / "run/provenance.json").read_text())["status"] == "interrupted"
  monkeypatch.setattr(sys.modules[__name__], "STOP_AT", None)
  folder = command(tmp_path)
  assert "resuming from" in capsys.readouterr().err
  assert (folder / "result.npz").read_bytes() == (whole / "result.npz").read_bytes()
  assert (folder / "metrics.jsonl").read_bytes() == (whole / "metrics.jsonl").read_bytes()


def interrupted_folder(tmp_path, capsys, monkeypatch):
  """A run stopped twice, so that there is a checkpoint and a previous one."""
  for stop_at in (2, 4):
    monkeypatch.setattr(sys.modules[__name__], "STOP_AT", stop_at)
    fails(capsys, tmp_path, code=143)
  monkeypatch.setattr(sys.modules[__name__], "STOP_AT", None)
  return tmp_path / "run"


@pytest.mark.parametrize(
  "damage",
  [
    lambda raw: b"",
    lambda raw: raw[:-1],
    lambda raw: raw[: len(raw) // 2],
    lambda raw: raw[:60] + bytes([raw[60] ^ 1]) + raw[61:],
    lambda raw: b"PK\x03\x04 something else",
  ],
)
def test_a_damaged_checkpoint_falls_back_to_the_previous_one(tmp_path, capsys, monkeypatch, damage):
  whole = command(tmp_path / "whole")
  folder = interrupted_folder(tmp_path, capsys, monkeypatch)
  path = folder / "checkpoint.msgpack"
  path.write_bytes(damage(path.read_bytes()))
  command(tmp_path)
  told = capsys.readouterr().err
  assert f"{path} cannot be used" in told
  assert "resuming from" in told
  assert (folder / "result.npz").read_bytes() == (whole / "result.npz").read_bytes()
  assert (folder / "metrics.jsonl").read_bytes() == (whole / "metrics.jsonl").read_bytes()


def test_both_checkpoints_damaged_starts_afresh(tmp_path, capsys, monkeypatch):
  whole = command(tmp_path / "whole")
  folder = interrupted_folder(tmp_path, capsys, monkeypatch)
  for path in folder.glob("checkpoint*"):
    path.write_bytes(b"")
  command(tmp_path)
  assert (folder / "result.npz").read_bytes() == (whole / "result.npz").read_bytes()
  assert (folder / "metrics.jsonl").read_bytes() == (whole / "metrics.jsonl").read_bytes()


@pytest.mark.parametrize("name", ["result.npz", "config.json"])
@pytest.mark.parametrize("content", [b"", b"{", b"PK\x03\x04", b"[1]"])
def test_damaged_files_are_named(tmp_path, capsys, name, content):
  folder = command(tmp_path)
  (folder / name).write_bytes(content)
  line = fails(capsys, tmp_path, "--figures_only")
  assert name in line


def test_figures_only_computes_nothing(tmp_path, monkeypatch):
  folder = command(tmp_path)
  (folder / "figures/f.svg").unlink()
  monkeypatch.setattr(sys.modules[__name__], "POISON_AT", 1)
  command(tmp_path, "--figures_only")
  assert (folder / "figures/f.svg").exists()


def test_figures_only_names_the_settings_that_it_does_not_use(tmp_path, capsys):
  command(tmp_path, "--loud")
  (tmp_path / "x.flags").write_text("--num_epochs=6\n")
  capsys.readouterr()
  command(tmp_path, "--figures_only", "--seed=0", "--noloud", f"--flagfile={tmp_path / 'x.flags'}")
  told = capsys.readouterr().out
  assert "toy: the figures show the run as it is; without effect: --num_epochs, --loud\n" in told
  command(tmp_path, "--figures_only", "--loud")
  assert "without effect" not in capsys.readouterr().out
  line = fails(capsys, tmp_path, "--figures_only", "--overwrite")
  assert line == (
    "toy: --overwrite: got True, expected false beside --figures_only, which computes nothing"
  )


@dataclasses.dataclass(frozen=True, kw_only=True)
class LaterConfig(Config):
  pace: str = setting(
    "walk", "came after the toy's first runs", choices=("walk", "run"), later=True
  )


def test_a_folder_from_before_a_setting_opens_with_its_default(tmp_path, capsys):
  folder = command(tmp_path)
  kept, words = (folder / "config.json").read_bytes(), ["toy", f"--workdir={folder}"]
  later = dataclasses.replace(TOY, config=LaterConfig)
  main(later, words)
  assert "finished before" in capsys.readouterr().out
  (folder / "figures/f.svg").unlink()
  main(later, [*words, "--figures_only"])
  assert (folder / "figures/f.svg").exists()
  assert (folder / "config.json").read_bytes() == kept
  assert saved_config(later, RunFolder(folder)).pace == "walk"
  with pytest.raises(SystemExit) as stop:
    main(later, [*words, "--pace=run"])
  assert stop.value.code == 2
  assert "got --pace=run, expected --pace=walk;" in capsys.readouterr().err
  main(later, [*words, "--pace=run", "--overwrite"])
  with pytest.raises(UserError, match="does not hold the settings of toy"):
    saved_config(TOY, RunFolder(folder))  # a setting that it does not know


def test_nothing_is_ever_unpickled(tmp_path, capsys):
  folder = command(tmp_path)
  np.savez(folder / "result.npz", total=np.array([object()], dtype=object), parts=np.zeros(1))
  line = fails(capsys, tmp_path, "--figures_only")
  assert "is damaged" in line


def test_help_lists_every_flag(capsys):
  main(TOY, ["toy", "--help"])
  text = capsys.readouterr().out
  for name in ("num_epochs", "sizes", "loud", "seed", "workdir", "overwrite", "figures_only"):
    assert f"{name}:" in text
  assert "at least 1" in text


def test_checkpoint_round_trip_is_exact():
  content = {
    "loops": {"a": {"state": {"x": np.array([1.5, np.nan], np.float32)}, "done": 3}},
    "seconds": 1.25,
    "metrics_bytes": 17,
  }
  back = unpack_checkpoint(pack_checkpoint(content))
  np.testing.assert_array_equal(back["loops"]["a"]["state"]["x"], [1.5, np.nan])
  assert back["metrics_bytes"] == 17


def test_help_into_a_closed_pipe_is_no_traceback():
  line = f"{sys.executable} -m experiments.gradient_norm --helpfull | head -1"
  done = subprocess.run(line, shell=True, capture_output=True, text=True, check=False)
  assert "Traceback" not in done.stderr


def test_many_short_loops_still_log_every_half_minute(tmp_path, monkeypatch, capfd):
  now = [1000.0]
  monkeypatch.setattr(time, "monotonic", lambda: now[0])
  monitor = RunMonitor(RunFolder(tmp_path), "toy", seconds=1e9)

  def advance(state):
    now[0] += 8.0
    done = int(state["n"]) + 1
    return Chunk({"n": np.int64(done)}, done, done == 2, [])

  for k in range(15):  # 240 seconds, no loop longer than 16
    monitor.loop(f"loop {k}", {"n": np.int64(0)}, advance, total=2)
  lines = [line for line in capfd.readouterr().err.splitlines() if "epochs" in line]
  assert len(lines) == 7  # after 32, 64, ... seconds
  assert lines[0] == "toy: loop 1: 2 of 2 epochs, at most 0 s left"


def test_an_experiment_computes_with_one_lapack_thread_whatever_the_process_has(tmp_path):
  seen = []

  def look(step):
    seen.extend(one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas")

  with ThreadpoolController().limit(limits=2, user_api="blas"):
    assert toy.command(toy.make_experiment(on_step=look), f"--workdir={tmp_path / 'run'}").code == 0
  assert set(seen) == {1}
