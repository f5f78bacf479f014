"""How much a network's output moves when its input does: per-example Jacobian norms."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from hw1_jax import data, models
from hw1_jax.analysis import lapack
from hw1_jax.training import evaluation, losses

PyTree = Any


def jacobian_norms(function: Callable[[jax.Array], jax.Array], inputs: jax.Array) -> jax.Array:
  """Returns each example's ||d function(x)/dx||_F, [N].

  Args:
    function: one example [...] -> its output [...]; softmax included where that is wanted.
    inputs: [N, ...].

  >>> jacobian_norms(lambda x: jnp.array([[3.0, 0.0], [0.0, 4.0]]) @ x, jnp.ones((2, 2)))
  Array([5., 5.], dtype=float32)
  """

  def norm(x: jax.Array) -> jax.Array:
    return jnp.sqrt(jnp.sum(jnp.square(jax.jacrev(function)(x))))

  return jax.vmap(norm)(inputs)


def loss_gradient_norms(
  function: Callable[[jax.Array], jax.Array],
  inputs: jax.Array,
  labels: jax.Array,
  loss: losses.Loss = losses.cross_entropies,
) -> jax.Array:
  """Returns each example's ||d loss(function(x), label)/dx||, [N]; cross-entropy: nats a unit of x.

  >>> loss_gradient_norms(lambda x: x, jnp.zeros((1, 2)), jnp.array([0]))  # softmax - one-hot
  Array([0.70710677], dtype=float32)
  """

  def of_one(x: jax.Array, label: jax.Array) -> jax.Array:
    return loss(function(x)[None], label[None])[0]

  gradients = jax.vmap(jax.grad(of_one))(inputs, labels)
  return jnp.sqrt(jnp.sum(jnp.square(gradients.reshape(len(labels), -1)), axis=1))


def make_sensitivity(
  model: Any, *, loss: losses.Loss = losses.cross_entropies, batch_size: int = 100
) -> Callable[[jax.Array, jax.Array, PyTree], dict[str, jax.Array]]:
  """Returns `(images, labels, params) -> {"jacobian", "loss_gradient"}`: means over the set.

  "jacobian" is the mean over examples of ||d softmax(f(x))/dx||_F, "loss_gradient" that of
  ||d loss/dx||. Inputs are the pixels in [0, 1]. The model runs without dropout. `batch_size` is
  only a matter of memory.

  >>> model = models.MLP((4, 3))
  >>> params = models.init(model, jax.random.key(0), (1, 2, 2, 1))
  >>> images, labels = jnp.full((5, 2, 2, 1), 255, jnp.uint8), jnp.array([0, 1, 2, 0, 1])
  >>> sorted(make_sensitivity(model)(images, labels, params))
  ['jacobian', 'loss_gradient']
  """

  def measure(images: jax.Array, labels: jax.Array, params: PyTree) -> dict[str, jax.Array]:
    def logits(x: jax.Array) -> jax.Array:
      return models.apply(model, params, x[None])[0]

    def sums(batch: jax.Array, targets: jax.Array, weights: jax.Array) -> dict[str, jax.Array]:
      inputs = data.as_float(batch)
      norms = jacobian_norms(lambda x: jax.nn.softmax(logits(x)), inputs)
      return {
        "jacobian": jnp.sum(norms * weights),
        "loss_gradient": jnp.sum(loss_gradient_norms(logits, inputs, targets, loss) * weights),
      }

    return evaluation.means_in_batches(sums, (images, labels), batch_size)

  return measure


def make_mlp_sensitivity(
  model: models.MLP, *, loss: losses.Loss = losses.cross_entropies, batch_size: int = 250
) -> Callable[[jax.Array, jax.Array, PyTree], dict[str, jax.Array]]:
  """Returns what `make_sensitivity` returns for an MLP, with fewer operations.

  With the pre-activations z of the first layer, x W + b, both derivatives by the input are
  derivatives by z times W'. A norm does not change under a rotation of input space, so with
  W' = R' Q' (R' from the QR decomposition of W, hidden x hidden) the factor Q' is left out:
  ||A W'||_F = ||A R'||_F. That needs hidden^2 instead of hidden * inputs products a row.

  >>> model = models.MLP((4, 3))
  >>> params = models.init(model, jax.random.key(0), (1, 2, 2, 1))
  >>> images, labels = jnp.full((5, 2, 2, 1), 255, jnp.uint8), jnp.array([0, 1, 2, 0, 1])
  >>> fast, plain = (
  ...   make(model)(images, labels, params)["jacobian"]
  ...   for make in (make_mlp_sensitivity, make_sensitivity)
  ... )
  >>> bool(jnp.allclose(fast, plain, rtol=1e-5))
  True
  """

  def measure(images: jax.Array, labels: jax.Array, params: PyTree) -> dict[str, jax.Array]:
    kernel = params["dense_00"]["kernel"]
    factor = lapack.triangle(kernel) if kernel.shape[0] > kernel.shape[1] else kernel

    def tail(z: jax.Array) -> jax.Array:
      return models.behind_first_layer(model, params, z)

    def sums(batch: jax.Array, targets: jax.Array, weights: jax.Array) -> dict[str, jax.Array]:
      count = batch.shape[0]
      z = models.first_layer(params, data.as_float(batch).reshape(count, -1))
      probabilities, pullback = jax.vjp(lambda z: jax.nn.softmax(tail(z)), z)
      classes = jnp.eye(probabilities.shape[1], dtype=z.dtype)

      def row(unit: jax.Array) -> jax.Array:
        return pullback(jnp.broadcast_to(unit, probabilities.shape))[0]

      rows = jax.vmap(row)(classes)  # [C, N, hidden]
      moved = rows.reshape(-1, rows.shape[-1]) @ factor.T
      squares = jnp.sum(jnp.square(moved).reshape(len(classes), count, -1), axis=(0, 2))
      slope = jax.grad(lambda z: jnp.sum(loss(tail(z), targets)))(z)
      norms = jnp.sqrt(jnp.sum(jnp.square(slope @ factor.T), axis=1))
      return {
        "jacobian": jnp.sum(jnp.sqrt(squares) * weights),
        "loss_gradient": jnp.sum(norms * weights),
      }

    return evaluation.means_in_batches(sums, (images, labels), batch_size)

  return measure
