"""The critical point nearest to given weights: of any kind, mostly a saddle.

`nearest` minimizes 1/2 ||gradient||^2 with exact Hessians: for barely trained networks. From
deep in a valley it creeps; trained networks go on downhill, by `levenberg_marquardt.minimize` or,
where units are piecewise linear, `kink_search.minimize`.

Measured (sinc, 300 points): most deep networks trained for 100 epochs get to 1e-10 in about 15
steps, at saddles where the output is constant.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hw1_jax.analysis import lapack
from hw1_jax.analysis.levenberg_marquardt import require_float64, require_options

Vector = jax.Array  # [P], the ravelled parameters
Scalar = jax.Array

GRAD_TOLERANCE = 1e-8  # our choice: three orders below the 2e-5 at which damped Newton stalled
MAX_ITERATIONS = 50  # our choice: most early networks need about 15

# Dampings to choose from in each step, relative to the largest curvature; one eigendecomposition
# serves all. Our choice: half decades, from undamped up to rounding to short gradient steps.
DAMPINGS = 10.0 ** np.arange(-14, 1, 0.5)

# A step must shrink ||gradient|| at least to this fraction, else the run has stalled. Our choice:
# with 0.99 one tanh network in five stopped short of a saddle it reached with 0.999.
SHRINKAGE = 0.999


class CriticalPoint(NamedTuple):
  """Where a search ended, whether it succeeded, and how it went."""

  params: Vector  # [P]
  loss: Scalar
  loss_before: Scalar
  gradient_norm: Scalar  # at `params`
  gradient_norm_before: Scalar
  converged: jax.Array  # bool: gradient_norm <= grad_tolerance
  iterations: jax.Array  # int: steps taken
  history: jax.Array  # [max_iterations + 1], gradient norms from start to `params`, then NaN
  eigenvalues: jax.Array  # [P], of the Hessian at `params`, ascending


class _State(NamedTuple):
  theta: Vector
  step: jax.Array
  done: jax.Array
  history: jax.Array
  eigenvalues: jax.Array


def nearest(
  loss: Callable[[Vector], Scalar],
  hessian: Callable[[Vector], jax.Array],
  start: Vector,
  *,
  grad_tolerance: float = GRAD_TOLERANCE,
  max_iterations: int = MAX_ITERATIONS,
) -> CriticalPoint:
  """Returns a point of almost zero gradient, of any kind, near `start` [P].

  Minimizes F = 1/2 ||g||^2 with its exact derivatives H g and A = H^2 + DH[g], where DH[g] is the
  derivative of the Hessian along the gradient. The step is the best, by the resulting ||g||, over
  all `DAMPINGS`, of saddle-free Newton steps on F (Dauphin et al. 2014, of A's eigenvalues) and of
  theta - V Lambda (Lambda^2 + mu^2)^-1 V' g with H = V Lambda V' (Levenberg-Marquardt on g); it
  must shrink ||g||. Where H g = 0 but g is not, it stalls, and says so. Where several points are
  searched, map over them: under vmap the eigendecompositions of all are kept.

  Args:
    loss: theta [P] -> scalar.
    hessian: theta [P] -> [P, P], exact and differentiable by JAX, such as `mlp_hessian`.
    start: [P] float64.
    grad_tolerance: the search stops at ||gradient||_2 <= this.
    max_iterations: the most steps.

  Raises:
    TypeError: `start` is not float64.
    ValueError: `grad_tolerance` is not positive or `max_iterations` is less than 1.

  >>> with jax.enable_x64(True):  # x^2 - y^2: a saddle
  ...   found = nearest(lambda t: t[0] ** 2 - t[1] ** 2,
  ...                   lambda t: jnp.diag(jnp.array([2.0, -2.0])), jnp.array([1.0, 0.5]))
  >>> float(found.gradient_norm) <= GRAD_TOLERANCE, found.eigenvalues.tolist()
  (True, [-2.0, 2.0])
  """
  require_float64(start)
  require_options(grad_tolerance, max_iterations)
  gradient = jax.grad(loss)

  def gradient_norm(theta: Vector) -> Scalar:
    return jnp.linalg.norm(gradient(theta))

  def advance(state: _State) -> _State:
    theta = state.theta
    slope, matrix = gradient(theta), hessian(theta)
    norm = jnp.linalg.norm(slope)
    eigenvalues, steps = _gradient_steps(slope, matrix)
    steps = jnp.concatenate([steps, _newton_steps(hessian, theta, slope, matrix)])
    goal, goal_norm = _lowest(gradient_norm, theta - steps)
    done = (norm <= grad_tolerance) | (state.step >= max_iterations)
    done |= ~(goal_norm <= SHRINKAGE * norm)
    return _State(
      jnp.where(done, theta, goal),
      state.step + ~done,
      done,
      state.history.at[state.step].set(norm),
      eigenvalues,
    )

  blank = jnp.full(max_iterations + 1, jnp.nan, start.dtype)
  first = _State(start, jnp.zeros((), int), jnp.asarray(False), blank, jnp.zeros_like(start))
  end = jax.lax.while_loop(lambda state: ~state.done, advance, first)
  norm = end.history[end.step]
  return CriticalPoint(
    params=end.theta,
    loss=loss(end.theta),
    loss_before=loss(start),
    gradient_norm=norm,
    gradient_norm_before=end.history[0],
    converged=norm <= grad_tolerance,
    iterations=end.step,
    history=end.history,
    eigenvalues=end.eigenvalues,
  )


def _gradient_steps(slope: Vector, matrix: jax.Array) -> tuple[jax.Array, jax.Array]:
  """Returns H's eigenvalues and Levenberg-Marquardt steps on g, [dampings, P], to be subtracted."""
  eigenvalues, vectors = lapack.eigh(matrix)
  dampings = (DAMPINGS * jnp.max(jnp.abs(eigenvalues)))[:, None]
  components = vectors.T @ slope
  return eigenvalues, (components * eigenvalues / (eigenvalues**2 + dampings**2)) @ vectors.T


def _newton_steps(
  hessian: Callable[[Vector], jax.Array], theta: Vector, slope: Vector, matrix: jax.Array
) -> jax.Array:
  """Returns saddle-free Newton steps on 1/2 ||g||^2, [dampings, P], to be subtracted."""
  _, derivative = jax.jvp(hessian, (theta,), (slope,))
  eigenvalues, vectors = lapack.eigh(matrix @ matrix + derivative)
  sizes = jnp.abs(eigenvalues)
  dampings = (DAMPINGS**2 * jnp.max(sizes))[:, None]  # squares, as the eigenvalues are
  return (vectors.T @ (matrix @ slope) / (sizes + dampings)) @ vectors.T


def _lowest(function: Callable[[Vector], Scalar], candidates: jax.Array) -> tuple[Vector, Scalar]:
  """Returns the candidate of [K, P] at which `function` is lowest, and its value there."""
  values = jax.lax.map(function, candidates)
  values = jnp.where(jnp.isfinite(values), values, jnp.inf)
  index = jnp.argmin(values)
  return candidates[index], values[index]
