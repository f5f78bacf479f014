"""Stationarity of deep networks of piecewise linear units, by the pieces around a point.

Such a loss is smooth within a piece, the weights under which every unit is on at the same examples.
Where k kinks meet, z_lji = 0 for unit j of layer l at example i, up to 2^k pieces do, and a point
is stationary in the sense of Clarke if 0 lies in the convex hull of their gradients. At a kink
phi(z) = 0 on both sides: the outputs do not depend on the sides, the gradient does, by the slope
phi'(z_lji) that backpropagation multiplies with. Let a share s in [0, 1] of every slope be that of
the side z > 0:

    g(s) = the gradient backpropagated with slopes s + (1 - s) slope at the kinks.

g is affine in each s, so g(s) is the mean of the pieces' gradients under independent sides, with
probabilities s: a point of the hull. `certify` minimizes |g(s)| over the box, by Gauss-Newton with
bounded least squares, and returns the lowest that it met. Any value of |g(s)| is an upper bound of
the smallest norm in the hull, so a small one proves what it says, and none is a proof that the
point is not stationary. With one hidden layer g is affine, the bound is the smallest norm, and
`kinks.certify` says the same.

All 2^k pieces are there if the kinks of each unit are independent: its own weights then move them
to any sides. Examples at which a unit has the same inputs lie on one side together and share their
s; of kinks that depend on others of the unit, those with the smallest jumps keep their side, and
where one of the others does not, the norms of their jumps are added to the bound.

The gradients are those at the point itself, with sides changed. With kinks within a distance
instead of at zero, that is stationarity in the sense of Goldstein (1977) to that distance, but for
the change of the gradient over it, of the order of the distance times the Hessian's norm.
"""

from typing import Any, NamedTuple

import numpy as np
import scipy

from hw1_jax.analysis.kinks import DISTANCE, NO_JUMP, Certificate

Params = Any  # of `models.MLP((..., 1))`

STEPS = 20  # of Gauss-Newton: one suffices for kinks of one layer; our choice
# Inputs of a unit that differ by less than this fraction are the same, and kinks dependent whose
# part outside the others' span is shorter. Our choice: well above rounding.
SAME = 1e-9


class _Layer(NamedTuple):
  inputs: np.ndarray  # [N, 1 + I]: (1, h)
  weights: np.ndarray  # [1 + I, O], bias first
  z: np.ndarray  # [N, O]


class _Kink(NamedTuple):
  """A unit's kink at one example, or at several where its inputs are the same."""

  layer: int
  unit: int
  examples: np.ndarray  # int


def certify(
  params: Params, inputs: Any, targets: Any, *, slope: float = 0.0, distance: float = DISTANCE
) -> Certificate:
  """Returns an upper bound of the smallest norm in the hull of the gradients around `params`.

  On the host, float64. `num_concave` counts the kinks across which the loss alone falls away on
  both sides, judged with all others at the sides that z has.

  Args:
    params: of `models.MLP((..., 1))`, layers dense_00, dense_01, ...
    inputs: [N, D].
    targets: [N, 1].
    slope: phi's below zero.
    distance: of kinks that count as adjacent, in a unit's own weights: |z| <= distance |(1, h)|.

  Raises:
    ValueError: not one output.

  >>> import numpy as np
  >>> params = {"dense_00": {"bias": np.zeros(1), "kernel": np.ones((1, 1))},
  ...           "dense_01": {"bias": np.zeros(1), "kernel": np.ones((1, 1))}}  # relu(x)
  >>> found = certify(params, np.zeros((1, 1)), -np.ones((1, 1)))
  >>> found.num_kinks, found.norm  # at its kink; the bias keeps 2
  (1, 2.0)
  """
  layers, residuals = _forward(params, inputs, targets, slope)
  slopes = [np.where(layer.z > 0, 1.0, slope) for layer in layers[:-1]]
  gradient_norm = float(np.linalg.norm(_gradient(layers, slopes, residuals)))
  kinks, dependent = _independent_kinks(layers, slopes, residuals, slope, distance)
  if not kinks:
    return Certificate(gradient_norm, gradient_norm, 0, 0, np.zeros(0))
  jumps = _jumps(layers, slopes, residuals, kinks, slope)
  concave = sum(_along_normal(layers, k, jump) < 0 for k, jump in zip(kinks, jumps.T))
  best, best_shares = gradient_norm, np.asarray([_side(layers, kink) for kink in kinks])
  for mask in (np.full(len(kinks), True), ~_places_in(kinks, dependent)):
    chosen = [kink for kink, taken in zip(kinks, mask) if taken]
    bound, shares = _smallest(layers, slopes, residuals, chosen, slope, dependent)
    if bound < best:
      best_shares[mask] = shares
      best_shares[~mask] = [_side(layers, kink) for kink, taken in zip(kinks, mask) if not taken]
      best = bound
  return Certificate(best, gradient_norm, len(kinks), int(concave), best_shares)


def _smallest(
  layers: list[_Layer], slopes: list[np.ndarray], residuals: np.ndarray, kinks: list[_Kink],
  slope: float, dependent: dict[tuple[int, int], float],
) -> tuple[float, np.ndarray]:  # fmt: skip
  """Returns the lowest bound met by Gauss-Newton over the shares of the given kinks, and these."""
  start = np.asarray([_side(layers, kink) for kink in kinks])
  best, best_shares, shares, last = np.inf, start, start, np.inf
  for _ in range(STEPS if kinks else 0):
    shared = _with_shares(slopes, kinks, shares, slope)
    value = _gradient(layers, shared, residuals)
    norm = float(np.linalg.norm(value))
    moved = {(k.layer, k.unit) for k, a, b in zip(kinks, shares, start) if a != b}
    bound = norm + sum(size for place, size in dependent.items() if place in moved)
    if bound <= best:
      best, best_shares = bound, shares
    if norm > (1 - 1e-6) * last:
      break
    last = norm
    jumps = _jumps(layers, shared, residuals, kinks, slope)
    shares = _box(jumps, value - jumps @ shares)
  return best, best_shares


def _side(layers: list[_Layer], kink: _Kink) -> float:
  return float(layers[kink.layer].z[kink.examples[0], kink.unit] > 0)


def _places_in(kinks: list[_Kink], dependent: dict[tuple[int, int], float]) -> np.ndarray:
  return np.asarray([(kink.layer, kink.unit) in dependent for kink in kinks])


def _forward(
  params: Params, inputs: Any, targets: Any, slope: float
) -> tuple[list[_Layer], np.ndarray]:
  layers: list[_Layer] = []
  values = np.asarray(inputs, np.float64)
  for name in sorted(params):
    kernel = np.asarray(params[name]["kernel"], np.float64)
    weights = np.concatenate([np.asarray(params[name]["bias"], np.float64)[None], kernel])
    extended = np.concatenate([np.ones((len(values), 1)), values], axis=1)
    z = extended @ weights
    layers.append(_Layer(extended, weights, z))
    values = np.where(z > 0, z, slope * z)
  if z.shape[1] != 1:
    raise ValueError(f"params: got {z.shape[1]} outputs, expected 1")
  return layers, z[:, 0] - np.asarray(targets, np.float64)[:, 0]


def _signals(
  layers: list[_Layer], slopes: list[np.ndarray], residuals: np.ndarray
) -> list[np.ndarray]:
  """Returns dL/d(phi(z)) of every hidden layer, and dL/dz of the last, each [N, O]."""
  signals = [2 / len(residuals) * residuals[:, None]]
  for layer, slope in zip(reversed(layers[1:]), [None, *reversed(slopes[1:])]):
    above = signals[0] if slope is None else signals[0] * slope
    signals.insert(0, above @ layer.weights[1:].T)
  return signals


def _gradient(layers: list[_Layer], slopes: list[np.ndarray], residuals: np.ndarray) -> np.ndarray:
  """Returns the gradient [P], bias and kernel of each layer, with the given slopes."""
  signals = _signals(layers, slopes, residuals)
  deltas = [*(signal * slope for signal, slope in zip(signals, slopes)), signals[-1]]
  return np.concatenate([(layer.inputs.T @ d).ravel() for layer, d in zip(layers, deltas)])


def _with_shares(
  slopes: list[np.ndarray], kinks: list[_Kink], shares: np.ndarray, slope: float
) -> list[np.ndarray]:
  slopes = [layer.copy() for layer in slopes]
  for kink, share in zip(kinks, shares):
    slopes[kink.layer][kink.examples, kink.unit] = share + (1 - share) * slope
  return slopes


def _jumps(
  layers: list[_Layer], slopes: list[np.ndarray], residuals: np.ndarray, kinks: list[_Kink],
  slope: float,
) -> np.ndarray:  # fmt: skip
  """Returns dg/ds [P, K]: one example's backpropagation from each kink downwards."""
  signals = _signals(layers, slopes, residuals)
  columns = []
  for kink in kinks:
    delta = np.zeros((len(kink.examples), layers[kink.layer].z.shape[1]))
    delta[:, kink.unit] = (1 - slope) * signals[kink.layer][kink.examples, kink.unit]
    parts = [np.zeros(layer.weights.size) for layer in layers]
    for index in range(kink.layer, -1, -1):
      layer = layers[index]
      parts[index] = (layer.inputs[kink.examples].T @ delta).ravel()
      if index:
        delta = delta @ layer.weights[1:].T * slopes[index - 1][kink.examples]
    columns.append(np.concatenate(parts))
  return np.stack(columns, axis=1)


def _independent_kinks(
  layers: list[_Layer], slopes: list[np.ndarray], residuals: np.ndarray, slope: float,
  distance: float,
) -> tuple[list[_Kink], dict[tuple[int, int], float]]:  # fmt: skip
  """Returns the kinks whose sides are free, and by unit the sum of the jumps of those dependent."""
  free: list[_Kink] = []
  dependent: dict[tuple[int, int], float] = {}
  for index, layer in enumerate(layers[:-1]):
    lengths = np.linalg.norm(layer.inputs, axis=1)
    near = np.abs(layer.z) <= distance * lengths[:, None]
    for unit in map(int, np.flatnonzero(near.any(axis=0))):
      kinks = [_Kink(index, unit, rows) for rows in _same(layer, np.flatnonzero(near[:, unit]))]
      jumps = _jumps(layers, slopes, residuals, kinks, slope)
      sizes = np.linalg.norm(jumps, axis=0)
      order = [k for k in np.argsort(-sizes) if sizes[k] > NO_JUMP]
      basis, place = np.zeros((0, layer.inputs.shape[1])), (index, unit)
      for k in order:
        row = layer.inputs[kinks[k].examples[0]] / lengths[kinks[k].examples[0]]
        row = row - basis.T @ (basis @ row)
        row = row - basis.T @ (basis @ row)
        if np.linalg.norm(row) > SAME:
          basis = np.concatenate([basis, row[None] / np.linalg.norm(row)])
          free.append(kinks[k])
        else:
          dependent[place] = dependent.get(place, 0.0) + float(sizes[k])
  return free, dependent


def _same(layer: _Layer, rows: np.ndarray) -> list[np.ndarray]:
  """Returns the rows in groups of equal inputs."""
  groups: list[list[int]] = []
  for row in rows:
    for group in groups:
      first = layer.inputs[group[0]]
      if np.linalg.norm(layer.inputs[row] - first) <= SAME * np.linalg.norm(first):
        group.append(row)
        break
    else:
      groups.append([row])
  return [np.asarray(group) for group in groups]


def _along_normal(layers: list[_Layer], kink: _Kink, jump: np.ndarray) -> float:
  """Returns the jump of the slope along the unit's own weights, towards z > 0."""
  sizes = [layer.weights.size for layer in layers]
  start = sum(sizes[: kink.layer])
  layer = layers[kink.layer]
  own = jump[start : start + sizes[kink.layer]].reshape(layer.weights.shape)[:, kink.unit]
  return float(own @ layer.inputs[kink.examples[0]])


def _box(directions: np.ndarray, off: np.ndarray) -> np.ndarray:
  """Returns s in [0, 1]^K with the smallest |off + directions s|."""
  count = directions.shape[1]
  # Of the triangular factor the minimizer is the same, and its rows are K + 1 instead of P.
  upper = scipy.linalg.qr(np.column_stack([directions, off]), mode="r")[0][: count + 1]
  upper = upper / np.linalg.norm(directions)  # gradients are tiny, and the tolerances absolute
  return scipy.optimize.lsq_linear(upper[:, :count], -upper[:, count], (0.0, 1.0), "bvls").x
