"""Where training goes in weight space: PCA of weight snapshots."""

from typing import NamedTuple

import numpy as np


class Projection(NamedTuple):
  """A principal component analysis of S points."""

  coordinates: np.ndarray  # [S, K] centred; unit: the weights'
  explained: np.ndarray  # [K] fraction of the total variance, descending


def pca(points: np.ndarray, num_components: int = 2, *, block: int = 65536) -> Projection:
  """Returns the first K principal coordinates of `points` [S, P], rows are observations.

  The points are centred over all rows. With S far below P the S x S Gram matrix of the centred
  points has all there is to know: G = U diag(s) U', coordinates U sqrt(s), explained s / sum(s).
  Each component's sign makes its coordinate of largest magnitude positive. Float64 throughout;
  `block` columns are converted at a time. scikit-learn's PCA agrees (test_trajectory.py).

  Raises:
    ValueError: `points` is not a matrix, or 1 <= K <= S does not hold.

  >>> line = pca(np.array([[0.0, 0.0], [3.0, 4.0], [6.0, 8.0]]), 1)
  >>> np.abs(line.coordinates[:, 0]).round(6).tolist(), line.explained.round(6).tolist()
  ([5.0, 0.0, 5.0], [1.0])
  """
  if points.ndim != 2:
    raise ValueError(f"points: got shape {points.shape}, expected [S, P]")
  num_points = points.shape[0]
  if not 1 <= num_components <= num_points:
    raise ValueError(f"num_components: got {num_components}, expected 1 to {num_points}")
  gram = np.zeros((num_points, num_points))
  for start in range(0, points.shape[1], block):
    columns = points[:, start : start + block].astype(np.float64)
    columns -= columns.mean(axis=0)
    gram += columns @ columns.T
  variances, vectors = np.linalg.eigh(gram)
  order = np.argsort(variances)[::-1][:num_components]
  variances = np.maximum(variances, 0.0)
  coordinates = vectors[:, order] * np.sqrt(variances[order])
  largest = np.argmax(np.abs(coordinates), axis=0)
  signs = np.where(coordinates[largest, np.arange(num_components)] < 0, -1.0, 1.0)
  total = variances.sum()
  explained = variances[order] / total if total > 0 else np.zeros(num_components)
  return Projection(coordinates * signs, explained)
