"""Every experiment: its flagfiles, and a tiny run, twice, with equal bits, summary and figures."""

import contextlib
import dataclasses
import json
import pathlib

import jax
import numpy as np
import pytest
from matplotlib.figure import Figure
from tiny import NAMES, experiment, tiny_config

from hw1_jax import data
from hw1_jax.errors import UserError
from hw1_jax.loops import Monitor
from hw1_jax.report import judged
from hw1_jax.report.assignment import topic_of
from hw1_jax.runs import flags
from hw1_jax.runs.checkpoint import require_same_arrays
from hw1_jax.runs.files import read_result, write_json, write_result
from hw1_jax.runs.folder import RunFolder
from hw1_jax.runs.monitor import RunMonitor
from hw1_jax.summary import VERDICTS

ROOT = pathlib.Path(__file__).resolve().parents[2]
FLAGS = ROOT / "experiments" / "flags"


def test_every_package_is_in_the_registry_and_every_entry_has_a_package():
  packages = {path.parent.name for path in (ROOT / "experiments").glob("*/run.py")}
  assert sorted(packages) == sorted(NAMES)
  for name in NAMES:
    assert experiment(name).name == name
    files = {path.name for path in (ROOT / "experiments" / name).glob("*.py")}
    assert {"__init__.py", "__main__.py", "run.py", "findings.py", "figures.py"} <= files


@pytest.mark.parametrize(
  "path", sorted(FLAGS.glob("*/*.flags")), ids=lambda p: f"{p.parent.name}-{p.stem}"
)
def test_every_flagfile_builds_its_config(path, monkeypatch):
  monkeypatch.chdir(ROOT)
  name = path.stem
  entry = experiment(name)
  files = [path]
  below = FLAGS / "long_report" / path.name
  if path.parent.name == "quick" and below.exists():
    files = [below, path]
  for chosen in (files, files[:1]):
    config, options = flags.parse(entry, ["x", *[f"--flagfile={file}" for file in chosen]])
    assert isinstance(config, entry.config)
    assert options.workdir == pathlib.Path("results", chosen[-1].parent.name, name)
    expected = "short" if chosen[-1].parent.name == "short_report" else "long"
    assert config.report == expected


@pytest.mark.parametrize("path", sorted(FLAGS.glob("long_report/*.flags")), ids=lambda p: p.stem)
def test_every_long_flagfile_has_a_quick_overlay(path):
  assert (FLAGS / "quick" / path.name).exists()


def test_quick_overlays_need_no_download():
  for path in FLAGS.glob("quick/*.flags"):
    entry = experiment(path.stem)
    assert ("--dataset=digits" in path.read_text().splitlines()) == entry.uses_images


@pytest.mark.parametrize("name", NAMES)
def test_a_tiny_run_goes_on_to_the_same_bits_and_can_be_shown(name, tmp_path, monkeypatch):
  """One run serves as the whole one, as the one that is shown, and as the other seed's."""
  entry, config = experiment(name), tiny_config(name)
  inputs = inputs_of(entry, config)
  folders = [RunFolder(tmp_path / part) for part in ("whole", "parts")]
  for folder in folders:
    folder.path.mkdir()
  with jax.enable_x64(entry.x64):  # as `main` sets it
    result = entry.run(*inputs, ShapesStay(folders[0], name, seconds=0))
    resumed = run_killed_twice(entry, inputs, folders[1], monkeypatch)
    shown = entry.run(*inputs, RunMonitor(folders[0], name, seconds=0))  # every loop was finished
    for folder, outcome in zip(folders, (result, resumed)):
      write_result(folder.path / "result.npz", outcome)
    check_same_bits(*folders)
    write_result(tmp_path / "shown.npz", shown)  # the order of its arrays, too
    assert (tmp_path / "shown.npz").read_bytes() == (folders[0].path / "result.npz").read_bytes()
    check_shown(entry, config, read_result(folders[0].path / "result.npz", entry.result), tmp_path)
    if name in ("simulate_function", "random_labels", "minimal_ratio"):
      other = (dataclasses.replace(config, seed=1), *inputs[1:])
      assert runs_differ(result, entry.run(*other, Monitor()))


def inputs_of(entry, config):
  if not entry.uses_images:
    return (config,)
  images = data.load_images(config.dataset)
  return config, data.subset(images, config.train_examples, config.test_examples)


class ShapesStay(RunMonitor):
  """Fails where a loop's arrays change shape or type: the next attempt would refuse its state."""

  def loop(self, name, state, advance, **options):
    def checked(now):
      chunk = advance(now)
      require_same_arrays(state, chunk.state)
      return chunk

    return super().loop(name, state, checked, **options)


class Killed(BaseException):
  """Stands for a SIGKILL right after a checkpoint."""


def run_killed_twice(entry, inputs, folder, monkeypatch):
  """Returns the result of a run that was killed after one checkpoint, then after two more."""

  def attempt(saves_allowed):
    monitor = RunMonitor(folder, entry.name, seconds=0)
    save = monitor.save

    def save_and_count():
      save()
      nonlocal saves_allowed
      saves_allowed -= 1
      if saves_allowed == 0:
        raise Killed

    monkeypatch.setattr(monitor, "save", save_and_count)
    return entry.run(*inputs, monitor)

  with pytest.raises(Killed):
    attempt(1)
  with contextlib.suppress(Killed):  # a run of few chunks may be through before
    attempt(2)
  return attempt(-1)


def check_same_bits(whole, parts):
  for file in ("result.npz", "metrics.jsonl"):
    assert (whole.path / file).read_bytes() == (parts.path / file).read_bytes(), file


def check_shown(entry, config, result, tmp_path):
  """A result that was read back has a summary that JSON can hold, and figures with titled axes."""
  summary = entry.summarize(config, result)
  write_json(tmp_path / "summary.json", dataclasses.asdict(summary))
  content = json.loads((tmp_path / "summary.json").read_text())
  assert content["numbers"]
  assert content["findings"]
  assert 1 <= len(judged.sentences(content["answer"])) <= 2
  assert any(character.isdigit() for character in content["answer"])
  for claim in content["claims"]:
    assert claim["verdict"] in VERDICTS
    assert claim["evidence"]
  figures = entry.draw(config, result)
  assert figures
  assert set(content["captions"]) == set(figures)
  topic = topic_of(entry.name)
  assert {topic.figure, *topic.figures} <= set(figures)
  for caption in content["captions"].values():
    assert judged.first_sentence(caption).endswith(".")
    assert len(caption.split()) < 160
  for name, figure in figures.items():
    assert isinstance(figure, Figure), name
    for axes in figure.axes:
      if axes.has_data():
        assert axes.get_xlabel() or axes.get_ylabel(), name
  for rows in content["tables"].values():
    assert len({tuple(row) for row in rows}) == 1  # one header for all rows
    for word in ("run", "pair", "time"):  # the reports call runs times; arrays count from 0
      counted = {row[word] for row in rows if isinstance(row.get(word), int)}
      assert counted == set(range(1, len(counted) + 1)), word


def runs_differ(first, second):
  for a, b in zip(first, second):
    pairs = [(a[k], b[k]) for k in a] if isinstance(a, dict) else [(a, b)]
    for x, y in pairs:
      x, y = np.asarray(x), np.asarray(y)
      if x.shape != y.shape or not np.array_equal(x, y, equal_nan=x.dtype.kind == "f"):
        return True
  return False


@pytest.mark.parametrize("name", NAMES)
def test_bad_settings_are_setting_errors(name):
  config = experiment(name).config
  fields = {field.name for field in dataclasses.fields(config)}
  for field, value in (("seed", -1), ("num_runs", 0), ("num_epochs", 0)):
    if field not in fields:
      assert name == "flatness"  # trains to a loss, not for epochs, each setting once
      continue
    with pytest.raises(UserError, match=f"^{field}: "):
      config(**{field: value})


def test_more_lanczos_steps_than_parameters_are_refused_before_anything_is_trained():
  entry = experiment("hessian_spectrum")
  config = dataclasses.replace(tiny_config("hessian_spectrum"), widths="1", num_steps=1000)
  with pytest.raises(UserError, match="num_steps: got 1000, expected at most 805, the network's"):
    entry.run(*inputs_of(entry, config), Monitor())
