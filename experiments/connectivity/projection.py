"""The paths of a pair's two trainings in two principal components, before and after alignment."""

import jax
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
  vectors = []
  for trained in (one, other):
    assert trained.snapshots is not None
    start = np.asarray(pytrees.ravel_members(trained.initial_params))[:1]
    vectors.append(np.concatenate([start, trained.snapshots[0]]))
  first, second = vectors
  network = pytrees.member(jax.device_get(one.params), 0)
  spec, unravel = alignment.layer_spec(network), pytrees.unravel_like(network)
  trees = (alignment.permute(unravel(vector), spec, permutations) for vector in second)
  permuted = np.asarray(pytrees.ravel_members(analysis.surface.stack(*trees)))
  paths, explained = {}, {}
  for name, moved in (("before", second), ("after", permuted)):
    found = analysis.pca(np.concatenate([first, moved]))
    paths[name] = found.coordinates.reshape(2, len(first), 2)
    explained[name] = found.explained
  return paths, explained
