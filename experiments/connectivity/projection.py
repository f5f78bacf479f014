"""The paths of a pair's two trainings in two principal components, before and after alignment."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hw1_jax import analysis, pytrees
from hw1_jax.analysis import alignment
from hw1_jax.training import ImageResult


def project(
  one: ImageResult, other: ImageResult, permutations: dict[str, np.ndarray]
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
  """Returns (paths [2, S, 2], explained [2]) of member 0's, by 'before' and 'after'.

  After: every snapshot of the second one in the order of units that aligns its last. Initial
  weights are the first snapshot.
  """
  vectors, unravel = [], pytrees.ravel(pytrees.member(one.params, 0))[1]
  for trained in (one, other):
    assert trained.snapshots is not None
    start = np.asarray(pytrees.ravel(pytrees.member(trained.initial_params, 0))[0])
    vectors.append(np.concatenate([start[None], trained.snapshots[0]]))
  first, second = vectors
  spec = alignment.layer_spec(pytrees.member(one.params, 0))

  def permuted(vector: np.ndarray) -> np.ndarray:
    tree: Any = jax.tree.map(np.asarray, unravel(jnp.asarray(vector)))
    return np.asarray(pytrees.ravel(alignment.permute(tree, spec, permutations))[0])

  paths, explained = {}, {}
  for name, moved in (("before", second), ("after", np.stack([permuted(v) for v in second]))):
    found = analysis.pca(np.concatenate([first, moved]))
    paths[name] = found.coordinates.reshape(2, len(first), 2)
    explained[name] = found.explained
  return paths, explained
