"""Trainings that all end at the same training loss."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from hw1_jax import data, devices, models, pytrees, training
from hw1_jax.loops import Chunk, Monitor
from hw1_jax.training import losses


class Trained(NamedTuple):
  """Trainings of one architecture and batch size, side by side."""

  params: Any  # leaves [M, ...]
  epochs: np.ndarray  # [M] float64, the last one in part
  reached: np.ndarray  # [M] bool


@functools.cache
def adam(rate: float = 1e-3) -> optax.GradientTransformation:
  """Returns Adam whose learning rate is part of its state, so that members can differ in it."""
  return optax.inject_hyperparams(optax.adam)(learning_rate=rate)


def on_segment(
  loss: Callable[[Any], jax.Array], start: Any, end: Any, target: float
) -> tuple[Any, jax.Array]:
  """Returns the point between two parameter sets where the loss is the target, by bisection."""

  def halve(bounds: tuple[jax.Array, jax.Array], _: None) -> tuple[Any, None]:
    low, high = bounds
    middle = (low + high) / 2
    above = loss(pytrees.lerp(start, end, middle)) > target
    return (jnp.where(above, middle, low), jnp.where(above, high, middle)), None

  (_, high), _ = jax.lax.scan(halve, (jnp.float32(0), jnp.float32(1)), None, length=12)
  return pytrees.lerp(start, end, high), high


@functools.cache
def map_cut(model: models.MLP, target: float) -> Callable[..., tuple[Any, jax.Array]]:
  """Returns `on_segment` of M networks: `(images, labels, starts, ends) -> (params, shares)`."""

  def cut(images: jax.Array, labels: jax.Array, before: Any, after: Any) -> Any:
    def loss(params: Any) -> jax.Array:
      return losses.cross_entropy(models.apply(model, params, data.as_float(images)), labels)

    return on_segment(loss, before, after, target)

  return devices.map_members(cut, num_shared=1)


def train_to(
  monitor: Monitor,
  name: str,
  model: models.MLP,
  batch_size: int,
  sets: tuple[jax.Array, jax.Array],
  rates: np.ndarray,
  keys: jax.Array,
  initial: Any,
  *,
  target: float,
  max_epochs: int,
) -> Trained:
  """Returns members trained epoch by epoch until their exact training loss is below `target`.

  The last epoch counts in part: the weights are those on the segment from before to after it at
  which the loss is the target, so that all networks are compared at equal loss. Members are
  `rates` [M], `keys` [M], labels [M, N] in `sets`, `initial` leaves [M, ...].
  """
  images, labels = sets
  optimizer = adam()
  epoch = training.map_epochs(model, optimizer, batch_size)
  evaluate = training.map_evaluate(model)
  start = training.init_states(initial, optimizer)
  start.opt_state.hyperparams["learning_rate"] = jnp.asarray(rates, jnp.float32)

  def advance(state: dict[str, Any]) -> Chunk:
    train, over = state["train"], state["reached"]
    moved, _ = epoch(images, labels, train, keys)
    loss = np.asarray(evaluate(images, labels, moved.params)["loss"])
    moved = jax.device_get(moved)

    def keep(old: Any, new: Any) -> Any:
      return np.where(over.reshape(-1, *[1] * (np.ndim(new) - 1)), old, new)

    previous = jax.tree.map(keep, state["previous"], jax.device_get(train.params))
    moved = jax.tree.map(keep, jax.device_get(train), moved)
    reached = over | (loss <= target)
    done = int(state["done"]) + 1
    bad = None if np.isfinite(loss).all() else f"{name}: a loss is not finite at epoch {done}"
    new = {"train": moved, "previous": previous, "reached": reached, "done": np.int64(done)}
    finished = done >= max_epochs or bool(reached.all())
    return Chunk(new, done, finished, [{"phase": name, "losses": loss.tolist()}], bad)

  state = {
    "train": jax.device_get(start), "previous": jax.device_get(initial),
    "reached": np.zeros(len(rates), bool), "done": np.int64(0),
  }  # fmt: skip
  state = monitor.loop(name, state, advance, total=max_epochs)
  train = state["train"]
  params, share = map_cut(model, target)(images, labels, state["previous"], train.params)
  return Trained(params, train.epoch - 1 + np.asarray(share), state["reached"])
