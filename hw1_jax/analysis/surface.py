"""Loss and accuracy on lines, planes and any other affine span of networks of one shape.

D + 1 corners theta_0, ..., theta_D (pytrees of one structure) span the points

    theta(c) = (1 - c_1 - ... - c_D) theta_0 + c_1 theta_1 + ... + c_D theta_D,

c in R^D being the affine coordinates: D = 1 is the line of `interpolation`, D = 2 a plane. Corner k
is met exactly, to the last bit, at its unit coordinates. Corners are one pytree with leaves
[D + 1, ...]; `directions` makes those of random directions, of a training path and of solutions.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hw1_jax import data, models
from hw1_jax.loops import RunFailed
from hw1_jax.training import evaluation, losses

PyTree = Any

# Examples at a time in `make_surface_mlp`. Our choice, measured at 784-500-10 on a CPU with 2 MiB
# of second-level cache a core: three corners' pre-activations stay in it (96: 20 s of both cores
# for a plane of 51 x 51 over 60,000 images; 144: 24 s; 192: 25 s; 240: 31 s).
BATCH_SIZE = 96


def stack(*corners: PyTree) -> PyTree:
  """Returns pytrees of one structure as one, leaves [K, ...]; NumPy's if all of them are.

  >>> stack({"w": np.zeros(2)}, {"w": np.ones(2)})["w"].tolist()
  [[0.0, 0.0], [1.0, 1.0]]
  """

  def stacked(*leaves: Any) -> Any:
    on_host = all(isinstance(leaf, np.ndarray) for leaf in leaves)
    return np.stack(leaves) if on_host else jnp.stack(leaves)

  return jax.tree.map(stacked, *corners)


def weights_of(coordinates: jax.Array) -> jax.Array:
  """Returns the corners' weights [..., D + 1], of sum 1, at affine coordinates [..., D].

  >>> weights_of(jnp.array([0.25, 0.5])).tolist()
  [0.25, 0.25, 0.5]
  """
  coordinates = jnp.asarray(coordinates)
  first = 1 - jnp.sum(coordinates, axis=-1, keepdims=True)
  return jnp.concatenate([first, coordinates], axis=-1)


def mix(corners: PyTree, weights: jax.Array) -> PyTree:
  """Returns sum_k weights[k] corner_k, leaves without the axis [K]; exactly a corner at a unit.

  >>> mix(jnp.array([0.0, 4.0]), jnp.array([0.25, 0.75])).item()
  3.0
  """

  def mixed(leaf: jax.Array) -> jax.Array:
    total = weights[0] * leaf[0]
    for k in range(1, leaf.shape[0]):
      total = total + weights[k] * leaf[k]
    return total

  return jax.tree.map(mixed, corners)


def grid(*axes: np.ndarray) -> np.ndarray:
  """Returns the points [A B ..., D] of a grid with the axes [A], [B], ..., the last one fastest.

  Values at the points become the grid by reshape(A, B, ...).

  >>> grid(np.array([0, 1]), np.array([5, 6])).tolist()
  [[0, 5], [0, 6], [1, 5], [1, 6]]
  """
  return np.stack([axis.ravel() for axis in np.meshgrid(*axes, indexing="ij")], axis=-1)


def measure_on(
  measure: Callable[[PyTree], PyTree], corners: PyTree, coordinates: jax.Array
) -> PyTree:
  """Returns `measure` at the points with affine coordinates [K, D], each array with an axis [K].

  One point after the other (`lax.map`): the memory is that of one call of `measure` and of one
  mixed pytree beside the corners. Differentiable and jittable where `measure` is. Batch statistics
  must be part of the pytree, or `measure` must recompute them at each point.

  Args:
    measure: parameters -> a pytree of arrays, such as {"loss": [], "accuracy": []}.
    corners: leaves [D + 1, ...], see `stack`.
    coordinates: [K, D], any real numbers.

  Raises:
    ValueError: the coordinates are not [K, D] for these D + 1 corners.

  Example: a two-layer tanh net on the line from one of its weights to twice them.

  >>> import jax, jax.numpy as jnp
  >>> x = jnp.linspace(-1.0, 1.0, 20)[:, None]
  >>> net = {"in": jnp.array([[1.0, -2.0, 0.5]]), "out": jnp.array([0.3, 0.4, -1.0])}
  >>> def loss(net):
  ...   return jnp.mean((jnp.tanh(x @ net["in"]) @ net["out"] - x[:, 0] ** 2) ** 2)
  >>> double = jax.tree.map(lambda leaf: 2 * leaf, net)
  >>> values = measure_on(loss, stack(net, double), jnp.array([[0.0], [0.5], [1.0]]))
  >>> bool(jnp.allclose(values[jnp.array([0, 2])], jnp.array([loss(net), loss(double)])))
  True
  """
  _require_coordinates(corners, coordinates)
  weights = weights_of(coordinates)
  return jax.lax.map(lambda point: measure(mix(corners, point)), weights)


def classification(logits: jax.Array, labels: jax.Array) -> dict[str, jax.Array]:
  """Returns {"loss", "accuracy"} of each example, [N]: cross-entropy in nats; 1 right, 0 wrong.

  >>> found = classification(jnp.zeros((1, 2)), jnp.array([0]))
  >>> [round(float(found[name][0]), 3) for name in ("loss", "accuracy")]  # ln 2; the first is taken
  [0.693, 1.0]
  """
  return {"loss": losses.cross_entropies(logits, labels), "accuracy": losses.hits(logits, labels)}


def make_surface_mlp(
  model: models.MLP,
  *,
  per_example: Callable[[jax.Array, jax.Array], dict[str, jax.Array]] = classification,
  batch_size: int = BATCH_SIZE,
) -> Callable[..., dict[str, jax.Array]]:
  """Returns `(images, labels, corners, coordinates [K, D]) -> {name: [K]}`, means over examples.

  What `measure_on` of `evaluation.make_evaluate` computes, up to float32's rounding, many times
  faster: the first layer is affine in its weights, so its pre-activation at a point is

      z(c) = sum_k w_k(c) z_k,   z_k = x W_k + b_k at corner k.

  The z_k are computed once for a batch and serve all K points, whose cost is that of the layers
  behind. Beside images and corners the memory is D + 2 arrays [hidden, batch_size] and the results.

  Points are independent: `devices.map_members` over parts of them uses all devices, at the price of
  the z_k once a device.

  Args:
    model: an MLP; its `batch_last` has no meaning here.
    per_example: (outputs [N, C], labels [N]) -> {name: [N]}.
    batch_size: examples at a time, a matter of speed.

  The function takes images uint8 [N, H, W, C] and labels [N, ...]; corners leaves [D + 1, ...].

  >>> model = models.MLP((2, 2))
  >>> corners = stack(*(models.init(model, jax.random.key(s), (1, 1, 1, 1)) for s in (0, 1)))
  >>> images, labels = jnp.zeros((3, 1, 1, 1), jnp.uint8), jnp.array([0, 1, 0])
  >>> found = make_surface_mlp(model)(images, labels, corners, jnp.array([[0.0], [0.5], [1.0]]))
  >>> {name: values.shape for name, values in sorted(found.items())}
  {'accuracy': (3,), 'loss': (3,)}
  """
  activation = models.ACTIVATIONS[model.activation]

  def tail(layers: list[dict[str, jax.Array]], hidden: jax.Array) -> jax.Array:
    for layer in layers:  # units x examples: the small matrices are then long rows
      hidden = layer["kernel"].T @ activation(hidden) + layer["bias"][:, None]
    return hidden.T

  def measure(
    images: jax.Array, labels: jax.Array, corners: PyTree, coordinates: jax.Array
  ) -> dict[str, jax.Array]:
    _require_coordinates(corners, coordinates)
    points = weights_of(coordinates)
    first, *rest = (corners[name] for name in sorted(corners))

    def sums(batch: jax.Array, targets: jax.Array, mask: jax.Array) -> dict[str, jax.Array]:
      x = data.as_float(batch).reshape(batch.shape[0], -1)
      z = jax.vmap(lambda layer: (x @ layer["kernel"] + layer["bias"]).T)(first)

      def at(weights: jax.Array) -> dict[str, jax.Array]:
        outputs = tail(mix(rest, weights), mix(z, weights))
        return {
          name: jnp.sum(values * mask) for name, values in per_example(outputs, targets).items()
        }

      return jax.lax.map(at, points)

    totals = evaluation.in_batches(sums, (images, labels), batch_size)
    return {name: total / images.shape[0] for name, total in totals.items()}

  return measure


def make_surface(model: Any) -> Callable[..., dict[str, jax.Array]]:
  """Returns what `make_surface_mlp` returns, for any model; of an MLP that function itself.

  >>> import jax
  >>> images, labels = jnp.full((5, 2, 2, 1), 255, jnp.uint8), jnp.array([0, 1, 2, 0, 1])
  >>> model = models.MLP((4, 3))
  >>> corners = models.init_members(model, jax.random.split(jax.random.key(0), 3), (1, 2, 2, 1))
  >>> values = make_surface(model)(images, labels, corners, jnp.zeros((7, 2)))
  >>> {name: each.shape for name, each in values.items()}
  {'accuracy': (7,), 'loss': (7,)}
  """
  if isinstance(model, models.MLP):
    return make_surface_mlp(model)
  evaluate = evaluation.make_evaluate(model)

  def measure(
    images: jax.Array, labels: jax.Array, corners: PyTree, coordinates: jax.Array
  ) -> dict[str, jax.Array]:
    return measure_on(lambda params: evaluate(images, labels, params), corners, coordinates)

  return measure


class DegeneratePlane(ValueError, RunFailed):
  """Points that span no plane: a path on one line, or that does not move."""


def frame(corners: PyTree) -> np.ndarray:
  """Returns R [D, D], upper triangular, float64: distances in weight space of affine coordinates.

  R c are the orthogonal coordinates of theta(c) - theta_0, in the weights' unit: axis 1 points to
  corner 1, axis 2 to corner 2 as far as it is perpendicular to axis 1, and so on. Thus
  ||theta(c) - theta(c')||_2 = ||R (c - c')||_2. R is the Cholesky factor of the Gram matrix of the
  differences theta_k - theta_0.

  Raises:
    DegeneratePlane: the corners do not span D dimensions, such as three solutions on one line.

  >>> frame(np.array([[0.0, 0.0], [2.0, 0.0], [1.0, 1.0]])).tolist()
  [[2.0, 1.0], [0.0, 1.0]]
  """
  leaves = [np.asarray(leaf, np.float64) for leaf in jax.tree.leaves(corners)]
  count = leaves[0].shape[0]
  gram = np.zeros((count - 1, count - 1))
  for leaf in leaves:
    rows = (leaf[1:] - leaf[:1]).reshape(count - 1, -1)
    gram += rows @ rows.T
  scale = np.sqrt(np.diag(gram))
  cosines = gram / np.outer(scale, scale) if scale.all() else gram
  if not scale.all() or np.linalg.eigvalsh(cosines)[0] < 1e-12:
    raise DegeneratePlane(
      f"corners: got {count} points in a space of fewer than {count - 1} dimensions, expected "
      "points in general position; leave one out"
    )
  return np.linalg.cholesky(gram).T


def _require_coordinates(corners: PyTree, coordinates: jax.Array) -> None:
  dimensions = jax.tree.leaves(corners)[0].shape[0] - 1
  if jnp.ndim(coordinates) != 2 or jnp.shape(coordinates)[1] != dimensions:
    raise ValueError(
      f"coordinates: got shape {jnp.shape(coordinates)}, expected [K, {dimensions}] for "
      f"{dimensions + 1} corners"
    )
