"""Random labels."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hw1_jax import devices, rng
from hw1_jax.errors import UserError


def corrupt_labels(key: jax.Array, labels: Any, num_classes: int, fraction: float) -> jax.Array:
  """Returns int32 labels [N]; round(fraction N) random ones are drawn uniformly from all classes.

  A drawn label may be the true one, so fraction 1 leaves about 1/num_classes in agreement (Zhang
  et al. 2017, "random labels"). With one key, the examples drawn for a fraction are among those
  drawn for a larger one. Draws are the same with and without x64. Raises UserError for a fraction
  outside [0, 1] or no classes.
  """
  if not 0 <= fraction <= 1:
    raise UserError("fraction", fraction, "0 to 1")
  if num_classes < 1:
    raise UserError("num_classes", num_classes, "at least 1")
  labels = jnp.asarray(labels, jnp.int32)
  (num_examples,) = labels.shape
  return _corrupter(num_classes)(key, labels, np.int32(round(fraction * num_examples)))


def corrupt_labels_each(
  keys: jax.Array, labels: Any, num_classes: int, fraction: float
) -> np.ndarray:
  """Returns int32 labels [M, N], `corrupt_labels` with each of `keys` [M], on the host.

  One after the other: one program, however many there are and whatever the fraction.
  """
  labels = np.asarray(labels, np.int32)
  drawn = [corrupt_labels(key, labels, num_classes, fraction) for key in rng.separate(keys)]
  return np.stack(jax.device_get(drawn))


@functools.cache
def _corrupter(num_classes: int) -> Callable[..., jax.Array]:
  """Returns jitted `(key, labels [N], count) -> labels` of which `count` are drawn."""

  def corrupt(key: jax.Array, labels: jax.Array, count: jax.Array) -> jax.Array:
    positions = jnp.arange(labels.shape[0], dtype=jnp.int32)
    rank = jax.random.permutation(rng.stream(key, "corrupted examples"), positions)
    draws = jax.random.randint(
      rng.stream(key, "corrupted labels"), labels.shape, 0, num_classes, dtype=jnp.int32
    )
    return jnp.where(rank < count, draws, labels)

  return devices.jit_draws(corrupt)
