"""Networks, a loss, an optimizer and a function of one's own; see README.md beside this file."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from flax import nnx


class Residual(nn.Module):
  """A flax.linen network with a skip connection."""

  num_outputs: int

  @nn.compact
  def __call__(self, x):
    x = x.reshape(x.shape[0], -1)
    hidden = nn.tanh(nn.Dense(16)(x))
    hidden = hidden + nn.tanh(nn.Dense(16)(hidden))
    return nn.Dense(self.num_outputs)(hidden)


def make_model(num_outputs):
  """flax.linen: returns the module."""
  return Residual(num_outputs)


def make_pair(num_outputs):
  """Plain JAX: returns init(key, x) -> params and apply(params, x) -> outputs [N, num_outputs]."""

  def init(key, x):
    inputs = x[0].size
    first, second = jax.random.split(key)
    return {
      "hidden": jax.random.normal(first, (inputs, 8)) / inputs**0.5,
      "output": jax.random.normal(second, (8, num_outputs)) / 8**0.5,
    }

  def apply(params, x):
    return jnp.tanh(x.reshape(x.shape[0], -1) @ params["hidden"]) @ params["output"]

  return init, apply


def make_nnx(rngs, num_outputs, input_shape):
  """flax.nnx: returns the module, made with the given random streams."""
  inputs = int(np.prod(input_shape))
  return nnx.Sequential(
    lambda x: x.reshape(x.shape[0], -1),
    nnx.Linear(inputs, 12, rngs=rngs),
    nnx.relu,
    nnx.Dropout(0.1, rngs=rngs),
    nnx.Linear(12, num_outputs, rngs=rngs),
  )


def make_optimizer(learning_rate, weight_decay):
  """Any optax transformation; it gets the settings that its arguments name."""
  return optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(learning_rate, 0.9, 0.99, 1e-8,
                     weight_decay=weight_decay))  # fmt: skip


def bump(x):
  """A function to fit: x is [N, 1] float64, in NumPy."""
  return np.exp(-8 * x**2) * np.cos(9 * x)


def squared_distance(outputs, labels):
  """A loss: each example's squared distance between its outputs and its one-hot label, [N]."""
  return jnp.sum((outputs - jax.nn.one_hot(labels, outputs.shape[1])) ** 2, axis=1)
