"""Losses and accuracy. Each is a mean over examples; `weights` masks padded examples."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from hw1_jax import own
from hw1_jax.errors import UserError

Loss = Callable[[jax.Array, jax.Array], jax.Array]  # outputs [N, D], targets [N, ...] -> [N]


def weighted_mean(values: jax.Array, weights: jax.Array | None = None) -> jax.Array:
  """Returns sum(weights * values) / sum(weights) over [N]; the plain mean without weights."""
  if weights is None:
    return jnp.mean(values)
  return jnp.sum(values * weights) / jnp.sum(weights)


def squared_errors(outputs: jax.Array, targets: jax.Array) -> jax.Array:
  """Returns each example's squared error, [N], a mean over the output units. [N, D] or [N]."""
  return jnp.mean(jnp.square(outputs - targets).reshape(outputs.shape[0], -1), axis=-1)


def mse(outputs: jax.Array, targets: jax.Array, weights: jax.Array | None = None) -> jax.Array:
  """Returns the mean squared error over examples and output units (PyTorch's `MSELoss`)."""
  return weighted_mean(squared_errors(outputs, targets), weights)


def cross_entropies(logits: jax.Array, labels: jax.Array) -> jax.Array:
  """Returns each example's cross-entropy in nats, [N], of softmax(logits [N, C]) and labels [N]."""
  return optax.softmax_cross_entropy_with_integer_labels(logits, labels)


def cross_entropy(
  logits: jax.Array, labels: jax.Array, weights: jax.Array | None = None
) -> jax.Array:
  """Returns the mean cross-entropy in nats (PyTorch's `CrossEntropyLoss`)."""
  return weighted_mean(cross_entropies(logits, labels), weights)


def hits(logits: jax.Array, labels: jax.Array) -> jax.Array:
  """Returns 1.0 where the largest logit is the label's, else 0.0; [N] float32."""
  return (jnp.argmax(logits, axis=-1) == labels).astype(jnp.float32)


def accuracy(logits: jax.Array, labels: jax.Array, weights: jax.Array | None = None) -> jax.Array:
  """Returns the fraction of examples whose largest logit is the label's, in [0, 1]."""
  return weighted_mean(hits(logits, labels), weights)


PER_EXAMPLE: dict[str, Loss] = {"cross_entropy": cross_entropies, "mse": squared_errors}


@functools.cache
def make_loss(name: str) -> Loss:
  """Returns the loss called `name`: one of PER_EXAMPLE, or one of your own, 'module:function'.

  Your function gets outputs [N, D] and the targets, labels [N] of images or values [N, 1] of a
  function, and returns each example's loss, [N]. It is the same object for the same name, so that
  compiled programs are found again. UserError where it returns something else.
  """
  if not own.is_own(name):
    return PER_EXAMPLE[name]
  function = own.load("loss", name)
  if not own.takes(function, 2):
    takes = ", ".join(own.parameters(function))
    raise UserError("loss", f"{name}({takes})", "a function of two: outputs and targets")

  def per_example(outputs: jax.Array, targets: jax.Array) -> jax.Array:
    values = function(outputs, targets)
    if not hasattr(values, "dtype"):
      expected = f"each example's loss, [{outputs.shape[0]}]"
      raise UserError("loss", f"{name}, which returns a {type(values).__name__}", expected)
    shape, dtype = jnp.shape(values), jnp.result_type(values)
    if shape != outputs.shape[:1] or not jnp.issubdtype(dtype, jnp.floating):
      got = f"{name}, which returns {dtype} {list(shape)} for outputs {list(outputs.shape)}"
      remedy = "" if shape else "leave the mean over the examples out; it is taken here"
      raise UserError("loss", got, f"each example's loss, [{outputs.shape[0]}]", remedy)
    return values

  return per_example


def mean(per_example: Loss) -> Loss:
  """Returns (outputs, targets) -> the mean over the examples of a loss, []."""
  return lambda outputs, targets: weighted_mean(per_example(outputs, targets))
