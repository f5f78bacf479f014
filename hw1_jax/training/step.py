"""The gradient on one minibatch, whole, in micro-batches or divided over devices."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from hw1_jax import data, devices, models, pytrees
from hw1_jax.training import losses
from hw1_jax.training.state import PyTree

# (params, images uint8 [B, H, W, C], labels [B], weights [B], dropout key)
# -> ({"loss", "accuracy"} sums over the batch's examples, gradient of the mean loss)
Gradients = Callable[..., tuple[dict[str, jax.Array], PyTree]]


def make_gradients(
  model: nn.Module, *, loss: losses.Loss = losses.cross_entropies, split: bool = False
) -> Gradients:
  """Returns the gradient of the loss on one minibatch; masked examples (weight 0) drop out.

  Where convolutions run in their CPU-fast form the minibatch is a sum over micro-batches, and with
  `split`, inside `parallel.on_all_devices`, every device works on its part of the minibatch. Both
  are a matter of speed only: the gradient is that of the whole batch, up to the order of summation.
  A CNN's dropout is drawn for each micro-batch in either form: a seed trains alike on CPU and GPU.
  """

  def sums(
    params: PyTree, images: jax.Array, labels: jax.Array, weights: jax.Array, key: jax.Array
  ) -> tuple[jax.Array, jax.Array]:
    inputs = data.as_float(images)
    layout = {"batch_last": True} if models.in_micro_batches(model) else {}
    logits = models.apply(model, params, inputs, train=True, rngs={"dropout": key}, **layout)
    hits = jnp.sum(losses.hits(logits, labels) * weights)
    return jnp.sum(loss(logits, labels) * weights), hits

  def gradients(
    params: PyTree, images: jax.Array, labels: jax.Array, weights: jax.Array, key: jax.Array
  ) -> tuple[dict[str, jax.Array], PyTree]:
    batch = (images, labels, weights)
    if split or models.has_micro_batches(model):
      (total, hits), gradient = _sum_over_parts(model, sums, params, batch, key, split)
    else:
      (total, hits), gradient = jax.value_and_grad(sums, has_aux=True)(params, *batch, key)
    count = jnp.sum(weights)
    return {"loss": total, "accuracy": hits}, jax.tree.map(lambda g: g / count, gradient)

  return gradients


def _sum_over_parts(
  model: nn.Module,
  sums: Callable[..., Any],
  params: PyTree,
  batch: tuple[jax.Array, ...],
  key: jax.Array,
  split: bool,
) -> Any:
  """Returns `sums` over a minibatch in parts of equal size, and their gradient.

  The parts are micro-batches where the model wants them, else one a device. The last ones are
  filled up at weight 0. Part k of the micro-batches has the same dropout key on any device.
  """
  num_devices = jax.lax.axis_size(devices.AXIS) if split else 1
  length = batch[0].shape[0]
  size = -(-length // num_devices)
  if models.has_micro_batches(model):
    size = min(models.MICRO_BATCH, length)
  parts = -(-length // size)
  per_device = -(-parts // num_devices)

  def mine(array: jax.Array) -> jax.Array:  # [any number of parts, ...] -> [per_device, ...]
    missing = per_device * num_devices - array.shape[0]
    if missing:
      array = jnp.concatenate([array, jnp.repeat(array[:1], missing, axis=0)])
    if not split:
      return array
    first = jax.lax.axis_index(devices.AXIS) * per_device
    return jax.lax.dynamic_slice_in_dim(array, first, per_device)

  def cut(array: jax.Array) -> jax.Array:
    missing = per_device * num_devices * size - length
    padded = jnp.pad(array, [(0, missing)] + [(0, 0)] * (array.ndim - 1))
    return mine(padded.reshape(-1, size, *array.shape[1:]))

  images, labels, weights = (cut(array) for array in batch)
  if models.in_micro_batches(model):
    # Turned here, as uint8: inside the loop XLA would turn the images again for every slice.
    images = jnp.transpose(images, (0, 4, 2, 3, 1))
  stacked = (images, labels, weights, mine(jax.random.split(key, parts)))

  total = (_one_by_one if models.in_micro_batches(model) else _together)(sums, params, stacked)
  if not split:
    return total
  vector, unravel = pytrees.ravel(total)  # one transfer a step instead of one a leaf
  return unravel(jax.lax.psum(vector, devices.AXIS))


def _one_by_one(sums: Callable[..., Any], params: PyTree, stacked: tuple[jax.Array, ...]) -> Any:
  """Returns the sum of the parts' `sums` and its gradient, in the memory of one part."""
  value_and_grad = jax.value_and_grad(sums, has_aux=True)

  def add(total: PyTree, part: tuple[jax.Array, ...]) -> tuple[PyTree, None]:
    return jax.tree.map(jnp.add, total, value_and_grad(params, *part)), None

  shapes = jax.eval_shape(value_and_grad, params, *(array[0] for array in stacked))
  zero = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
  return jax.lax.scan(add, zero, stacked)[0]


def _together(sums: Callable[..., Any], params: PyTree, stacked: tuple[jax.Array, ...]) -> Any:
  """Returns the sum of the parts' `sums` and its gradient, in one program for all parts."""

  def total(params: PyTree) -> Any:
    if len(stacked[0]) == 1:
      return sums(params, *(array[0] for array in stacked))
    return jax.tree.map(jnp.sum, jax.vmap(lambda *part: sums(params, *part))(*stacked))

  return jax.value_and_grad(total, has_aux=True)(params)
