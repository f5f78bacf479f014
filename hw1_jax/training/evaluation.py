"""Exact means of loss and accuracy over a whole set, whatever the batch size."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from hw1_jax import data, models
from hw1_jax.training import losses


def in_batches(
  per_batch: Callable[..., Any], arrays: tuple[jax.Array, ...], batch_size: int
) -> Any:
  """Returns the sum over batches of `per_batch(*batch, mask)`; every example counts once.

  The last batch is filled up with copies of example 0, for which the mask [batch_size] is 0.
  """
  num_examples = arrays[0].shape[0]
  batch_size = min(batch_size, num_examples)
  num_batches = -(-num_examples // batch_size)
  positions = jnp.arange(num_batches * batch_size, dtype=jnp.int32)
  mask = (positions < num_examples).astype(jnp.float32).reshape(num_batches, batch_size)
  indices = jnp.where(positions < num_examples, positions, 0).reshape(num_batches, batch_size)

  def add(total: Any, batch: tuple[jax.Array, jax.Array]) -> tuple[Any, None]:
    rows, weights = batch
    part = per_batch(*(array[rows] for array in arrays), weights)
    return jax.tree.map(jnp.add, total, part), None

  shapes = jax.eval_shape(per_batch, *(array[:batch_size] for array in arrays), mask[0])
  zero = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
  total, _ = jax.lax.scan(add, zero, (indices, mask))
  return total


def means_in_batches(
  per_batch: Callable[..., Any], arrays: tuple[jax.Array, ...], batch_size: int
) -> Any:
  """Returns the sums of `in_batches` divided by the number of examples."""
  totals = in_batches(per_batch, arrays, batch_size)
  return jax.tree.map(lambda total: total / arrays[0].shape[0], totals)


def make_evaluate(
  model: nn.Module,
  *,
  loss: losses.Loss = losses.cross_entropies,
  batch_size: int | None = None,
) -> Callable[[jax.Array, jax.Array, Any], dict[str, jax.Array]]:
  """Returns `(images uint8 [N, H, W, C], labels [N], params) -> {"loss", "accuracy"}`.

  The mean loss, by default the cross-entropy in nats, and the accuracy in [0, 1] over the whole
  set, without dropout.
  `batch_size` is only a matter of speed and memory; the result agrees to rounding for every value.
  """
  if batch_size is None:
    batch_size = models.MICRO_BATCH if models.in_micro_batches(model) else 1000

  def evaluate(images: jax.Array, labels: jax.Array, params: Any) -> dict[str, jax.Array]:
    def sums(batch: jax.Array, targets: jax.Array, weights: jax.Array) -> dict[str, jax.Array]:
      logits = models.apply(model, params, data.as_float(batch))
      return {
        "loss": jnp.sum(loss(logits, targets) * weights),
        "accuracy": jnp.sum(losses.hits(logits, targets) * weights),
      }

    return means_in_batches(sums, (images, labels), batch_size)

  return evaluate


def exact_curves(history: Mapping[str, np.ndarray], *sizes: int) -> dict[str, np.ndarray]:
  """Returns exact losses and errors per epoch, each [*sizes, E], of product(sizes) trainings.

  Args:
    history: of `train_images` with `evaluate_train`, each [product(sizes), E].
  """
  found = {name: values.reshape(*sizes, -1) for name, values in history.items()}
  return {
    "train_loss": found["exact_train_loss"],
    "train_error": 1 - found["exact_train_accuracy"],
    "test_loss": found["test_loss"],
    "test_error": 1 - found["test_accuracy"],
  }
