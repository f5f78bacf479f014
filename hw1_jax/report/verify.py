"""Checks a folder of runs by what can be recomputed within a minute, line by line.

    python -m hw1_jax.report results/quick --verify

Files against their checksums, settings against the report's, the summary against the arrays it was
computed from, the curves' last points against the log, and what saved weights give: predictions,
test losses, Hessians. What would need the training itself is named as not checked. A reader of a
handed-in folder decides on these lines.
"""

import dataclasses
import importlib
import itertools
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hw1_jax.errors import UserError
from hw1_jax.report.assignment import package_of
from hw1_jax.report.reading import CHECKED, Run, collect
from hw1_jax.report.recomputed import (
  ACTIVATIONS,
  AGREES,
  DISAGREES,
  UNCHECKED,
  outcome,
  verify_curves,
  verify_image_weights,
  verify_spectra,
)
from hw1_jax.report.settings import plain, profile_flags
from hw1_jax.runs import files
from hw1_jax.runs.folder import RunFolder


class Check(NamedTuple):
  """One line of what was checked."""

  experiment: str
  outcome: str  # AGREES, DISAGREES or UNCHECKED
  what: str


def verify(profile_dir: Path) -> list[Check]:
  """Returns every check of a folder of runs. Raises OSError without the folder."""
  found = []
  for section in collect(profile_dir):
    for run in section.runs:
      if run.status == "missing":
        continue
      name = section.topic.experiment
      found += [Check(run.folder, *line) for line in _verify_run(name, run, profile_dir)]
  return found


def _verify_run(name: str, run: Run, profile_dir: Path) -> Iterator[tuple[str, str]]:
  folder = RunFolder(profile_dir / run.folder)
  finished = run.status == "finished"
  yield outcome(finished), f"status: {run.status}, expected finished"
  sums = run.provenance.get("checksums")
  for file in CHECKED:
    expected = sums.get(file) if isinstance(sums, dict) else None
    if expected is None or not (folder.path / file).is_file():
      yield UNCHECKED, f"{file}: no such file, or no checksum of it"
    else:
      same = files.checksum(folder.path / file) == expected
      yield outcome(same), f"{file}: SHA-256 as in provenance.json"
  yield from _verify_settings(name, run, profile_dir.absolute().name)
  yield from _verify_arrays(name, folder, run.provenance.get("command"))
  yield UNCHECKED, "the training itself: repeat the command in provenance.json"


def _verify_settings(name: str, run: Run, profile: str) -> Iterator[tuple[str, str]]:
  expected = profile_flags(profile, name)
  if not expected:
    yield UNCHECKED, f"settings: there is no flagfile of a profile {profile!r}"
    return
  wrong = [
    f"{setting}: {run.config.get(setting)}, expected {value}"
    for setting, value in expected.items()
    if setting in run.config and plain(run.config[setting]) != plain(value)
  ]
  for line in wrong:
    yield DISAGREES, f"setting {line} as in the profile {profile}"
  if not wrong:
    yield AGREES, f"{len(expected)} settings as in the profile {profile}"


def _verify_arrays(name: str, folder: RunFolder, command: Any) -> Iterator[tuple[str, str]]:
  """Yields the checks that need result.npz: the summary computed again, and saved networks."""
  if not (folder.path / "result.npz").is_file():
    yield UNCHECKED, "summary and networks: there is no result.npz"
    return
  import jax  # which takes seconds

  from hw1_jax.runs.main import saved_config

  try:
    experiment = importlib.import_module(package_of(name)).EXPERIMENT
    config = saved_config(experiment, folder)
    result = files.read_result(folder.path / "result.npz", experiment.result)
    with jax.enable_x64(experiment.x64):
      again = files.jsonable(dataclasses.asdict(experiment.summarize(config, result)))
    saved = files.read_json(folder.path / "summary.json")
  except (UserError, ArithmeticError, LookupError, TypeError, ValueError, AttributeError) as error:
    yield UNCHECKED, f"summary and networks: {' '.join(str(error).split())[:200]}"
    return
  for part in ("numbers", "claims", "tables"):
    told = completed(saved.get(part), again[part]) if isinstance(saved, dict) else None
    same = close(without_prose(told), without_prose(again[part]))
    yield outcome(same), f"{part} of summary.json, computed again from result.npz"
  yield from verify_curves(name, folder, result)
  if name == "simulate_function":
    yield from _verify_networks(config, result)
  if name == "minimal_ratio":
    points = importlib.import_module(f"{package_of(name)}.points")
    with jax.enable_x64(True):
      yield from verify_spectra(config, result, points)
  if experiment.uses_images:
    yield from verify_image_weights(folder, config, command)


def completed(saved: Any, again: Any) -> Any:
  """Returns claims of a summary with what older summaries do not hold, taken from `again`."""
  if not isinstance(saved, list) or len(saved) != len(again):
    return saved
  return [
    {key: other[key] for key in ("resolution", "equality") if key in other} | entry
    if isinstance(entry, dict) and isinstance(other, dict) else entry
    for entry, other in zip(saved, again)
  ]  # fmt: skip


def without_prose(entries: Any) -> Any:
  """Returns numbers or claims without their sentences, whose wording may change with the code."""
  if not isinstance(entries, list):
    return entries
  return [
    {key: value for key, value in entry.items() if key not in ("evidence", "note", "text")}
    if isinstance(entry, dict) else entry
    for entry in entries
  ]  # fmt: skip


def close(one: Any, other: Any) -> bool:
  """Returns whether two JSON values are equal, numbers to 1e-6 of their size.

  Summaries are float64 of float32 arrays; another machine's sums differ in the last digits.
  """
  if isinstance(one, bool) or isinstance(other, bool):
    return one is other
  if isinstance(one, int | float) and isinstance(other, int | float):
    return math.isclose(one, other, rel_tol=1e-6, abs_tol=1e-9)
  if isinstance(one, dict) and isinstance(other, dict):
    return one.keys() == other.keys() and all(close(one[key], other[key]) for key in one)
  if isinstance(one, list | tuple) and isinstance(other, list | tuple):
    return len(one) == len(other) and all(map(close, one, other))
  return bool(one == other)


def _verify_networks(config: Any, result: Any) -> Iterator[tuple[str, str]]:
  """Yields whether saved weights give the saved predictions, by NumPy alone."""
  activation = ACTIVATIONS.get(config.activation)
  for target in config.targets:
    for i, spec in enumerate(config.widths):
      key = f"{target}/model_{i + 1}"
      what = f"{key}: predictions of the saved weights"
      if activation is None or not all(part.isdigit() for part in spec.split("-")):
        yield UNCHECKED, what
        continue
      widths = [1, *map(int, spec.split("-")), 1]
      outputs = np.stack(
        [forward(row, widths, result.x, activation) for row in result.final_params[key]]
      )
      error = float(np.abs(outputs - result.prediction[key]).max())
      yield outcome(error < 1e-4), f"{what}, largest difference {error:.1e}"


def forward(params: np.ndarray, widths: list[int], x: np.ndarray, activation: Any) -> np.ndarray:
  """Returns the outputs [N] of an MLP at x [N]; params [P]: each layer's biases, then weights."""
  values, start = np.asarray(x, float).reshape(-1, 1), 0
  for layer, (rows, columns) in enumerate(itertools.pairwise(widths)):
    bias = params[start : start + columns].astype(float)
    start += columns
    kernel = params[start : start + rows * columns].astype(float).reshape(rows, columns)
    start += rows * columns
    values = values @ kernel + bias
    values = activation(values) if layer < len(widths) - 2 else values
  if start != len(params):
    raise ValueError(f"params: got {len(params)} numbers, expected {start} for {widths}")
  return values[:, 0]
