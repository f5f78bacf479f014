"""Where the arrays of an experiment hold what its log says last of a training.

`verify` compares the two: a log and arrays that come from one run agree, typed-in numbers do not.
Only what both hold; running means, which the arrays of some experiments leave out, are not here.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

Where = Callable[[Any, str, str, dict[str, int]], np.ndarray | None]
TEST = ("test_loss", "test_accuracy")


def last_values(
  experiment: str, result: Any, records: Mapping[str, Mapping[str, Any]]
) -> list[tuple[str, np.ndarray, np.ndarray]]:
  """Returns (phase and quantity, values [M] in the log, the same in the arrays) of a run's log.

  `records` are the last lines of metrics.jsonl by phase. Empty for an experiment not listed, and
  for arrays that do not hold the shape expected.
  """
  where = WHERE.get(experiment)
  found = []
  levels: dict[str, int] = {}  # numbers that phases are named by -> their place
  for phase in records:
    for number in re.findall(r"(?:batch|after) (\d+)", phase)[:1]:
      levels.setdefault(number, len(levels))
  for phase, record in records.items():
    for quantity, values in record.items():
      if where is None or not isinstance(values, list):
        continue
      try:
        array = where(result, phase, quantity, levels)
        logged = np.array(values, float)
      except (AttributeError, LookupError, TypeError, ValueError):
        continue
      if array is not None and array.shape == logged.shape:
        found.append((f"{phase}: {quantity}", logged, array))
  return found


def _minimal_ratio(result: Any, phase: str, quantity: str, levels: Any) -> np.ndarray | None:
  return result.training_loss[:, -1] if (phase, quantity) == ("train", "loss") else None


def _interpolation(result: Any, phase: str, quantity: str, levels: Any) -> np.ndarray | None:
  pair, member = phase.removesuffix(", own start").rsplit(" ", 1)
  own = phase.endswith(", own start")
  if quantity in TEST:
    return result.ends[f"{pair}{'_independent' * own}/{quantity}"][:, int(member) - 1]
  if quantity == "train_loss" and not own:
    return result.pair_train_loss[pair][:, int(member) - 1, -1]
  return None


def _sensitivity(
  result: Any, phase: str, quantity: str, levels: dict[str, int]
) -> np.ndarray | None:
  name = "last_gradient_norm" if quantity == "gradient_norm" else quantity
  if name not in (*TEST, "last_gradient_norm"):
    return None
  size = re.fullmatch(r"batch (\d+)(, \d+ steps)?", phase)
  if size is None:
    return None
  measured = result.equal_steps if size[2] else result.equal_epochs
  return measured[name][:, levels[size[1]]]


def _connectivity(
  result: Any, phase: str, quantity: str, levels: dict[str, int]
) -> np.ndarray | None:
  if quantity not in TEST:
    return None
  end = {"a": 0, "b": -1, "c": 0, "d": -1}[phase[0]]
  if phase in ("a", "b"):
    return result.between[f"straight/{quantity}"][:, end]
  return result.parted[quantity][:, levels[phase.rsplit(" ", 1)[1]], end]


def _sweep(result: Any, phase: str, quantity: str, levels: Any) -> np.ndarray | None:
  name = {"exact_train_loss": "train_loss", "exact_train_accuracy": "train_error",
          "test_loss": "test_loss", "test_accuracy": "test_error"}.get(quantity)  # fmt: skip
  if name is None:
    return None
  values = getattr(result, name)[..., -1].ravel()
  return 1 - values if name.endswith("error") else values


WHERE: dict[str, Where] = {
  "minimal_ratio": _minimal_ratio,
  "interpolation": _interpolation,
  "sensitivity": _sensitivity,
  "connectivity": _connectivity,
  "label_noise": _sweep,
  "double_descent": _sweep,
}
