"""Edge of stability: the largest Hessian eigenvalue along full-batch gradient descent."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hw1_jax.analysis.lanczos import extreme_eigenpairs
from hw1_jax.analysis.products import BATCH_SIZE, Loss, hessian_operator
from hw1_jax.loops import Chunk, Monitor

LANCZOS_STEPS = 15  # our choice: the top of a net's spectrum is isolated; more change it by < 0.1 %


def sharpness_along_descent(
  monitor: Monitor,
  name: str,
  loss: Loss,
  start: Any,
  batch: Any,
  rates: Sequence[float],
  key: jax.Array,
  *,
  num_points: int,
  num_steps: int,
  batch_size: int = BATCH_SIZE,
) -> dict[str, np.ndarray]:
  """Returns the largest eigenvalue and the loss along gradient descent, each [R, T].

  theta <- theta - rate grad L(theta), from the same start at each of the R rates; measured before
  steps 0, `num_steps`, ... at T = `num_points` points. On a quadratic the iteration diverges where
  the eigenvalue exceeds 2 / rate; for networks Cohen et al. (2021) found that it rises to about
  2 / rate and stays there while the loss goes on falling, not monotonically.

  Args:
    monitor: progress and resume.
    name: of the loop.
    loss: (params, batch) -> scalar, the mean over the batch's examples.
    start: params, any pytree of arrays.
    batch: pytree of arrays [N, ...], the whole data.
    rates: learning rates.
    key: of the Lanczos start.
    num_points: T.
    num_steps: between two of them.
    batch_size: examples at a time in Hessian-vector products; a matter of memory only.

  Returns:
    {"sharpness", "loss"}, each [R, T] in the dtype of the loss.

  Raises:
    NonFiniteError: the loss diverged, with rate and step.

  >>> found = sharpness_along_descent(
  ...   Monitor(), "descent", lambda theta, batch: jnp.mean(batch) * theta @ theta, jnp.ones(3),
  ...   jnp.full(4, 2.0), (0.1,), jax.random.key(0), num_points=2, num_steps=1)
  >>> found["sharpness"].round(3).tolist()  # of 2 |theta|^2, everywhere
  [[4.0, 4.0]]
  """

  @jax.jit
  def advance(params: Any, rate: jax.Array, batch: Any) -> tuple[Any, jax.Array, jax.Array]:
    operator = hessian_operator(loss, params, batch, batch_size=batch_size)
    steps = min(LANCZOS_STEPS, operator.size)
    pairs = extreme_eigenpairs(operator, key, num_largest=1, num_smallest=0, num_steps=steps)

    def step(_: int, params: Any) -> Any:
      slope = jax.grad(loss)(params, batch)
      return jax.tree.map(lambda leaf, g: leaf - rate * g, params, slope)

    moved = jax.lax.fori_loop(0, num_steps, step, params)
    return moved, pairs.values[0], loss(params, batch)

  dtype = np.dtype(jax.tree.leaves(start)[0].dtype)

  def chunk(state: dict[str, Any]) -> Chunk:
    r, t = divmod(int(state["done"]), num_points)
    params = start if t == 0 else state["params"]
    found = advance(params, jnp.asarray(rates[r], dtype), batch)
    params, largest, value = jax.device_get(found)
    history = state["history"].copy()
    history[:, r, t] = largest, value
    done = r * num_points + t + 1
    diverged = f"{name}, rate {rates[r]:g}: the loss is {value} at step {t * num_steps}"
    return Chunk(
      {"done": np.int64(done), "params": params, "history": history},
      done,
      done == len(rates) * num_points,
      [{"phase": name, "rate": rates[r], "step": t * num_steps, "loss": float(value)}],
      None if np.isfinite(value) else diverged,
    )

  history = np.zeros((2, len(rates), num_points), dtype)
  state = {"done": np.int64(0), "params": jax.device_get(start), "history": history}
  state = monitor.loop(name, state, chunk, total=len(rates) * num_points, unit="points")
  return {"sharpness": state["history"][0], "loss": state["history"][1]}
