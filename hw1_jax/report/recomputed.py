"""What saved weights give, computed again: losses of networks, the Hessian's spectrum of 1.2.3.

Each generator yields (outcome, what was checked) lines for `verify`, and stops at a deadline: what
is left out for time is said. Multilayer perceptrons are computed by NumPy alone, on purpose: by no
code that the run itself went through.
"""

import itertools
import json
import os
import shlex
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hw1_jax.errors import UserError
from hw1_jax.report.logged import last_values
from hw1_jax.runs import weights
from hw1_jax.runs.folder import RunFolder

AGREES, DISAGREES, UNCHECKED = "agrees", "DISAGREES", "not checked"
Lines = Iterator[tuple[str, str]]

SECONDS = 12.0  # for the weights of one experiment: all nine within about a minute
LOOSE = 2e-4  # relative: a float32 mean over 10,000 losses in another order differs by about 1e-6
ACTIVATIONS = {
  "relu": lambda z: np.maximum(z, 0),
  "leaky_relu": lambda z: np.where(z > 0, z, 0.01 * z),
  "tanh": np.tanh,
}


def outcome(same: Any) -> str:
  return AGREES if bool(same) else DISAGREES


def last_records(folder: RunFolder) -> dict[str, dict[str, Any]]:
  """Returns phase -> its last record in metrics.jsonl, in their order; {} of a damaged file."""
  found: dict[str, dict[str, Any]] = {}
  try:
    for line in (folder.path / "metrics.jsonl").read_text(encoding="utf-8").splitlines():
      record = json.loads(line)
      found[str(record["phase"])] = record
  except (OSError, ValueError, KeyError, TypeError):
    return {}
  return found


def verify_curves(experiment: str, folder: RunFolder, result: Any) -> Lines:
  """Yields whether the curves in result.npz end where metrics.jsonl does."""
  same, wrong = 0, []
  records = last_records(folder)
  for place, (phase, record) in enumerate(records.items()):
    for name, values in record.items():
      curve = _curve(getattr(result, name, None), phase, place)
      if curve is None or not isinstance(values, list) or len(values) != len(curve):
        continue
      ends = np.isfinite(curve).sum(axis=1) - 1
      last = curve[np.arange(len(curve)), np.maximum(ends, 0)]
      if np.allclose(last, np.array(values, float), rtol=1e-6, atol=0, equal_nan=True):
        same += 1
      else:
        wrong.append(f"{phase}: {name}")
  for what, told, array in last_values(experiment, result, records):
    if np.allclose(told, array, rtol=LOOSE, atol=0, equal_nan=True):
      same += 1
    else:
      wrong.append(what)
  for each in wrong:
    yield DISAGREES, f"last point of the curve {each}, in result.npz and in metrics.jsonl"
  if same:
    yield AGREES, f"last points of {same} curves, in result.npz and in metrics.jsonl"
  elif not wrong:
    yield UNCHECKED, "last points of curves: none is in both result.npz and metrics.jsonl"


def _curve(field: Any, phase: str, place: int) -> np.ndarray | None:
  """Returns a phase's curves [M, E] of a field of a result, None where it has none."""
  if isinstance(field, dict):
    field = field.get(phase)
  if not isinstance(field, np.ndarray) or field.dtype.kind != "f":
    return None
  if field.ndim == 3:
    field = field[place] if place < len(field) else None
  return field if field is not None and field.ndim == 2 and field.shape[1] else None


def load_test_set(config: Any, command: Any) -> tuple[np.ndarray, np.ndarray, int]:
  """Returns test images, labels, and classes; UserError where the files are not on this machine.

  Nothing is downloaded: the files are looked for where the run's own command had them, then in
  TFDS's folder.
  """
  from hw1_jax import data

  words = shlex.split(command) if isinstance(command, str) else []
  given = dict(word[2:].split("=", 1) for word in words if word[:2] == "--" and "=" in word)
  places: dict[str, Any] = {name: given[name] for name in ("data_dir", "manual_dir")
            if given.get(name) and Path(given[name]).is_dir()}  # fmt: skip
  root = os.environ.get("TFDS_DATA_DIR") or Path.home() / "tensorflow_datasets"
  here = places or (Path(root) / "downloads" / config.dataset).is_dir()
  if config.dataset in data.IMAGE_SETS and config.dataset != "digits" and not here:
    raise UserError(f"the files of {config.dataset} are not on this machine")
  images = data.load_images(config.dataset, **places)
  images = data.subset(images, config.train_examples, config.test_examples)
  return images.test_images, images.test_labels, images.num_classes


def verify_image_weights(folder: RunFolder, config: Any, command: Any) -> Lines:
  """Yields for every training whether its weights give the test loss and accuracy on record."""
  try:
    trainings = weights.read_weights(folder.path / weights.FILE)
    images, labels, classes = load_test_set(config, command)
  except UserError as error:
    yield UNCHECKED, f"losses at the saved weights: {' '.join(str(error).split())[:160]}"
    return
  records, end = last_records(folder), time.monotonic() + SECONDS
  for name, (leaves, _) in trainings.items():
    what, told = f"{name}: test loss and accuracy at the saved weights", records.get(name, {})
    losses, hits = told.get("test_loss"), told.get("test_accuracy")
    evaluate = make_evaluate(config, leaves, images, labels, classes)
    if not isinstance(losses, list) or not isinstance(hits, list) or evaluate is None:
      yield UNCHECKED, f"{what}: " + ("a network of another kind" if losses else "none on record")
      continue
    errors, count = [0.0, 0.0], 0
    for m, expected in enumerate(zip(losses, hits)):
      if time.monotonic() > end:
        break
      found = evaluate({key: leaf[m] for key, leaf in leaves.items()})
      errors = [max(e, abs(a - b)) for e, a, b in zip(errors, found, expected)]
      count += 1
    if not count:
      yield UNCHECKED, f"{what}: left out, to stay within a minute"
      continue
    same = errors[0] <= LOOSE * max(map(abs, losses)) and errors[1] <= 1.5 / len(labels)
    of = f"{count} of {len(losses)} runs, largest differences {errors[0]:.1e} and {errors[1]:.1e}"
    yield outcome(same), f"{what}: {of}"


def make_evaluate(
  config: Any, leaves: Mapping[str, np.ndarray], images: np.ndarray, labels: np.ndarray,
  classes: int,
) -> "Evaluate | None":  # fmt: skip
  """Returns one run's parameters -> (mean loss, accuracy), None for a network it does not know."""
  if getattr(config, "loss", "cross_entropy") != "cross_entropy":
    return None
  layers = sorted({name.partition("/")[0] for name in leaves})
  dense = all(layer.startswith("dense_") for layer in layers)
  activation: Any = ACTIVATIONS.get(getattr(config, "activation", "relu"))
  if dense and activation is not None:
    inputs = images.reshape(len(images), -1).astype(np.float32) / np.float32(255)

    def by_numpy(params: Mapping[str, np.ndarray]) -> tuple[float, float]:
      values = inputs
      for layer in layers:
        values = values @ params[f"{layer}/kernel"] + params[f"{layer}/bias"]
        values = activation(values) if layer != layers[-1] else values
      return loss_and_accuracy(values.astype(np.float64), labels)

    return by_numpy
  return _convolutional(config, leaves, images, labels, classes)


def loss_and_accuracy(logits: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
  """Returns the mean cross-entropy in nats and the accuracy of logits [N, C], float64."""
  shifted = logits - logits.max(axis=1, keepdims=True)
  picked = shifted[np.arange(len(labels)), labels]
  loss = np.log(np.exp(shifted).sum(axis=1)) - picked
  return float(loss.mean()), float((logits.argmax(axis=1) == labels).mean())


Evaluate = Callable[[Mapping[str, np.ndarray]], tuple[float, float]]


def _convolutional(
  config: Any, leaves: Mapping[str, np.ndarray], images: np.ndarray, labels: np.ndarray,
  classes: int,
) -> "Evaluate | None":  # fmt: skip
  """Returns the evaluation of the CNN of the settings that has these weights, by our own code."""
  import jax

  from hw1_jax import models
  from hw1_jax.training import evaluation

  specs = getattr(config, "architectures", None) or (getattr(config, "architecture", ""),)
  for spec in filter(None, (specs,) if isinstance(specs, str) else specs):
    try:
      model = models.make_cnn(spec, classes, images.shape[1:])
    except (UserError, ValueError):  # a network of one's own
      continue
    shapes = jax.eval_shape(
      lambda model=model: models.init(model, jax.random.key(0), (1, *images.shape[1:]))
    )
    named = {jax.tree_util.keystr(path, simple=True, separator="/"): leaf.shape
             for path, leaf in jax.tree_util.tree_flatten_with_path(shapes)[0]}  # fmt: skip
    if named == {name: leaf.shape[1:] for name, leaf in leaves.items()}:
      break
  else:
    return None
  treedef, measure = jax.tree.structure(shapes), jax.jit(evaluation.make_evaluate(model))

  def by_library(params: Mapping[str, np.ndarray]) -> tuple[float, float]:
    tree = jax.tree.unflatten(treedef, [params[name] for name in named])
    found = measure(images, labels, tree)
    return float(found["loss"]), float(found["accuracy"])

  return by_library


def verify_spectra(config: Any, result: Any, points: Any) -> Lines:
  """Yields for 1.2.3 whether the saved weights give the losses and the Hessian's eigenvalues."""
  problem = points.make_problem(config, config.widths)
  look, end = points.make_look(problem), time.monotonic() + SECONDS
  losses = np.array([float(problem.loss(theta)) for theta in result.params])
  error = float(np.max(np.abs(losses - result.loss) / np.maximum(result.loss, 1e-12)))
  yield (
    outcome(error < 1e-6),
    f"losses at the saved weights, largest relative difference {error:.1e}",
  )
  done = 0
  for m in itertools.takewhile(lambda _: time.monotonic() < end, range(len(losses))):
    done = m + 1
    found = look((result.params[m], result.held[m]))["eigenvalues"]
    saved = result.eigenvalues[m]
    scale = float(np.nanmax(np.abs(saved)))
    error = float(np.nanmax(np.abs(found - saved))) / scale
    counted = [np.nanmean(np.where(np.isnan(v), np.nan, v > config.rtol * scale))
               for v in (found, saved)]  # fmt: skip
    same = error < 1e-8 and abs(counted[0] - counted[1]) <= 2 / len(saved)
    said = f"minimal ratio {counted[0]:.4f}, saved {counted[1]:.4f}"
    what = f"run {m + 1}: Hessian at the saved weights"
    yield outcome(same), f"{what}, eigenvalues within {error:.1e} of the largest; {said}"
  if done < len(losses):
    what = f"Hessians of runs {done + 1} to {len(losses)}"
    yield UNCHECKED, f"{what}: left out, to stay within a minute"
