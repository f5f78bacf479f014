"""Measuring a network's loss on planes and along eigenvectors of its Hessian."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy

from hw1_jax import analysis, devices
from hw1_jax.loops import Monitor

from .networks import Measure, Network

SMALL = 64  # parameters of a Hessian that is taken whole; our choice, above ARPACK's limit
PARTS = 4  # of a plane's points, so that a run resumes within a plane; our choice


class Grid(NamedTuple):
  """Loss and accuracy on a rectangle of a plane; distances in the weights' unit."""

  x: np.ndarray  # [A]
  y: np.ndarray  # [A]
  values: dict[str, np.ndarray]  # {"loss", "accuracy"}: [A, A], first axis x
  marks: np.ndarray  # [K, 2] points of interest
  at_marks: dict[str, np.ndarray]  # {"loss", "accuracy"}: [K], measured at the marks


def measure_plane(
  monitor: Monitor,
  name: str,
  measure: Measure,
  corners: Any,
  marks: np.ndarray,
  num_points: int,
  margin: float,
  room: int,
) -> Grid:
  """Returns the rectangle around the marks [K, 2], affine coordinates, wider by `margin`.

  The margin is a fraction of the marks' largest span, on each side. Planes with `room` for equally
  many marks, K at most, share one program.
  """
  frame = analysis.surface.frame(corners)
  places = marks @ frame.T
  low, high = places.min(axis=0), places.max(axis=0)
  wider = margin * (high - low).max()
  low, high = low - wider, high + wider
  x, y = (np.linspace(low[i], high[i], num_points) for i in (0, 1))
  points = np.concatenate([analysis.surface.grid(x, y), places])
  coordinates = np.linalg.solve(frame, points.T).T
  coordinates[len(x) * len(y) :] = marks  # themselves, not to rounding
  count = len(coordinates)
  missing = room - len(marks) + -(room + len(x) * len(y)) % PARTS
  filled = np.concatenate([coordinates, coordinates[-1:].repeat(missing, axis=0)])
  parts = filled.reshape(PARTS, -1, 2).astype(np.float32)
  batch = min(PARTS, len(jax.devices()))
  found = monitor.map(
    name, lambda rows: measure(corners, parts[rows]), PARTS, batch_size=batch, unit="parts"
  )
  flat = {key: values.reshape(-1)[:count] for key, values in found.items()}
  size = len(x) * len(y)
  values = {key: value[:size].reshape(len(x), len(y)) for key, value in flat.items()}
  return Grid(x, y, values, places, {key: value[size:] for key, value in flat.items()})


def top_eigenpairs(
  loss: Callable[[Any], jax.Array], theta: np.ndarray, unravel: Callable[[Any], Any], count: int
) -> tuple[np.ndarray, list[Any]]:
  """Returns the largest Hessian eigenvalues [D], descending, and unit eigenvectors, pytrees.

  D is `count`, or the number of parameters where that is less.

  ARPACK on Hessian-vector products of the linearized gradient, residuals up to 1e-3 of the
  eigenvalue: for a look along them.
  """
  gradient = jax.grad(lambda vector: loss(unravel(vector)))
  product = jax.jit(lambda vector: jax.jvp(gradient, (theta,), (vector,))[1])
  operator = scipy.sparse.linalg.LinearOperator(
    (theta.size, theta.size),
    matvec=lambda vector: np.asarray(product(jnp.asarray(np.ravel(vector), theta.dtype))),
    dtype=np.float32,
  )
  begin = np.random.default_rng(0).normal(size=theta.size).astype(np.float32)
  if theta.size <= SMALL or not operator.matvec(begin).any():  # ARPACK takes neither
    few = theta.size <= SMALL
    matrix = operator.matmat(np.eye(theta.size)) if few else np.zeros((count, theta.size))
    values, vectors = np.linalg.eigh(matrix) if few else (matrix[:, 0], np.eye(theta.size, count))
    values, vectors = values[-count:], vectors[:, -count:]
  else:
    values, vectors = scipy.sparse.linalg.eigsh(operator, count, which="LA", tol=1e-3, v0=begin)
  order = np.argsort(values)[::-1]
  # A sign is convention: the entry of largest magnitude is positive.
  columns = [vectors[:, i] * np.sign(vectors[np.abs(vectors[:, i]).argmax(), i]) for i in order]
  return values[order], [unravel(column.astype(theta.dtype)) for column in columns]


def slices(
  network: Network, params: Any, directions: list[Any], steps: np.ndarray
) -> dict[str, np.ndarray]:
  """Returns loss and accuracy [D, T] at params + step direction, steps [T] in the weights' unit."""
  far = np.abs(steps).max()
  scaled = [jax.tree.map(lambda leaf: far * leaf, direction) for direction in directions]
  corners = analysis.directions.along(params, *scaled)
  points = np.zeros((len(directions), len(steps), len(directions)), np.float32)
  for d in range(len(directions)):
    points[d, :, d] = steps / far
  return {key: np.asarray(values) for key, values in network.measure(corners, points).items()}


@functools.cache
def two_directions(normalization: str) -> Callable[[jax.Array, Any], Any]:
  """Returns jitted `(key, params) -> leaves [2, ...]`: two independent random directions."""

  def draw(key: jax.Array, params: Any) -> Any:
    direction = functools.partial(
      analysis.directions.random_direction, params=params, normalization=normalization
    )
    return jax.lax.map(lambda i: direction(jax.random.fold_in(key, i)), jnp.arange(2))

  return devices.jit_draws(draw)
