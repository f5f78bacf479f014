"""The loss along the line between two solutions."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from hw1_jax import data, models, pytrees
from hw1_jax.training import evaluation, losses

PyTree = Any


def interpolate(
  measure: Callable[[PyTree], PyTree], start: PyTree, end: PyTree, alphas: jax.Array
) -> PyTree:
  """Returns `measure` at theta(alpha) = (1 - alpha) start + alpha end, vmapped over alphas [A].

  Args:
    measure: parameters -> a pytree of arrays, such as {"loss": [], "accuracy": []}.
    start: parameters at alpha 0.
    end: parameters at alpha 1, of the same structure.
    alphas: [A], any real numbers.

  Returns:
    Each array of `measure` with a leading axis [A].
  """
  return jax.vmap(lambda alpha: measure(pytrees.lerp(start, end, alpha)))(alphas)


def make_interpolate_mlp(
  model: models.MLP, *, batch_size: int = 500
) -> Callable[..., dict[str, jax.Array]]:
  """Returns `(images, labels, start, end, alphas [A]) -> {"loss", "accuracy"}`, each [A].

  What `interpolate` of `evaluation.make_evaluate` computes, faster: the first layer is affine, so
  its pre-activation at alpha is (1 - alpha) z_start + alpha z_end. Both are computed once for a
  batch and serve every alpha; only the small layers behind are evaluated A times.

  Images are uint8 [N, H, W, C]; means over all N in nats and in [0, 1].
  """
  activation = models.ACTIVATIONS[model.activation]

  def tail(params: PyTree, hidden: jax.Array) -> jax.Array:
    for i in range(1, len(model.features)):
      layer = params[f"dense_{i:02d}"]
      hidden = activation(hidden) @ layer["kernel"] + layer["bias"]
    return hidden

  def measure(
    images: jax.Array, labels: jax.Array, start: PyTree, end: PyTree, alphas: jax.Array
  ) -> dict[str, jax.Array]:
    along = jax.vmap(lambda alpha: pytrees.lerp(start, end, alpha))(alphas)

    def sums(batch: jax.Array, targets: jax.Array, weights: jax.Array) -> dict[str, jax.Array]:
      x = data.as_float(batch).reshape(batch.shape[0], -1)
      z_start, z_end = (
        x @ params["dense_00"]["kernel"] + params["dense_00"]["bias"] for params in (start, end)
      )

      def at_alpha(point: tuple[jax.Array, PyTree]) -> dict[str, jax.Array]:
        alpha, params = point
        logits = tail(params, (1 - alpha) * z_start + alpha * z_end)
        return {
          "loss": jnp.sum(losses.cross_entropies(logits, targets) * weights),
          "accuracy": jnp.sum(losses.hits(logits, targets) * weights),
        }

      return jax.lax.map(at_alpha, (alphas, along))

    totals = evaluation.in_batches(sums, (images, labels), batch_size)
    return {name: total / images.shape[0] for name, total in totals.items()}

  return measure
