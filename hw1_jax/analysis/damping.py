"""How a damped least-squares search steps on and ends: what all Levenberg-Marquardt searches share.

The rule and its sources stand in `levenberg_marquardt`.
"""

from typing import Any

import jax
import jax.numpy as jnp

INITIAL_DAMPING = 1e-3  # times the largest diagonal entry of J J' or J'J; Nielsen's for good starts
SHRINK = 0.1  # a step lowers the damping to no less than this fraction
# Below this fraction of the largest diagonal entry the system is as good as undamped in float64.
LEAST_DAMPING = 1e-16
# The search is stuck where even a step damped this much (same unit) does not lower the loss.
MOST_DAMPING = 1e8
# Sums of squares that differ by less than this fraction are equal up to rounding. Where the model
# promises no more, a step is taken that does not raise the loss by more: the gradient, which is
# accurate to its own rounding, goes on falling.
ROUNDING = 1e-13

# How a search ended.
REACHED, LOW_LOSS, STUCK, OUT_OF_STEPS = range(4)
ENDS = ("tolerance", "loss at rounding", "no step lowers the loss", "out of steps")


def bound_damping(step: Any, damping: Any, scale: Any) -> jax.Array:
  """Returns the damping of a step: what the first one starts with, and never next to nothing.

  `scale` is the largest diagonal entry of J'J or JJ'.

  >>> round(float(bound_damping(0, 1.0, 8.0)), 6), float(bound_damping(1, 1.0, 8.0))
  (0.008, 1.0)
  """
  damping = jnp.where(step == 0, INITIAL_DAMPING * scale, damping)
  return jnp.maximum(damping, LEAST_DAMPING * scale)


def judge(
  total: jax.Array, promised: jax.Array, reached: jax.Array, damping: jax.Array, factor: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
  """Returns (whether a step is taken, the next damping, the next factor of its increase).

  Args:
    total: the sum of squares before the step.
    promised: the model's after it.
    reached: the true one after it.
    damping: of the step.
    factor: by which the damping grows if the step is not taken.

  >>> takes, damping, _ = judge(*map(jnp.asarray, (2.0, 1.0, 1.0, 0.5, 2.0)))  # as promised
  >>> bool(takes), round(float(damping), 3)
  (True, 0.05)
  """
  at_rounding = total - promised <= ROUNDING * total
  takes = (reached < total) | (at_rounding & (reached <= (1 + ROUNDING) * total))
  gain = jnp.where(at_rounding, 1.0, jnp.minimum((total - reached) / (total - promised), 1.0))
  shrunk = damping * jnp.clip(1 - (2 * gain - 1) ** 3, SHRINK, 2.0)
  return takes, jnp.where(takes, shrunk, damping * factor), jnp.where(takes, 2.0, 2.0 * factor)


def is_stuck(falls: jax.Array, damping: jax.Array, scale: jax.Array) -> jax.Array:
  """Returns whether even a step damped so much lowers nothing; `scale` as of `bound_damping`.

  >>> bool(is_stuck(jnp.asarray(False), jnp.asarray(1e9), jnp.asarray(1.0)))
  True
  """
  return ~falls & (damping > MOST_DAMPING * scale)


def find_end(
  out_of_steps: Any, stuck: jax.Array, low_loss: jax.Array, reached: jax.Array
) -> jax.Array:
  """Returns the index in ENDS of why a search ends here, the best reason first; -1: it goes on.

  >>> ENDS[int(find_end(True, True, False, False))]
  'no step lowers the loss'
  """
  end = jnp.where(out_of_steps, OUT_OF_STEPS, -1)
  end = jnp.where(stuck, STUCK, end)
  end = jnp.where(low_loss, LOW_LOSS, end)
  return jnp.where(reached, REACHED, end)
