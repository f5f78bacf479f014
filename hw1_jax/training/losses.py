"""Losses and accuracy. Each is a mean over examples; `weights` masks padded examples."""

import jax
import jax.numpy as jnp
import optax


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
