"""Training the two networks, with the path each takes."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hw1_jax import analysis, data, devices, models, pytrees, rng, training
from hw1_jax.loops import Chunk, Monitor
from hw1_jax.training import full_batch, losses, optimizers

Measure = Callable[[Any, np.ndarray], dict[str, Any]]


class Network(NamedTuple):
  """M trained runs of one network, and its loss in general and on points of a span."""

  paths: np.ndarray  # [M, S + 1, P] float32, from the initial to the last weights
  unravel: Callable[[Any], Any]  # of NumPy, too
  measure: Measure  # (corners, coordinates [parts, K, D]) -> {"loss", "accuracy"}: [parts, K]
  loss: Callable[[Any], jax.Array]  # parameters -> loss, over what the Hessian is of
  uninformed: float  # the loss of a network that knows nothing of its inputs


def train_on_images(config: Any, images: data.ImageData, monitor: Monitor) -> Network:
  """Returns the network on images; the Hessian is that of the first `hessian_examples`."""
  model = models.make_mlp(
    config.widths, images.num_classes, images.train_images.shape[1:], activation=config.activation
  )
  optimizer = optimizers.make_optimizer(config.optimizer, config.learning_rate)
  task = training.ImageTraining(
    model, optimizer, config.batch_size, config.num_epochs, snapshot_epochs=1
  )
  keys = rng.streams(rng.member_keys(config.seed, config.num_runs), "images")
  trained = training.train_images(monitor, "images: train", task, images, keys)
  assert trained.snapshots is not None  # the task asks for them
  start = np.asarray(pytrees.ravel_members(trained.initial_params))[:, None]
  mapped = devices.map_members(analysis.surface.make_surface(model), num_shared=3)
  inputs, labels = images.train_images, images.train_labels
  few = jnp.asarray(inputs[: config.hessian_examples]), labels[: config.hessian_examples]
  return Network(
    np.concatenate([start, trained.snapshots], axis=1),
    unravel_for(model, (1, *images.train_images.shape[1:])),
    lambda corners, points: mapped(inputs, labels, corners, points),
    lambda params: losses.cross_entropy(
      models.apply(model, params, data.as_float(few[0])), jnp.asarray(few[1])
    ),
    float(np.log(images.num_classes)),
  )


def fit_function(config: Any, monitor: Monitor) -> Network:
  """Returns the network fitted to a function, full batch."""
  model = models.MLP(
    (*models.parse_widths(config.function_widths), 1), config.activation, batch_last=True
  )
  keys = rng.streams(rng.member_keys(config.seed, config.num_runs), "function")
  forward, start = models.ravelled(model, rng.streams(keys, "init"), (1, 1))
  x, y = map(jnp.asarray, data.function_data(config.target, config.num_points))
  every = max(1, config.function_epochs // config.num_snapshots)

  def loss(vector: jax.Array) -> jax.Array:
    return losses.mse(forward(vector, x), y)

  def of_params(params: Any) -> jax.Array:
    return loss(pytrees.ravel(params)[0])

  optimizer = optimizers.make_optimizer(config.optimizer, config.function_learning_rate)
  chunk = devices.map_members(
    full_batch.make_fit_chunk(
      loss, optimizer, None, num_epochs=config.function_epochs, chunk_size=every
    )
  )

  def advance(state: dict[str, Any]) -> Chunk:
    fit, _ = jax.device_get(chunk(state["fit"]))
    done = int(fit.train.epoch.max())
    path = state["path"].copy()
    path[:, -(-done // every)] = fit.train.params
    error = "function: the loss is not finite" if fit.failed.any() else None
    records = [{"phase": "function: train", "epoch": done, "loss": fit.last_losses[:, 0].tolist()}]
    finished = done >= config.function_epochs
    return Chunk({"fit": fit, "path": path}, done, finished, records, error)

  begin = jax.jit(jax.vmap(lambda params: full_batch.start_state(params, optimizer)))
  states = jax.device_get(begin(start))
  # Whole from the start: a saved state is resumed only where its arrays have the shapes expected.
  path = np.zeros((len(start), 1 - -config.function_epochs // every, start.shape[1]), start.dtype)
  path[:, 0] = start
  state = {"fit": states, "path": path}
  state = monitor.loop("function: train", state, advance, total=config.function_epochs)
  mapped = devices.map_members(
    lambda corners, points: analysis.surface.measure_on(
      lambda params: {"loss": of_params(params)}, corners, points
    ),
    num_shared=1,
  )
  unravel = unravel_for(model, (1, 1))
  return Network(state["path"], unravel, mapped, of_params, float(np.var(y)))


def unravel_for(model: models.MLP, input_shape: tuple[int, ...]) -> Callable[[Any], Any]:
  """Returns vector [P] -> the model's parameters."""
  return pytrees.unravel_like(models.parameter_shapes(model, input_shape))
