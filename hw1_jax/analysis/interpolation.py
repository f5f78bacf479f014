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

  >>> alphas = jnp.array([0.0, 0.5, 1.0])
  >>> interpolate(lambda theta: theta @ theta, jnp.zeros(2), jnp.ones(2), alphas)
  Array([0. , 0.5, 2. ], dtype=float32)
  """
  return jax.vmap(lambda alpha: measure(pytrees.lerp(start, end, alpha)))(alphas)


def make_interpolate_mlp(
  model: models.MLP, *, loss: losses.Loss = losses.cross_entropies, batch_size: int = 500
) -> Callable[..., dict[str, jax.Array]]:
  """Returns `(images, labels, start, end, alphas [A]) -> {"loss", "accuracy"}`, each [A].

  What `interpolate` of `evaluation.make_evaluate` computes, faster: the first layer is affine, so
  its pre-activation at alpha is (1 - alpha) z_start + alpha z_end. Both are computed once for a
  batch and serve every alpha; only the small layers behind are evaluated A times.

  Images are uint8 [N, H, W, C]; means over all N, of the cross-entropy in nats where no `loss` is
  given and of the accuracy in [0, 1].

  >>> model = models.MLP((4, 3))
  >>> start, end = (models.init(model, jax.random.key(seed), (1, 2, 2, 1)) for seed in (0, 1))
  >>> images, labels = jnp.full((5, 2, 2, 1), 255, jnp.uint8), jnp.array([0, 1, 2, 0, 1])
  >>> curve = make_interpolate_mlp(model)(images, labels, start, end, jnp.linspace(-2, 2, 31))
  >>> {name: values.shape for name, values in curve.items()}
  {'accuracy': (31,), 'loss': (31,)}
  """

  def measure(
    images: jax.Array, labels: jax.Array, start: PyTree, end: PyTree, alphas: jax.Array
  ) -> dict[str, jax.Array]:
    along = jax.vmap(lambda alpha: pytrees.lerp(start, end, alpha))(alphas)

    def sums(batch: jax.Array, targets: jax.Array, weights: jax.Array) -> dict[str, jax.Array]:
      x = data.as_float(batch).reshape(batch.shape[0], -1)
      z_start, z_end = models.first_layer(start, x), models.first_layer(end, x)

      def at_alpha(point: tuple[jax.Array, PyTree]) -> dict[str, jax.Array]:
        alpha, params = point
        mixed = (1 - alpha) * z_start + alpha * z_end
        logits = models.behind_first_layer(model, params, mixed)
        return {
          "loss": jnp.sum(loss(logits, targets) * weights),
          "accuracy": jnp.sum(losses.hits(logits, targets) * weights),
        }

      return jax.lax.map(at_alpha, (alphas, along))

    return evaluation.means_in_batches(sums, (images, labels), batch_size)

  return measure


def make_interpolate(
  model: Any, *, loss: losses.Loss = losses.cross_entropies
) -> Callable[..., dict[str, jax.Array]]:
  """Returns what `make_interpolate_mlp` returns, for any model; of an MLP that function itself.

  >>> model = models.MLP((2,))
  >>> params = models.init(model, jax.random.key(0), (1, 1, 1, 1))
  >>> images, labels = jnp.zeros((3, 1, 1, 1), jnp.uint8), jnp.array([0, 1, 0])
  >>> curve = make_interpolate(model)(images, labels, params, params, jnp.array([0.0, 1.0]))
  >>> curve["loss"].shape, bool(curve["loss"][0] == curve["loss"][1])
  ((2,), True)
  """
  if isinstance(model, models.MLP):
    return make_interpolate_mlp(model, loss=loss)
  evaluate = evaluation.make_evaluate(model, loss=loss)

  def measure(
    images: jax.Array, labels: jax.Array, start: PyTree, end: PyTree, alphas: jax.Array
  ) -> dict[str, jax.Array]:
    return jax.lax.map(
      lambda alpha: evaluate(images, labels, pytrees.lerp(start, end, alpha)), alphas
    )

  return measure
