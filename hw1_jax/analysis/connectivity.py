"""Paths of low loss between two solutions: straight lines, trained curves, and their barriers."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from hw1_jax import pytrees
from hw1_jax.analysis import surface

PyTree = Any


@jax.jit
def bezier_weights(t: jax.Array) -> jax.Array:
  """Returns the weights (1 - t)^2, 2 t (1 - t), t^2 of start, control and end, [..., 3]; sum 1.

  >>> bezier_weights(0.5).tolist()
  [0.25, 0.5, 0.25]
  """
  t = jnp.asarray(t)
  return jnp.stack([(1 - t) ** 2, 2 * t * (1 - t), t**2], axis=-1)


@jax.jit
def bezier_coordinates(t: jax.Array) -> jax.Array:
  """Returns the curve's affine coordinates [..., 2] in the plane of (start, control, end).

  A quadratic Bezier curve lies in the plane of its three points: `surface.make_surface_mlp`
  measures it with the corners `surface.stack(start, control, end)`: the ends exactly at t = 0, 1.

  >>> bezier_coordinates(0.5).tolist()  # half the control point, a quarter of the end
  [0.5, 0.25]
  """
  return bezier_weights(t)[..., 1:]


def bezier(start: PyTree, control: PyTree, end: PyTree, t: jax.Array) -> PyTree:
  """Returns (1 - t)^2 start + 2 t (1 - t) control + t^2 end; exactly the ends at t = 0 and 1.

  >>> bezier(jnp.array(0.0), jnp.array(4.0), jnp.array(0.0), 0.5).item()
  2.0
  """
  return surface.mix(surface.stack(start, control, end), bezier_weights(t))


class CurveState(NamedTuple):
  """A curve in training."""

  control: PyTree
  opt_state: PyTree
  step: jax.Array  # int32 []


def start_curve(start: PyTree, end: PyTree, optimizer: optax.GradientTransformation) -> CurveState:
  """Returns the state of an untrained curve: the straight line, its control point in the middle.

  >>> start_curve(jnp.zeros(2), jnp.ones(2), optax.sgd(0.1)).control.tolist()
  [0.5, 0.5]
  """
  control = pytrees.lerp(start, end, 0.5)
  return CurveState(control, optimizer.init(control), jnp.int32(0))


def make_curve_steps(
  loss: Callable[..., jax.Array], optimizer: optax.GradientTransformation
) -> Callable[..., tuple[CurveState, jax.Array]]:
  """Returns `(state, start, end, batches, key) -> (state, losses [S])`: S steps of training.

  Each step draws t uniformly in [0, 1] and moves the control point down the gradient of
  loss(phi(t), *batch), an unbiased estimate of that of the mean loss along the curve's parameter t,

      E_t L(phi(t)),   phi(t) = (1 - t)^2 start + 2 t (1 - t) control + t^2 end.

  The ends stay. d phi / d control is 2 t (1 - t), so steps near the ends move little. The draw of
  step s is that of fold_in(key, s), s counted over calls by the state: steps in two calls are those
  in one. Memory: three networks, the optimizer's state and one gradient.
  Source: Garipov, Izmailov, Podoprikhin, Vetrov, Wilson 2018, Loss Surfaces, Mode Connectivity, and
  Fast Ensembling of DNNs, section 3 (their loss (2), curve (5)).

  Args:
    loss: (params, *batch) -> scalar, differentiable in params. Batch statistics, if a network has
      them, must be recomputed along the curve, not carried in params.
    optimizer: any of optax.

  `batches` is a tuple of arrays [S, ...], scanned.

  Example: the loss (x^2 + y^2 - 1)^2 is 0 on a circle. The line between two of its points crosses a
  barrier of 1 in the middle; the curve goes around.

  >>> import jax, jax.numpy as jnp, optax
  >>> def loss(p):
  ...   return (jnp.sum(p["xy"] ** 2) - 1) ** 2
  >>> start, end = {"xy": jnp.array([-1.0, 0.0])}, {"xy": jnp.array([1.0, 0.1])}
  >>> optimizer = optax.sgd(0.05)
  >>> steps = make_curve_steps(loss, optimizer)
  >>> state, _ = steps(start_curve(start, end, optimizer), start, end, (), jax.random.key(0), 2000)
  >>> t = jnp.linspace(0, 1, 21)
  >>> line = jax.vmap(lambda t: loss(pytrees.lerp(start, end, t)))(t)
  >>> curve = jax.vmap(lambda t: loss(bezier(start, state.control, end, t)))(t)
  >>> round(float(barrier(t, line)), 1), bool(barrier(t, curve) < 0.2)
  (1.0, True)
  """

  def steps(
    state: CurveState,
    start: PyTree,
    end: PyTree,
    batches: tuple[Any, ...],
    key: jax.Array,
    num_steps: int | None = None,
  ) -> tuple[CurveState, jax.Array]:
    def step(state: CurveState, batch: tuple[Any, ...]) -> tuple[CurveState, jax.Array]:
      t = jax.random.uniform(jax.random.fold_in(key, state.step), dtype=jnp.float32)

      def at(control: PyTree) -> jax.Array:
        return loss(bezier(start, control, end, t), *batch)

      value, gradient = jax.value_and_grad(at)(state.control)
      updates, opt_state = optimizer.update(gradient, state.opt_state, state.control)
      control = optax.apply_updates(state.control, updates)
      return CurveState(control, opt_state, state.step + 1), value

    return jax.lax.scan(step, state, batches, length=num_steps)

  return steps


def barrier(t: Any, values: Any) -> np.ndarray:
  """Returns how far losses [..., T] on a path rise above the mix of its ends, [...], at least 0.

      max over t of  L(t) - ((1 - t) L(0) + t L(1)),   t ascending from 0 to 1

  which is the height that Frankle et al. 2020 and Git Re-Basin call the barrier. Losses that rise
  by less than 1e-6 of the largest count as 0: float32's rounding.

  Raises:
    ValueError: t does not go from 0 to 1.

  >>> barrier([0, 0.5, 1], [[1.0, 5.0, 3.0], [1.0, 2.0, 3.0]]).tolist()
  [3.0, 0.0]
  """
  t, values = np.asarray(t, np.float64), np.asarray(values, np.float64)
  if t.ndim != 1 or t[0] != 0 or t[-1] != 1 or np.any(np.diff(t) <= 0):
    raise ValueError("t: got other values, expected an ascending [T] from 0 to 1, both included")
  rise = values - ((1 - t) * values[..., :1] + t * values[..., -1:])
  height = rise.max(axis=-1)
  return np.where(height > 1e-6 * np.abs(values).max(axis=-1), height, 0.0)
