"""Members in rounds: some of M trainings advance by one epoch, the others wait.

All functions take and return arrays on the host; `rows` [R] says which members a round is about.
"""

from typing import Any

import jax
import numpy as np

from hw1_jax import pytrees
from hw1_jax.training.state import PyTree


def choose(epochs: np.ndarray, width: int, num_epochs: int) -> tuple[np.ndarray, np.ndarray]:
  """Returns (rows [R], filled [width]) of the next round: the members that have done least.

  A last round with fewer members repeats one of them in `filled`: the same program, the same
  values. `epochs` [M] counts what each member has done.
  """
  order = np.argsort(epochs, kind="stable")[:width]
  rows = np.sort(order[epochs[order] < num_epochs])
  return rows, np.concatenate([rows, np.repeat(rows[-1:], width - len(rows))])


def _are_all(rows: np.ndarray, tree: PyTree) -> bool:
  return np.array_equal(rows, np.arange(jax.tree.leaves(tree)[0].shape[0]))


def take(tree: PyTree, rows: np.ndarray) -> PyTree:
  """Returns members `rows` [R] of leaves [M, ...]."""
  return tree if _are_all(rows, tree) else pytrees.take(tree, rows)


def put(tree: PyTree, rows: np.ndarray, new: PyTree) -> PyTree:
  """Returns leaves [M, ...] with members `rows` [R] replaced by those of `new`."""
  if _are_all(rows, tree):
    return new

  def replaced(leaf: Any, part: np.ndarray) -> np.ndarray:
    leaf = np.array(leaf)
    leaf[rows] = part
    return leaf

  return jax.tree.map(replaced, tree, jax.device_get(new))


def record(
  history: dict[str, np.ndarray],
  measured: dict[str, np.ndarray],
  rows: np.ndarray,
  epochs: np.ndarray,
  num_epochs: int,
) -> dict[str, np.ndarray]:
  """Returns the history [M, E] of each quantity with a round's values [R] in column `epochs`."""
  new = {}
  for key, values in measured.items():
    blank = np.full((len(epochs), num_epochs), np.nan, values.dtype)
    new[key] = history.get(key, blank).copy()
    new[key][rows, epochs[rows]] = values
  return new


def keep(
  snapshots: dict[str, np.ndarray],
  vectors: np.ndarray,
  rows: np.ndarray,
  after: np.ndarray,
  due: np.ndarray,
) -> dict[str, np.ndarray]:
  """Returns the snapshots, epoch -> [M, K, P], with those of a round: `vectors` [R, K, P].

  `after` [M] are the epochs done now; `due` [R] says whose snapshots are to be kept.
  """
  new = dict(snapshots)
  for epoch in np.unique(after[rows][due]):
    blank = np.zeros((len(after), *vectors.shape[1:]), vectors.dtype)
    kept, these = new.get(str(epoch), blank).copy(), due & (after[rows] == epoch)
    kept[rows[these]] = vectors[these]
    new[str(epoch)] = kept
  return new


def in_order(snapshots: dict[str, np.ndarray]) -> np.ndarray | None:
  """Returns all snapshots of `keep` by epoch, [M, S, P]; None where there are none."""
  if not snapshots:
    return None
  return np.concatenate([snapshots[key] for key in sorted(snapshots, key=int)], axis=1)


def find_error(
  name: str, measured: dict[str, np.ndarray], rows: np.ndarray, epochs: np.ndarray
) -> str | None:
  """Returns a sentence on the first loss of a round that is not finite, or None."""
  losses = [key for key in measured if key.endswith("loss")]
  for key in sorted(losses, key="train_loss".__ne__):  # the training loss first: it is the cause
    values = measured[key]
    finite = np.isfinite(values)
    if not finite.all():
      row = int(np.argmin(finite))
      words = key.replace("train", "training").replace("_", " ")
      where = f"epoch {epochs[rows[row]] + 1}"
      return f"{name}, run {rows[row] + 1}: the {words} is {values[row]} at {where}"
  return None
