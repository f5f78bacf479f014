"""Where a path starts in the plane of its snapshots, and where it runs once units are in one order.

Two trainings number their hidden units differently, so that their ends lie apart even where they
compute alike; see `analysis.alignment`.
"""

import itertools
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from hw1_jax import analysis, pytrees
from hw1_jax.analysis import alignment

BLOCK = 65536  # columns at a time, as in `analysis.pca`


def project(points: np.ndarray, coordinates: np.ndarray, others: np.ndarray) -> np.ndarray:
  """Returns where `others` [M, P] lie in the plane of `points` [S, P], [M, K] float64.

  `coordinates` [S, K] are those of `points` by `analysis.pca`. With X the centred points, component
  k is X' c_k / (c_k' c_k), so that (y - mean)' X' c_k / (c_k' c_k) is the coordinate of y.
  """
  inner = np.zeros((len(others), len(points)))
  for start in range(0, points.shape[1], BLOCK):
    columns = points[:, start : start + BLOCK].astype(np.float64)
    mean = columns.mean(axis=0)
    inner += (others[:, start : start + BLOCK] - mean) @ (columns - mean).T
  squares = (coordinates**2).sum(axis=0)
  return inner @ coordinates / np.where(squares > 0, squares, 1.0)


class Aligned(NamedTuple):
  """The runs with their units in the first run's order; M runs, S snapshots."""

  distance: np.ndarray  # [M, M] between last weights, each pair matched by itself
  coordinates: np.ndarray  # [M, S, 2] PCA of all weights, units in the first run's order
  explained: np.ndarray  # [2]
  start: np.ndarray  # [M, 2] of the initial weights


def in_one_order(params: Any, start: np.ndarray, snapshots: np.ndarray) -> Aligned:
  """Returns distances and paths after weight matching; NaN for networks without a known spec.

  Args:
    params: tree of the last weights of all runs.
    start: [M, P] initial weights.
    snapshots: [M, S, P].
  """
  num_runs, num_snapshots, _ = snapshots.shape
  trees = [jax.tree.map(lambda leaf, m=m: np.asarray(leaf[m]), params) for m in range(num_runs)]
  try:
    spec = alignment.layer_spec(trees[0])
  except (AttributeError, IndexError, KeyError, TypeError, ValueError):  # a network of one's own
    nothing = np.full((num_runs, num_snapshots, 2), np.nan)
    distance = np.full((num_runs, num_runs), np.nan)
    return Aligned(distance, nothing, np.full(2, np.nan), nothing[:, 0])
  distance, moved = np.zeros((num_runs, num_runs)), np.copy(snapshots)
  begun, places = np.copy(start), _places(trees[0])
  for m in range(num_runs):
    for n in range(m + 1, num_runs):
      found = alignment.match_weights(trees[m], trees[n], spec)
      distance[m, n] = distance[n, m] = found.distance
      if m == 0:
        permuted = alignment.permute(places, spec, found.permutations)
        order = np.concatenate([leaf.ravel() for leaf in jax.tree.leaves(permuted)])
        moved[n], begun[n] = snapshots[n][:, order], start[n][order]
  flat = moved.reshape(-1, moved.shape[2])
  plane = analysis.pca(flat)
  coordinates = plane.coordinates.reshape(num_runs, num_snapshots, 2)
  first = project(flat, plane.coordinates, begun)
  return Aligned(distance, coordinates, plane.explained, first)


def _places(tree: Any) -> Any:
  """Returns the tree of each entry's place in the ravelled vector, int32."""
  return pytrees.unravel_like(tree)(np.arange(pytrees.size(tree), dtype=np.int32))


def starts_and_order(
  params: Any,
  start: np.ndarray,
  snapshots: np.ndarray,
  cuts: Mapping[str, slice],
  planes: Mapping[str, analysis.Projection],
) -> dict[str, dict[str, np.ndarray]]:
  """Returns a result's entries `starts` and `aligned`.

  Args:
    params, start, snapshots: as for `in_one_order`.
    cuts: name -> the columns of the vector that its plane is of.
    planes: name -> the snapshots' projection, all runs together.
  """
  flat = snapshots.reshape(-1, snapshots.shape[2])
  starts = {
    name: project(flat[:, cut], planes[name].coordinates, start[:, cut])
    for name, cut in cuts.items()
  }
  aligned = in_one_order(params, start, snapshots)._asdict()
  return {"starts": {**starts, "aligned": aligned.pop("start")}, "aligned": aligned}


def distances(points: np.ndarray) -> np.ndarray:
  """Returns the 2-norms [M, M] between the rows of `points` [M, P]."""
  return np.stack([np.linalg.norm(points - row, axis=1, ord=2) for row in points])


def layer_norms(start: np.ndarray, snapshots: np.ndarray, borders: np.ndarray) -> np.ndarray:
  """Returns the 2-norm of each layer's weights and biases at start and snapshots, [M, S + 1, L].

  `borders` [L + 1]: where layers begin in the vector, and its length.
  """
  norms = []
  for a, b in itertools.pairwise(borders):
    both = np.concatenate([start[:, None, a:b], snapshots[:, :, a:b]], axis=1, dtype=np.float64)
    norms.append(np.linalg.norm(both, axis=2))
  return np.stack(norms, axis=2)
