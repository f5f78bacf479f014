"""Zero eigenvalues explained: which directions cannot change the outputs, and why.

The Hessian of L = (1/N) |r|^2 is H = G + R with G = (2/N) J'J, positive semidefinite of rank at
most min(N, P), and R = (2/N) sum_i r_i d^2 r_i, which vanishes with the residuals. A zero of H is
explained by a direction that changes no output to first order, the null space of J: there are

    nullity_t = P - rank_t(G),     rank_t counting eigenvalues above t = rtol max|lambda(H)|,

of them, less those that R lifts to either side. By Weyl's inequality R lifts no more than it has
eigenvalues beyond +-t, and H has no more eigenvalues below -t than R. The null space of J in turn:
parameters without any effect (zero columns of J: dead units, units whose weights have vanished),
one scaling symmetry for every other (leaky) ReLU unit, (v, w) -> (a v, w / a), and the rest,
because the examples are few, or units switch between the same two examples.

For one hidden layer of ReLU units R only couples w_j with v_j, by q_j = (2/N) sum_i r_i phi'(z_ij)
x~_i, and its eigenvalues are +-|q_j|. Since dL/dv_j = w_j q_j, they vanish where the gradient does
and w_j is not zero: at a stationary point H = G, nothing is negative, and the ratio of positive
eigenvalues is rank(J)/P. Negative eigenvalues are no less than -max_j |dL/dv_j| / |w_j|.
"""

import itertools
from typing import Any, NamedTuple

import numpy as np

# The tolerances at which eigenvalues are counted. Our choice: from just above rounding,
# P eps max|lambda|, to where only the few large eigenvalues are left.
RTOLS = 10.0 ** np.arange(-12, -3.5, 0.5)
# A column of J this small against the largest has no effect: its square is lost in J'J.
NO_EFFECT = 1e-12


class Zeros(NamedTuple):
  """Counts at each of R tolerances t = rtol max|lambda|, [R], and what explains the zeros."""

  positive: np.ndarray  # [R] lambda > t
  zero: np.ndarray  # [R]
  negative: np.ndarray  # [R] lambda < -t
  rank: np.ndarray  # [R] of G: eigenvalues above t
  residual: np.ndarray  # [R] eigenvalues of R beyond +-t
  no_effect: int  # parameters whose column of J is zero
  scalings: int  # (leaky) ReLU units with a scaling symmetry
  deficiency: np.ndarray  # [R] P - rank - no_effect - scalings: the other zeros of J
  unexplained: np.ndarray  # [R] zeros beyond the nullity of J


def explain(
  eigenvalues: Any,
  jacobian: Any,
  residual_eigenvalues: Any,
  scalings: int,
  rtols: Any = RTOLS,
) -> Zeros:
  """Returns how many zero eigenvalues there are, and how many of them are explained.

  Args:
    eigenvalues: of H, [P]; NaN entries (kink directions) are left out.
    jacobian: J of the residuals, [N, P], held kinks projected out.
    residual_eigenvalues: of R = H - (2/N) J'J, those that may differ from zero.
    scalings: units with a scaling symmetry; see `scaling_symmetries`.
    rtols: [R].

  Raises:
    ValueError: the Jacobian has not as many columns as there are eigenvalues.

  >>> found = explain([0.0, 2.0], [[1.0, 0.0]], [0.0], 0, rtols=[1e-10])
  >>> found.zero.tolist(), found.no_effect, found.unexplained.tolist()
  ([1], 1, [0])
  """
  values, jacobian = np.asarray(eigenvalues), np.asarray(jacobian)
  if jacobian.ndim != 2 or jacobian.shape[1] != values.size:
    raise ValueError(f"jacobian: got shape {jacobian.shape}, expected [N, {values.size}]")
  values = values[np.isfinite(values)]
  held = jacobian.shape[1] - values.size
  small = min(jacobian.shape)
  product = jacobian @ jacobian.T if small == jacobian.shape[0] else jacobian.T @ jacobian
  gauss_newton = 2 / jacobian.shape[0] * np.linalg.eigvalsh(product)
  columns = np.sqrt(np.sum(jacobian**2, axis=0))
  no_effect = int(np.sum(columns <= NO_EFFECT * columns.max()))
  bounds = (np.asarray(rtols) * np.abs(values).max())[:, None]
  positive, negative = (values > bounds).sum(1), (values < -bounds).sum(1)
  rank = (gauss_newton > bounds).sum(1)
  residual = (np.abs(np.asarray(residual_eigenvalues)) > bounds).sum(1)
  zero = values.size - positive - negative
  return Zeros(
    positive, zero, negative, rank, residual, no_effect, scalings,
    jacobian.shape[1] - held - rank - no_effect - scalings,
    np.maximum(zero - (values.size - rank), 0),
  )  # fmt: skip


def residual_couplings(params: Any, residuals: Any, inputs: Any, *, slope: float = 0.0) -> Any:
  """Returns q [H, 1 + D] of a network with one hidden layer: R's eigenvalues are +-|q_j|.

  Args:
    params: of `models.MLP((H, 1))`.
    residuals: [N].
    inputs: [N, D].
    slope: phi's below zero.

  >>> params = {"dense_00": {"bias": np.zeros(1), "kernel": np.ones((1, 1))},
  ...           "dense_01": {"bias": np.zeros(1), "kernel": np.ones((1, 1))}}
  >>> residual_couplings(params, np.asarray([1.0, 1.0]), np.asarray([[-1.0], [2.0]])).tolist()
  [[1.0, 2.0]]
  """
  first = params["dense_00"]
  extended = np.concatenate([np.ones((len(inputs), 1)), np.asarray(inputs)], axis=1)
  z = np.asarray(inputs) @ np.asarray(first["kernel"]) + np.asarray(first["bias"])
  weights = np.where(z > 0, 1.0, slope) * np.asarray(residuals)[:, None]
  return 2 / len(extended) * (weights.T @ extended)


def unit_states(params: Any, inputs: Any, activation: str) -> tuple[int, int]:
  """Returns (dead, scalings) of an MLP: hidden units off at every example, and units that scale.

  Dead units exist for relu only. A (leaky) ReLU unit has a scaling symmetry of its own if it is on
  somewhere and neither its incoming nor its outgoing weights have vanished.

  Args:
    params: of `models.MLP`, layers dense_00, dense_01, ...
    inputs: [N, D].
    activation: between layers, by name; units of smooth activations have no such symmetry.

  >>> params = {"dense_00": {"bias": np.zeros(1), "kernel": np.ones((1, 1))},
  ...           "dense_01": {"bias": np.zeros(1), "kernel": np.ones((1, 1))}}
  >>> unit_states(params, np.asarray([[-1.0], [-2.0]]), "relu")  # off at both: dead
  (1, 0)
  """
  if activation not in ("relu", "leaky_relu"):
    return 0, 0
  slope = 0.0 if activation == "relu" else 0.01
  layers = [params[name] for name in sorted(params)]
  values, dead, scalings = np.asarray(inputs, np.float64), 0, 0
  for layer, after in itertools.pairwise(layers):
    kernel, bias = np.asarray(layer["kernel"]), np.asarray(layer["bias"])
    z = values @ kernel + bias
    off = ~np.any(z > 0, axis=0) if slope == 0 else np.zeros(z.shape[1], bool)
    incoming = np.sqrt(np.sum(kernel**2, axis=0) + bias**2)
    outgoing = np.linalg.norm(np.asarray(after["kernel"]), axis=1)
    alive = (incoming > NO_EFFECT * incoming.max()) & (outgoing > NO_EFFECT * outgoing.max())
    dead += int(off.sum())
    scalings += int((alive & ~off).sum())
    values = np.where(z > 0, z, slope * z)
  return dead, scalings
