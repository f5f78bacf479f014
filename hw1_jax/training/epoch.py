"""One epoch of one training on images, as one scan."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from hw1_jax import pytrees, rng
from hw1_jax.training.state import PyTree, TrainState
from hw1_jax.training.step import Gradients

LAST = 2**31 - 1  # as `minibatch`: the last one, whatever the number of steps


def shuffle(key: jax.Array, epoch: jax.Array | int, num_examples: int) -> jax.Array:
  """Returns the examples' order, int32 [N], in one epoch of the training with this key."""
  return _permute(rng.stream(jax.random.fold_in(key, epoch), "shuffle"), num_examples)


def _permute(key: jax.Array, num_examples: int) -> jax.Array:
  return jax.random.permutation(key, jnp.arange(num_examples, dtype=jnp.int32))


def epoch_batches(
  key: jax.Array, num_examples: int, batch_size: int
) -> tuple[jax.Array, jax.Array]:
  """Returns (indices int32 [S, B], weights float32 [S, B]) of one shuffled epoch.

  Every example comes once. The last batch is short where B does not divide N, as PyTorch's
  loaders have it; it is filled up with example 0 at weight 0.
  """
  return cut(_permute(key, num_examples), batch_size)


def cut(order: jax.Array, batch_size: int) -> tuple[jax.Array, jax.Array]:
  """Returns the minibatches of examples in this order [N], as `epoch_batches` does."""
  num_examples = order.shape[0]
  num_steps = -(-num_examples // batch_size)
  padding = num_steps * batch_size - num_examples
  indices = jnp.concatenate([order, jnp.zeros(padding, jnp.int32)])
  weights = (jnp.arange(num_steps * batch_size) < num_examples).astype(jnp.float32)
  return indices.reshape(num_steps, batch_size), weights.reshape(num_steps, batch_size)


def make_epoch(
  gradients: Gradients,
  optimizer: optax.GradientTransformation,
  batch_size: int,
  *,
  snapshot_interval: int | None = None,
  gradient_norm: bool = False,
  minibatch: int | None = None,
) -> Callable[..., tuple[TrainState, dict[str, jax.Array]]]:
  """Returns `(images, labels, state, key, order=None) -> (state, info)`: one epoch of one training.

  `order` is what `shuffle` returns, the default. Drawn by another program, it is not compiled with
  every model: it would be half of a small one's training.

  `info` holds "loss" and "accuracy", the running means over the epoch's examples, each measured
  before its step's update. With `gradient_norm` also "gradient_norm", the mean over steps of the
  2-norm of the minibatch gradient over all parameters, and "tensor_norm", that of the mean over
  the parameter tensors of each one's own 2-norm. With `minibatch`, "minibatch_loss" is the mean
  loss of the minibatch of that number (from 1) alone, or of the last one if there are fewer. With
  `snapshot_interval`, "snapshots" [K, P] holds the ravelled parameters after every that many steps
  of the epoch and after its last step.

  Raises ValueError for `minibatch` together with `snapshot_interval`.
  """
  if minibatch is not None and snapshot_interval is not None:
    raise ValueError("minibatch, snapshot_interval: both given; record one of the two")

  def epoch(
    images: jax.Array,
    labels: jax.Array,
    state: TrainState,
    key: jax.Array,
    order: jax.Array | None = None,
  ) -> tuple[TrainState, dict[str, jax.Array]]:
    num_examples = images.shape[0]
    order = shuffle(key, state.epoch, num_examples) if order is None else order
    indices, weights = cut(order, batch_size)
    num_steps = indices.shape[0]
    dropout = rng.stream(jax.random.fold_in(key, state.epoch), "dropout")

    def step(
      carry: tuple[PyTree, PyTree, dict[str, jax.Array]], batch: tuple[jax.Array, ...]
    ) -> tuple[tuple[PyTree, PyTree, dict[str, jax.Array]], jax.Array | None]:
      params, opt_state, totals = carry
      rows, mask, step_key = batch
      sums, gradient = gradients(params, images[rows], labels[rows], mask, step_key)
      mean_loss = None if minibatch is None else sums["loss"] / jnp.sum(mask)
      if gradient_norm:
        sums = {**sums, **_norms(gradient)}
      totals = jax.tree.map(jnp.add, totals, sums)
      updates, opt_state = optimizer.update(gradient, opt_state, params)
      return (optax.apply_updates(params, updates), opt_state, totals), mean_loss

    names = ("loss", "accuracy", *(("gradient_norm", "tensor_norm") if gradient_norm else ()))
    totals = {name: jnp.float32(0) for name in names}
    carry = (state.params, state.opt_state, totals)
    batches = (indices, weights, jax.random.split(dropout, num_steps))
    if snapshot_interval:
      carry, snapshots = _scan_with_snapshots(step, carry, batches, snapshot_interval)
      mean_losses = None
    else:
      (carry, mean_losses), snapshots = jax.lax.scan(step, carry, batches), None
    params, opt_state, totals = carry
    counts = {"loss": num_examples, "accuracy": num_examples}
    info = {name: total / counts.get(name, num_steps) for name, total in totals.items()}
    if snapshots is not None:
      info["snapshots"] = snapshots
    if minibatch is not None and mean_losses is not None:
      info["minibatch_loss"] = mean_losses[min(minibatch, num_steps) - 1]
    return TrainState(params, opt_state, state.epoch + 1), info

  return epoch


def _norms(gradient: PyTree) -> dict[str, jax.Array]:
  tensors = jnp.stack([jnp.linalg.norm(leaf.ravel()) for leaf in jax.tree.leaves(gradient)])
  return {"gradient_norm": pytrees.norm(gradient), "tensor_norm": jnp.mean(tensors)}


def _scan_with_snapshots(
  step: Callable[..., Any], carry: Any, batches: tuple[jax.Array, ...], interval: int
) -> tuple[Any, jax.Array]:
  """Returns (carry, parameters [K, P] after every `interval` steps and after the last one)."""
  num_steps = batches[0].shape[0]
  whole = num_steps // interval
  split = whole * interval

  def segment(carry: Any, part: Any) -> tuple[Any, jax.Array]:
    carry, _ = jax.lax.scan(step, carry, part)
    return carry, pytrees.ravel(carry[0])[0]

  grouped = jax.tree.map(lambda a: a[:split].reshape(whole, interval, *a.shape[1:]), batches)
  carry, snapshots = jax.lax.scan(segment, carry, grouped)
  if split == num_steps:
    return carry, snapshots
  carry, last = segment(carry, jax.tree.map(lambda a: a[split:], batches))
  return carry, jnp.concatenate([snapshots, last[None]])
