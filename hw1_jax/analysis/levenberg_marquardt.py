"""Levenberg-Marquardt: from given weights to a point where the gradient of a mean square is zero.

The loss is L(theta) = (1/N) |r(theta)|^2 for any residual function r of any pytree, J = dr/dtheta
its Jacobian [N, P], and grad L = (2/N) J'r. A step solves

    minimize over d   |r + J d|^2 + lambda |D d|^2

by whichever system is smaller: with the scaled K = J D^-1 it is D d = -K'(K K' + lambda I_N)^-1 r
or -(K'K + lambda I_P)^-1 K'r, the same. D is diagonal, the largest norm that each column of J has
had so far (More 1978, as MINPACK). Where valleys bend, the step's second order pays (geodesic
acceleration, Transtrum & Sethna 2012): with r'' the second derivative of r along d, a minimizes
|r'' / 2 + J a|^2 + lambda |D a|^2, one more solve of the same system, and d + a is tried wherever
2 |D a| <= 3/4 |D d|.

The damping lambda follows the gain ratio rho, the loss's fall over that of the model: a step that
lowers the loss is taken and lambda multiplied by max(1/10, 1 - (2 rho - 1)^3), else lambda is
multiplied by 2, 4, 8, ... until a step does. Sources: Nocedal & Wright, Numerical Optimization, ch.
10; the damping rule is Nielsen's (IMM-REP-1999-05), with 1/10 for his 1/3: our choice, because the
valleys of trained networks want many decades of lambda.

Measured (sinc, 2500 epochs of Adam, 10 seeds each): all 40 to a loss of 1e-14 or ||grad L|| <=
1e-10, 1-20-1 in 448 to 2150 steps with tanh and 945 to 4190 with softplus, 1-500-1 in 410 to 1420
and 481 to 2045; without D and a none of 2 in 1000 (above 5e-11).

Networks of piecewise linear units have kinks, at which this search stalls: see `kinks`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hw1_jax import pytrees
from hw1_jax.analysis import lapack
from hw1_jax.analysis.damping import (  # names that the other searches and their users take here
  ENDS,
  LOW_LOSS,
  OUT_OF_STEPS,
  REACHED,
  STUCK,
  bound_damping,
  find_end,
  is_stuck,
  judge,
)

PyTree = Any
__all__ = [
  "ENDS", "LOW_LOSS", "MAX_ITERATIONS", "OUT_OF_STEPS", "REACHED", "STUCK", "TOLERANCE", "Minimum",
  "bent_step", "bound_damping", "find_end", "is_stuck", "judge", "make_divisors", "memory_bytes",
  "minimize", "require_float64", "require_options",
]  # fmt: skip

TOLERANCE = 1e-10  # our choice: smooth networks reach it
MAX_ITERATIONS = 5000  # our choice: with a reserve to the 4190 above
# Shorter columns of J than this fraction of the longest count as so long. Our choice: parameters
# all but without effect, such as decayed weights of dead units, would be thrown far off.
SHORTEST = 1e-2
BEND = 0.75  # the most of 2 |D a| / |D d|; Transtrum & Sethna's choice


class Minimum(NamedTuple):
  """Where a search ended, why, and how it went; scalars unless stated."""

  params: PyTree
  loss: jax.Array  # mean square
  loss_before: jax.Array
  gradient_norm: jax.Array  # ||grad L||_2 at `params`
  gradient_norm_before: jax.Array
  end: jax.Array  # int: REACHED, LOW_LOSS, STUCK or OUT_OF_STEPS
  iterations: jax.Array  # int: systems solved
  loss_history: jax.Array  # [max_iterations + 1] from the start to `params`, then NaN
  gradient_history: jax.Array  # [max_iterations + 1] ||grad L||_2, likewise


class _State(NamedTuple):
  theta: jax.Array
  columns: jax.Array  # [P]: D
  damping: jax.Array
  factor: jax.Array  # of the next increase of the damping
  step: jax.Array
  end: jax.Array  # -1 while searching
  losses: jax.Array
  norms: jax.Array


def make_solver(jacobian: jax.Array, damping: jax.Array) -> Callable[[jax.Array], jax.Array]:
  """Returns values [N] -> the d [P] that minimizes |values + J d|^2 + damping |d|^2.

  One Cholesky factorization in the smaller of the spaces of residuals [N] and parameters [P] serves
  all values.

  >>> import jax.numpy as jnp
  >>> float(make_solver(jnp.asarray([[2.0]]), jnp.asarray(0.0))(jnp.asarray([4.0]))[0])
  -2.0
  """
  rows, columns = jacobian.shape
  wide = rows <= columns
  gram = jacobian @ jacobian.T if wide else jacobian.T @ jacobian
  gram += damping * jnp.eye(min(rows, columns), dtype=jacobian.dtype)
  factor = lapack.factor(gram)

  def solve(values: jax.Array) -> jax.Array:
    if wide:
      return -(jacobian.T @ lapack.solve(factor, values))
    return -lapack.solve(factor, jacobian.T @ values)

  return solve


def bent_step(
  function: Callable[[jax.Array], jax.Array], theta: jax.Array, values: jax.Array,
  scaled: jax.Array, divisors: jax.Array, damping: jax.Array,
) -> tuple[jax.Array, jax.Array]:  # fmt: skip
  """Returns (d + a [P], or d where the way bends too much; |r + J d|^2, what the model promises).

  `function` is theta -> r, `values` are r at `theta` [P], `scaled` is K [N, P], `divisors` D [P].

  >>> theta = jnp.asarray([3.0])  # theta^2 = 0: Newton's step, and the second order of the way
  >>> step, promised = bent_step(lambda t: t**2, theta, theta**2, jnp.asarray([[6.0]]),
  ...                            jnp.ones(1), jnp.asarray(0.0))
  >>> step.tolist(), float(promised)
  ([-1.875], 0.0)
  """
  solve = make_solver(scaled, damping)
  step = solve(values)
  promised = jnp.sum(jnp.square(values + scaled @ step))
  bent = solve(_second_derivative(function, theta, step / divisors) / 2)
  bends = 2 * jnp.linalg.norm(bent) <= BEND * jnp.linalg.norm(step)
  return (step + jnp.where(bends, bent, 0.0)) / divisors, promised


def make_divisors(columns: jax.Array) -> jax.Array:
  """Returns D [P] of the columns' norms [P]: none much shorter than the longest, none zero.

  >>> make_divisors(jnp.asarray([2.0, 0.0])).tolist()
  [2.0, 0.019999999552965164]
  """
  longest = jnp.max(columns)
  return jnp.where(longest > 0, jnp.maximum(columns, SHORTEST * longest), 1.0)


def minimize(
  residuals: Callable[[PyTree], jax.Array],
  params: PyTree,
  *,
  jacobian: Callable[[PyTree], jax.Array] | None = None,
  tolerance: float | jax.Array = TOLERANCE,
  loss_tolerance: float = 0.0,
  max_iterations: int = MAX_ITERATIONS,
) -> Minimum:
  """Returns a point of almost zero gradient of L = mean(residuals^2), downhill from `params`.

  Works in jit, vmap and `devices.map_members`. The search ends at ||grad L||_2 <= `tolerance`,
  at L <= `loss_tolerance`, where no step lowers the loss (a kink, or rounding), or after
  `max_iterations` systems; `end` says which.

  Memory: the Jacobian and its scaled form, N P numbers each, as much while it is built, and three
  matrices of min(N, P)^2; `memory_bytes` counts them.

  Args:
    residuals: params -> array of N numbers, any shape; differentiable by JAX.
    params: any pytree of float64 arrays.
    jacobian: params -> [N, P], columns in the order of `pytrees.ravel`; JAX's if not given. Where
      residual i depends on example i alone, `vmap` of its gradient over the examples is N times
      less work (300 points, 571 parameters: 0.9 ms for 140).
    tolerance: of the gradient's 2-norm, positive.
    loss_tolerance: of the loss; for fits that go on falling towards zero.
    max_iterations: the most steps, rejected ones included.

  Raises:
    TypeError: a parameter is not float64.
    ValueError: a tolerance or `max_iterations` is out of its range.

  >>> import jax, jax.numpy as jnp
  >>> with jax.enable_x64(True):
  ...   found = minimize(lambda p: jnp.stack([p["a"] ** 2 - 2, p["a"] - p["b"]]),
  ...                    {"a": jnp.asarray(1.0), "b": jnp.asarray(0.0)})
  >>> round(float(found.params["b"]), 6), ENDS[int(found.end)]
  (1.414214, 'tolerance')
  """
  require_float64(params)
  require_options(tolerance, max_iterations)
  if not loss_tolerance >= 0:
    raise ValueError(f"loss_tolerance: got {loss_tolerance}, expected at least 0")
  start, unravel = pytrees.ravel(params)

  def flat(theta: jax.Array) -> jax.Array:
    return residuals(unravel(theta)).ravel()

  size = jax.eval_shape(flat, start).size
  derive = (jax.jacrev if size <= start.size else jax.jacfwd)(flat)

  def advance(state: _State) -> _State:
    values, theta = flat(state.theta), state.theta
    matrix = derive(theta) if jacobian is None else jacobian(unravel(theta))
    total = values @ values
    norm = 2 / size * jnp.linalg.norm(matrix.T @ values)
    columns = jnp.maximum(state.columns, jnp.linalg.norm(matrix, axis=0))
    divisors = make_divisors(columns)
    scaled = matrix / divisors
    scale = jnp.max(jnp.sum(jnp.square(scaled), axis=1 if size <= start.size else 0))
    damping = bound_damping(state.step, state.damping, scale)
    step, promised = bent_step(flat, theta, values, scaled, divisors, damping)
    trial = theta + step
    reached = jnp.sum(jnp.square(flat(trial)))
    falls, lowered, factor = judge(total, promised, reached, damping, state.factor)
    stuck = is_stuck(falls, damping, scale)
    end = find_end(state.step >= max_iterations, stuck, total / size <= loss_tolerance,
                   norm <= tolerance)  # fmt: skip
    return _State(
      jnp.where((end < 0) & falls, trial, theta),
      columns,
      lowered,
      factor,
      state.step + (end < 0),
      end,
      state.losses.at[state.step].set(total / size),
      state.norms.at[state.step].set(norm),
    )

  blank = jnp.full(max_iterations + 1, jnp.nan, start.dtype)
  first = _State(start, jnp.zeros_like(start), jnp.ones(()), 2 * jnp.ones(()),
                 jnp.zeros((), int), -jnp.ones((), int), blank, blank)  # fmt: skip
  last = jax.lax.while_loop(lambda state: state.end < 0, advance, first)
  losses, norms = last.losses, last.norms
  return Minimum(unravel(last.theta), losses[last.step], losses[0], norms[last.step], norms[0],
                 last.end, last.step, losses, norms)  # fmt: skip


def memory_bytes(num_residuals: int, num_params: int) -> int:
  """Returns the bytes that one search takes at its peak: what `minimize` says of its memory.

  >>> memory_bytes(300, 1501)
  12967200
  """
  small = min(num_residuals, num_params)
  return 8 * (3 * num_residuals * num_params + 3 * small**2)


def require_float64(params: PyTree) -> None:
  """Raises TypeError unless every leaf is float64.

  >>> import numpy as np
  >>> require_float64({"a": np.zeros(2)})
  """
  for leaf in jax.tree.leaves(params):
    if leaf.dtype != np.float64:
      raise TypeError(
        f"params: got {leaf.dtype}, expected float64; set jax.config.update('jax_enable_x64', True)"
        f" before making any array"
      )


def require_options(tolerance: float | jax.Array, max_iterations: int) -> None:
  """Raises ValueError unless the tolerance is positive and at least one step is allowed.

  A traced tolerance is taken as it is, so that one compiled search serves several.

  >>> require_options(1e-6, 100)
  """
  if not isinstance(tolerance, jax.core.Tracer) and not tolerance > 0:
    raise ValueError(f"tolerance: got {tolerance}, expected a positive number")
  if max_iterations < 1:
    raise ValueError(f"max_iterations: got {max_iterations}, expected at least 1")


def _second_derivative(
  function: Callable[[jax.Array], jax.Array], theta: jax.Array, step: jax.Array
) -> jax.Array:
  """Returns d^2/dt^2 of function(theta + t step) at t = 0."""

  def along(point: jax.Array) -> jax.Array:
    return jax.jvp(function, (point,), (step,))[1]

  return jax.jvp(along, (theta,), (step,))[1]
