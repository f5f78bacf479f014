"""Experiments from Python: a result from a Config, in any thread; events; the progress bar."""

import dataclasses
import io
import json
import struct
import sys
import threading
from typing import NamedTuple

import jax
import numpy as np
import pytest
from tiny import NAMES, experiment, tiny_config, tiny_flags

from hw1_jax.errors import UserError
from hw1_jax.runs import axes, notebook, progress
from hw1_jax.runs.main import main
from hw1_jax.runs.terminal import CalmStream


def in_thread(function):
  """Returns what a function returns in another thread, where Python allows no signal handlers."""
  found = []
  thread = threading.Thread(target=lambda: found.append(function()))
  thread.start()
  thread.join()
  return found[0]


def scalars(folder):
  """Returns {(tag, step): value} from the event files in a folder (TFRecord, events)."""
  from tensorboardX.proto.event_pb2 import Event

  found = {}
  for path in folder.glob("events.out.tfevents.*"):
    raw = path.read_bytes()
    while raw:
      (size,) = struct.unpack("<Q", raw[:8])
      event = Event.FromString(raw[12 : 12 + size])
      found |= {(value.tag, event.step): value.simple_value for value in event.summary.value}
      raw = raw[12 + size + 4 :]
  return found


def test_a_config_gives_a_result_which_its_folder_gives_again(tmp_path, monkeypatch):
  pytest.importorskip("tensorboardX", reason="tensorboardX is not installed")
  monkeypatch.chdir(tmp_path)
  entry, config = experiment("gradient_norm"), tiny_config("gradient_norm")
  x64 = jax.config.jax_enable_x64
  result = in_thread(
    lambda: notebook.run_config(entry, config, workdir="mine", tensorboard=True, show=False)
  )
  assert result.loss.shape == (2, 40)
  assert jax.config.jax_enable_x64 == x64
  again = notebook.load("mine")
  assert type(again) is entry.result
  for first, second in zip(result, again):
    np.testing.assert_array_equal(first, second)
  assert notebook.load_config("mine") == config
  with pytest.raises(UserError, match="holds a run with other settings: got num_runs=3"):
    notebook.run_config(entry, dataclasses.replace(config, num_runs=3), workdir="mine")

  lines = (tmp_path / "mine" / "metrics.jsonl").read_text().splitlines()
  records = [json.loads(line) for line in lines]
  events = scalars(tmp_path / "mine" / "tensorboard")
  losses = 0
  for record in records:  # a chunk of epochs each, after which a run has its own number of them
    for m, loss in enumerate(record["loss"]):
      epoch = record["epoch"][m] if isinstance(record["epoch"], list) else record["epoch"]
      tag = f"{record['phase']}/loss/run_{m + 1}"
      assert events[tag, epoch] == pytest.approx(loss, rel=1e-6)  # float32
      losses += 1
  assert losses >= 2


class Result(NamedTuple):
  """M runs, E epochs."""

  loss: np.ndarray  # [M, E] in nats
  ends: np.ndarray  # [M, 2] both
  curve: dict[str, np.ndarray]  # 'PAIR': [E] of each pair
  total: np.ndarray  # [] of all


RESULT = Result(np.ones((2, 3)), np.ones((2, 2)), {"a": np.arange(3), "b": np.arange(4)},
                np.float64(1))  # fmt: skip


def test_the_class_of_a_result_names_its_axes():
  described = axes.describe(Result)
  assert {name: each.axes for name, each in described.items()} == {
    "loss": ("M", "E"), "ends": ("M", "2"), "curve": ("E",), "total": (),
  }  # fmt: skip
  assert described["ends"].text == "[M, 2] both"
  for name in NAMES:
    fields = axes.describe(experiment(name).result)
    assert list(fields) == list(experiment(name).result._fields)
    assert all(each.text for each in fields.values()), name


def test_a_result_is_a_dataset_with_named_axes(monkeypatch):
  with monkeypatch.context() as without:
    without.setitem(sys.modules, "xarray", None)
    with pytest.raises(UserError, match="xarray is not installed; pip install xarray"):
      axes.to_dataset(RESULT)
  pytest.importorskip("xarray", reason="xarray is not installed")
  found = axes.to_dataset(RESULT)
  assert found["loss"].dims == ("M", "E")
  assert found["ends"].dims == ("M", "ends_1")
  assert found["total"].dims == ()
  assert found["curve/a"].dims == ("E",)
  assert found["curve/b"].dims == ("curve/b_0",)  # of another size
  np.testing.assert_array_equal(found["curve/b"], np.arange(4))
  assert found.attrs["axes"].startswith("M runs")


def test_a_folder_without_a_run_is_one_line(tmp_path):
  with pytest.raises(UserError, match=r"provenance\.json is missing; run the experiment first"):
    notebook.load(tmp_path)


def test_tensorboard_without_its_package_is_one_line(tmp_path, monkeypatch, capsys):
  monkeypatch.setitem(sys.modules, "tensorboardX", None)
  name = "gradient_norm"
  with pytest.raises(SystemExit) as end:
    main(experiment(name), [name, *tiny_flags(name), f"--workdir={tmp_path}", "--tensorboard"])
  assert end.value.code == 2
  message = "expected tensorboardX to be installed; pip install tensorboardX"
  assert message in capsys.readouterr().err


def test_short_help_is_help(capsys):
  main(experiment("gradient_norm"), ["gradient_norm", "-h"])
  assert "--num_epochs" in capsys.readouterr().out


class Terminal(io.StringIO):
  """A terminal that keeps what is written."""

  def isatty(self):
    return True


def test_several_runs_on_one_terminal_draw_no_bars(monkeypatch):
  monkeypatch.setattr(sys, "stderr", terminal := Terminal())
  monkeypatch.setenv("HW1_PROGRESS", "lines")
  with progress.make_bar("sinc", "epochs", total=10, done=0) as bar:
    progress.advance(bar, 5)
  assert terminal.getvalue() == ""


@pytest.mark.parametrize("columns", [30, 120])
def test_the_bar_says_compiling_and_then_the_time_left(columns, monkeypatch):
  monkeypatch.setenv("COLUMNS", str(columns))
  terminal = Terminal()
  monkeypatch.setattr(sys, "stderr", terminal)
  with progress.make_bar("simulate_function: sinc/model_1", "epochs", total=10, done=0) as bar:
    assert isinstance(bar.fp, CalmStream) or bar.fp is not None
    bar.refresh()
    assert "compiling" in terminal.getvalue()
    bar.start_t -= 10
    progress.advance(bar, 5)
    bar.refresh()
    last = terminal.getvalue().split("\r")[-1]
  assert "50%" in last
  assert "compiling" not in last
  left = "00:10 left" if columns < progress.NARROW else "<00:10"
  assert left in last or left.replace("10", "09") in last
  assert len(last.rstrip()) <= columns or columns > progress.NARROW
