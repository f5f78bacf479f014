"""Training the curves between the two networks of each pair."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from hw1_jax import analysis, data, devices, models, rng
from hw1_jax.loops import Chunk, Monitor
from hw1_jax.training import losses
from hw1_jax.training.epoch import epoch_batches


def train_curves(
  monitor: Monitor,
  model: models.MLP,
  optimizer: optax.GradientTransformation,
  images: data.ImageData,
  start: Any,
  end: Any,
  keys: jax.Array,
  *,
  batch_size: int,
  num_epochs: int,
) -> Any:
  """Returns the control points, leaves [M, ...], of M curves from start to end, leaves [M, ...].

  Minibatches are shuffled epochs of the training set; each step draws one point of the curve.
  """

  def epoch(
    inputs: jax.Array, labels: jax.Array, state: Any, start: Any, end: Any, key: jax.Array
  ) -> tuple[Any, jax.Array]:
    def loss(params: Any, rows: jax.Array, mask: jax.Array) -> jax.Array:
      logits = models.apply(model, params, data.as_float(inputs[rows]))
      return losses.cross_entropy(logits, labels[rows], mask)

    steps = analysis.connectivity.make_curve_steps(loss, optimizer)
    shuffle = jax.random.fold_in(rng.stream(key, "shuffle"), state.step)
    batches = epoch_batches(shuffle, inputs.shape[0], batch_size)
    state, values = steps(state, start, end, batches, rng.stream(key, "points"))
    return state, jnp.mean(values)

  run_epoch = devices.map_members(epoch, num_shared=2)
  shared = devices.share((images.train_images, images.train_labels), keys.shape[0])

  def advance(state: dict[str, Any]) -> Chunk:
    curves, means = jax.device_get(run_epoch(*shared, state["curves"], start, end, keys))
    done = int(state["done"]) + 1
    worst = float(np.max(means))
    error = None if np.isfinite(worst) else f"curve: the loss is {worst} in epoch {done}"
    records = [{"phase": "curve", "epoch": done, "train_loss": means.tolist()}]
    new = {"curves": curves, "done": np.int64(done)}
    return Chunk(new, done, done >= num_epochs, records, error)

  starts = jax.vmap(lambda a, b: analysis.connectivity.start_curve(a, b, optimizer))
  curves = devices.jit_draws(starts)(start, end)
  state = {"curves": jax.device_get(curves), "done": np.int64(0)}
  return monitor.loop("curve", state, advance, total=num_epochs)["curves"].control
