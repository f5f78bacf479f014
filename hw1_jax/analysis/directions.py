"""Which planes to look at: random directions, the plane of a training path, given directions.

Each function returns corners for `surface`: origin, origin + first direction, and so on.
"""

import itertools
import operator
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hw1_jax import pytrees
from hw1_jax.analysis import surface

PyTree = Any
NORMALIZATIONS = ("filter", "neuron", "none")


def along(origin: PyTree, *directions: PyTree) -> PyTree:
  """Returns the corners origin, origin + direction_1, ..., leaves [D + 1, ...].

  A 1-D slice along the d-th of several directions is the points with only coordinate d not 0.
  Directions of about the length that is looked at keep the coordinates of order 1 and rounding
  small: scale a unit eigenvector by the distance wanted.

  >>> along(jnp.array([1.0, 1.0]), jnp.array([2.0, 0.0])).tolist()
  [[1.0, 1.0], [3.0, 1.0]]
  """
  moved = [jax.tree.map(operator.add, origin, direction) for direction in directions]
  return surface.stack(origin, *moved)


def random_direction(key: jax.Array, params: PyTree, *, normalization: str = "filter") -> PyTree:
  """Returns a Gaussian direction with the structure of `params`, made comparable among networks.

  ReLU networks compute the same after a unit's incoming weights are scaled by s and its outgoing
  ones by 1/s, so a step of one length means different things to them. With d Gaussian, of
  independent standard entries, and the last axis of a leaf counting units (filters):

      "filter"  d_i <- d_i ||theta_i|| / ||d_i|| for each unit's slice i of each leaf of two or more
                axes; 0 for leaves of one axis, biases, as in Li et al.'s code
      "neuron"  the same with a unit's bias counted among its incoming weights: the slices of all
                leaves in one dictionary (a layer), which share the length of the last axis
      "none"    d <- d ||theta|| / ||d|| over all parameters

  All three give a direction about as long as the parameters. The dtypes are those of `params`.
  Source: Li, Xu, Taylor, Studer, Goldstein 2018, Visualizing the Loss Landscape of Neural Nets.

  Raises:
    ValueError: an unknown normalization.

  Example: each unit's part of the direction is as long as its weights.

  >>> import jax, jax.numpy as jnp
  >>> net = {"in": {"w": jnp.array([[3.0, 0.0], [4.0, 2.0]]), "b": jnp.array([1.0, 5.0])}}
  >>> direction = random_direction(jax.random.key(0), net)
  >>> [round(float(v), 4) for v in jnp.linalg.norm(direction["in"]["w"], axis=0)]
  [5.0, 2.0]
  >>> float(jnp.abs(direction["in"]["b"]).max())
  0.0
  """
  if normalization not in NORMALIZATIONS:
    expected = ", ".join(NORMALIZATIONS)
    raise ValueError(f"normalization: got {normalization!r}, expected one of {expected}")
  paths, structure = jax.tree_util.tree_flatten_with_path(params)
  leaves = [leaf for _, leaf in paths]
  noise = [
    jax.random.normal(jax.random.fold_in(key, i), leaf.shape, leaf.dtype)
    for i, leaf in enumerate(leaves)
  ]
  if normalization == "none":
    ratio = pytrees.norm(leaves) / pytrees.norm(noise)
    return jax.tree.unflatten(structure, [ratio * leaf for leaf in noise])
  groups: dict[Any, list[int]] = {}
  for i, (path, leaf) in enumerate(paths):
    alone = normalization == "filter" or leaf.ndim == 0
    groups.setdefault(i if alone else (path[:-1], leaf.shape[-1]), []).append(i)
  for members in groups.values():
    if normalization == "filter" and leaves[members[0]].ndim < 2:
      noise[members[0]] = jnp.zeros_like(noise[members[0]])
      continue
    have, want = (
      jnp.sqrt(sum(_squares_of_units(arrays[i]) for i in members)) for arrays in (noise, leaves)
    )
    for i in members:
      noise[i] = noise[i] * (want / have)
  return jax.tree.unflatten(structure, noise)


def _squares_of_units(leaf: jax.Array) -> jax.Array:
  return jnp.sum(jnp.square(leaf).reshape(-1, *leaf.shape[-1:]), axis=0)


class PathPlane(NamedTuple):
  """The plane that holds most of a training path, through its last point."""

  corners: PyTree  # leaves [3, ...]: the last point, and it plus each direction
  coordinates: np.ndarray  # [S, 2] affine, of the snapshots' nearest points; the last is (0, 0)
  lengths: np.ndarray  # [2] of the directions: the path's extent along them; the weights' unit
  explained: np.ndarray  # [2] shares of sum_s ||theta_s - theta_S||^2
  outside: np.ndarray  # [S] share of ||theta_s - theta_S||^2 outside the plane; 0 at the last


def path_plane(
  snapshots: np.ndarray,
  unravel: Callable[[jax.Array], PyTree] = lambda vector: vector,
  *,
  block: int = 65536,
) -> PathPlane:
  """Returns the plane of the first two principal components of a path's way to its last point.

  The components are those of the rows theta_s - theta_S, not centred: the plane then goes through
  the solution theta_S itself, so that the surface around it is that of a network that was trained.
  Directions are orthogonal, each as long as the path's extent along it; the first snapshots lie on
  the positive side. Between the snapshots and their nearest points in the plane, where the surface
  is measured, lies the share `outside` of their squared distance to the solution.
  Float64; memory S x `block` beside the snapshots.
  Source: Li et al. 2018, section 7 (PCA of theta_s - theta_S).

  Args:
    snapshots: [S, P] the path in order, ravelled parameters, the solution last.
    unravel: vector [P] -> parameters; by default corners are vectors, leaves [3, P].
    block: columns at a time.

  Raises:
    ValueError: `snapshots` is not [S, P] with S at least 3.
    DegeneratePlane: the path lies on one line.

  >>> path = np.array([[3.0, 4.0, 0.0], [3.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
  >>> bool(path_plane(path).outside.max() < 1e-12)  # two differences lie in a plane
  True
  """
  if snapshots.ndim != 2 or len(snapshots) < 3:
    raise ValueError(f"snapshots: got shape {snapshots.shape}, expected [S, P] with S at least 3")
  size = snapshots.shape[1]
  blocks = [slice(start, start + block) for start in range(0, size, block)]

  def differences(columns: slice) -> np.ndarray:
    part = snapshots[:, columns].astype(np.float64)
    return part - part[-1]

  gram = np.zeros((len(snapshots), len(snapshots)))
  for columns in blocks:
    part = differences(columns)
    gram += part @ part.T
  variances, vectors = np.linalg.eigh(gram)
  variances, vectors = variances[:-3:-1], vectors[:, :-3:-1]
  total = np.trace(gram)
  if variances[1] <= 1e-14 * total:
    raise surface.DegeneratePlane(
      "snapshots: got a path on one line, expected one that spans a plane; train longer, or with a "
      "larger step size"
    )
  positions = vectors * np.sqrt(variances)  # [S, 2], of the way along each unit direction
  positions *= np.where(positions[0] < 0, -1.0, 1.0)
  lengths = np.abs(positions).max(axis=0)
  directions = np.empty((2, size))
  for columns in blocks:
    directions[:, columns] = (positions * lengths / variances).T @ differences(columns)
  squares = np.maximum(np.diag(gram), np.finfo(float).tiny)
  outside = np.clip(1 - np.sum(positions**2, axis=1) / squares, 0, 1)
  outside[-1] = 0
  origin, *moved = (
    unravel(vector.astype(snapshots.dtype))
    for vector in (snapshots[-1], *(snapshots[-1] + directions))
  )
  return PathPlane(
    surface.stack(origin, *moved), positions / lengths, lengths, variances / total, outside
  )


def random_walk_shares(step_lengths: Sequence[float] | np.ndarray, count: int = 2) -> np.ndarray:
  """Returns the shares that `path_plane` finds for a random walk with these steps, [count].

  The null beside a path's shares: steps in independent random directions of a space of infinitely
  many dimensions are orthogonal, so with the walk's end as origin the Gram matrix is
  G_st = sum of step_k^2 over the steps k after both s and t, whose largest eigenvalues divided by
  its trace are the shares. Equal steps give 8/pi^2 = 81 %, then 9 %, in the limit of many steps: a
  random walk, too, lies almost in a plane.
  Source: Antognini and Sohl-Dickstein 2018, PCA of High Dimensional Random Walks (there centred).

  Args:
    step_lengths: [S - 1] the distances between neighbouring snapshots.
    count: how many shares.

  >>> random_walk_shares(np.ones(200)).round(2).tolist()  # 8/pi^2, and a ninth of it
  [0.81, 0.09]
  """
  squares = np.asarray(step_lengths, np.float64) ** 2
  behind = np.cumsum(squares[::-1])[::-1]  # from snapshot s to the end
  index = np.arange(len(behind))
  gram = behind[np.maximum.outer(index, index)]
  return np.linalg.eigvalsh(gram)[::-1][:count] / np.trace(gram)


def snapshot_steps(snapshots: np.ndarray) -> np.ndarray:
  """Returns the distances [S - 1] between neighbouring snapshots [S, P], float64.

  >>> snapshot_steps(np.array([[0.0, 0.0], [3.0, 4.0], [3.0, 5.0]])).tolist()
  [5.0, 1.0]
  """
  return np.array(
    [np.linalg.norm(b.astype(np.float64) - a) for a, b in itertools.pairwise(snapshots)]
  )
