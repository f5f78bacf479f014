"""Networks of piecewise linear units on their kinks: derivatives within the held ones.

Unit k of the K hidden units, layer by layer, is held on its kink z_k = 0 at one example, or at
none. The held set is a manifold of weights with the normals n_k = dz_k/dtheta. Across a kink the
gradient of L = (1/N) |r|^2 jumps by c_k n_k, c_k = (1 - slope) dL/dphi(z_k). With mu_k the
components of the gradient g of the sides z <= 0, g = sum_k mu_k n_k + tangential rest, no direction
is downhill if

    mu_k <= 0 <= mu_k + c_k    for all k, and the rest is zero.

On the manifold L is smooth, and its Hessian there is that of L - sum_k mu_k z_k, with the normals
projected out: the second term is the manifold's curvature (Nocedal & Wright, ch. 12).
`piece_search` looks for such points; for one hidden layer, whose kinks are flat, see `kinks`.
"""

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from hw1_jax import pytrees
from hw1_jax.analysis import hessians, lapack

Params = Any  # of `models.MLP((..., 1))`: {"dense_00": {"bias", "kernel"}, ...}


class Network(NamedTuple):
  """A network's shape, its data, and its weights' order."""

  inputs: jax.Array  # [N, D]
  targets: jax.Array  # [N]
  slope: float
  names: tuple[str, ...]
  starts: tuple[int, ...]  # of the hidden layers among the K units, and K
  unravel: Callable[[jax.Array], Params]


class Kinks(NamedTuple):
  """The held kinks at a point; rows of units without one are zero."""

  normals: jax.Array  # [K, P]
  mu: jax.Array  # [K]
  smooth: jax.Array  # the tangential rest's norm
  downhill: jax.Array  # [K] slope along the normal, where it leads downhill
  side: jax.Array  # [K]: to which side


def make_network(
  params: Params, inputs: jax.Array, targets: jax.Array, slope: float = 0.0
) -> Network:
  """Returns the network of the parameters' shapes.

  Args:
    params: of `models.MLP((..., 1))`.
    inputs: [N, D].
    targets: [N, 1].
    slope: phi's below zero.

  Raises:
    ValueError: not one output, or no hidden layer.

  >>> params = {"dense_00": {"bias": jnp.zeros(1), "kernel": jnp.ones((1, 1))},
  ...           "dense_01": {"bias": jnp.zeros(1), "kernel": jnp.ones((1, 1))}}  # relu(x)
  >>> make_network(params, jnp.zeros((2, 1)), jnp.ones((2, 1))).starts
  (0, 1)
  """
  names = tuple(sorted(params))
  if len(names) < 2 or params[names[-1]]["kernel"].shape[1] != 1:
    raise ValueError(f"params: got {len(names)} layers, expected a hidden layer and one output")
  widths = [params[name]["bias"].size for name in names[:-1]]
  starts = (0, *itertools.accumulate(widths))
  unravel = pytrees.ravel(params)[1]
  return Network(jnp.asarray(inputs), jnp.asarray(targets)[:, 0], slope, names, starts, unravel)


def _example() -> tuple[Network, jax.Array, jax.Array]:
  """Returns relu(x) at x = 0 and 1, held on its kink at the former, for the examples here."""
  layer = {"bias": jnp.zeros(1), "kernel": jnp.ones((1, 1))}
  params = {"dense_00": layer, "dense_01": layer}
  network = make_network(params, jnp.asarray([[0.0], [1.0]]), jnp.asarray([[-1.0], [0.0]]))
  return network, pytrees.ravel(params)[0], jnp.asarray([0])


def within(network: Network, theta: jax.Array, held: jax.Array) -> tuple[jax.Array, jax.Array]:
  """Returns the Hessian [P, P] and the Jacobian of the residuals [N, P] within the held kinks.

  The normals are projected out of both: as many exact zeros, up to rounding, as held kinks.

  >>> matrix, jacobian = within(*_example())
  >>> matrix.shape, jacobian[0].tolist()  # at x = 0 relu(x) = 0, whatever its weight
  ((4, 4), [0.0, 0.0, 1.0, 0.0])
  """
  found = measure(network, theta, held)

  def lagrangian(theta: jax.Array) -> jax.Array:
    loss = jnp.mean(jnp.square(residuals(network, theta, held)))
    return loss - found.mu @ jnp.where(held >= 0, _held_values(network, theta, held), 0.0)

  matrix = project(hessians.hessian(lagrangian, theta), found.normals, held)
  matrix = project(matrix.T, found.normals, held)
  return (matrix + matrix.T) / 2, project(jacobian(network, theta, held), found.normals, held)


def _held_values(network: Network, theta: jax.Array, held: jax.Array) -> jax.Array:
  """Returns z_k [K] at the held kinks: zeros, whose derivatives are not."""
  examples = jnp.maximum(held, 0)
  inputs = network.inputs[examples]
  return jnp.diag(_forward(network, network.unravel(theta), inputs, held, examples)[1])


def _forward(
  network: Network, params: Params, inputs: jax.Array, held: jax.Array, index: jax.Array,
  shifts: jax.Array | None = None,
) -> tuple[jax.Array, jax.Array]:  # fmt: skip
  """Returns (outputs [n], z [n, K]) at `inputs` [n, D], the examples `index` [n]; held z are zero.

  Their derivatives are not, and those of phi there those of the side z <= 0. `shifts` [n, K] are
  added to the units' values, to be differentiated by.
  """
  values = inputs
  all_z: list[jax.Array] = []
  for i, name in enumerate(network.names):
    z = values @ params[name]["kernel"] + params[name]["bias"]
    if i == len(network.names) - 1:
      return z[:, 0], jnp.concatenate(all_z, axis=1)
    units = slice(network.starts[i], network.starts[i + 1])
    z = z - jnp.where(index[:, None] == held[units], jax.lax.stop_gradient(z), 0.0)
    values = jnp.where(z > 0, z, network.slope * z)
    values = values if shifts is None else values + shifts[:, units]
    all_z.append(z)
  raise AssertionError  # there is a last layer


def whole(
  network: Network, theta: jax.Array, held: jax.Array, shifts: jax.Array | None = None
) -> tuple[jax.Array, jax.Array]:
  """Returns (residuals [N], z [N, K]) at the weights `theta` [P]; `shifts` as in `_forward`.

  >>> r, z = whole(*_example())
  >>> r.tolist(), z[:, 0].tolist()
  ([1.0, 1.0], [0.0, 1.0])
  """
  index = jnp.arange(network.targets.size)
  outputs, z = _forward(network, network.unravel(theta), network.inputs, held, index, shifts)
  return outputs - network.targets, z


def residuals(network: Network, theta: jax.Array, held: jax.Array) -> jax.Array:
  """Returns r [N].

  >>> residuals(*_example()).tolist()
  [1.0, 1.0]
  """
  return whole(network, theta, held)[0]


def jacobian(network: Network, theta: jax.Array, held: jax.Array) -> jax.Array:
  """Returns dr/dtheta [N, P], one example at a time.

  >>> jacobian(*_example())[1].tolist()  # at x = 1, by inner bias and weight, outer ones
  [1.0, 1.0, 1.0, 1.0]
  """

  def output(theta: jax.Array, x: jax.Array, index: jax.Array) -> jax.Array:
    return _forward(network, network.unravel(theta), x[None], held, index[None])[0][0]

  index = jnp.arange(network.targets.size)
  return jax.vmap(jax.grad(output), (None, 0, 0))(theta, network.inputs, index)


def normals(network: Network, theta: jax.Array, held: jax.Array) -> jax.Array:
  """Returns dz_k/dtheta at the held kinks, [K, P], zero where nothing is held.

  >>> normals(*_example()).tolist()  # z = v_0 + v_1 x at x = 0
  [[1.0, 0.0, 0.0, 0.0]]
  """

  def pre_activation(theta: jax.Array, unit: jax.Array, index: jax.Array) -> jax.Array:
    x = network.inputs[index]
    return _forward(network, network.unravel(theta), x[None], held, index[None])[1][0, unit]

  units, examples = jnp.arange(network.starts[-1]), jnp.maximum(held, 0)
  rows = jax.vmap(jax.grad(pre_activation), (None, 0, 0))(theta, units, examples)
  return jnp.where((held >= 0)[:, None], rows, 0.0)


def signals(network: Network, theta: jax.Array, held: jax.Array) -> jax.Array:
  """Returns dL/dphi(z) [N, K].

  >>> signals(*_example()).tolist()  # 2/N r w
  [[1.0], [1.0]]
  """

  def loss(shifts: jax.Array) -> jax.Array:
    return jnp.mean(jnp.square(whole(network, theta, held, shifts)[0]))

  return jax.grad(loss)(jnp.zeros((network.targets.size, network.starts[-1])))


def measure(network: Network, theta: jax.Array, held: jax.Array) -> Kinks:
  """Returns normals and components of the gradient at the held kinks, and what leads downhill.

  >>> found = measure(*_example())
  >>> found.mu.tolist(), float(found.downhill[0])  # g_0 = 2/N r at x = 1: down towards z < 0
  ([1.0], 1.0)
  """
  is_held = held >= 0
  rows = normals(network, theta, held)
  gradient = jax.grad(lambda t: jnp.mean(jnp.square(residuals(network, t, held))))(theta)
  root = _root(rows, held)
  mu = lapack.solve(root, rows @ gradient)
  inverse = lapack.solve(root, jnp.eye(held.size))
  units, examples = jnp.arange(held.size), jnp.maximum(held, 0)
  jump = (1 - network.slope) * signals(network, theta, held)[examples, units]
  off, on = mu, mu + jump
  downhill = jnp.maximum(jnp.maximum(off, -on), 0.0) / jnp.sqrt(jnp.diag(inverse))
  return Kinks(rows, mu, jnp.linalg.norm(gradient - rows.T @ mu),
                jnp.where(is_held, downhill, 0.0), jnp.where(off > -on, -1.0, 1.0))  # fmt: skip


def _root(rows: jax.Array, held: jax.Array) -> jax.Array:
  return lapack.factor(rows @ rows.T + jnp.diag(jnp.where(held >= 0, 0.0, 1.0)))


def project(matrix: jax.Array, rows: jax.Array, held: jax.Array) -> jax.Array:
  """Returns `matrix` [n, P] with its rows' parts in the span of `rows` [K, P] taken out.

  >>> network, theta, held = _example()
  >>> project(jnp.ones((1, 4)), normals(network, theta, held), held).tolist()
  [[0.0, 1.0, 1.0, 1.0]]
  """
  along = lapack.solve(_root(rows, held), rows @ matrix.T)
  return matrix - along.T @ rows


def put(network: Network, theta: jax.Array, held: jax.Array, wanted: jax.Array) -> jax.Array:
  """Returns weights with z_k as `wanted` [K] at the held kinks, by each unit's own weights.

  >>> network, theta, held = _example()
  >>> put(network, theta + 1.0, held, jnp.zeros(1)).tolist()
  [0.0, 2.0, 1.0, 2.0]
  """
  params = dict(network.unravel(theta))
  examples = jnp.maximum(held, 0)
  values = network.inputs
  index = jnp.arange(network.targets.size)[:, None]
  for i, name in enumerate(network.names[:-1]):
    units = slice(network.starts[i], network.starts[i + 1])
    rows = values[examples[units]]  # [H, I]
    kernel, bias = params[name]["kernel"], params[name]["bias"]
    excess = jnp.sum(rows * kernel.T, axis=1) + bias - wanted[units]
    excess = jnp.where(held[units] >= 0, excess / (1 + jnp.sum(rows**2, axis=1)), 0.0)
    kernel, bias = kernel - (rows * excess[:, None]).T, bias - excess
    params[name] = {"bias": bias, "kernel": kernel}
    z = values @ kernel + bias
    z = jnp.where(index == held[units], wanted[units], z)
    values = jnp.where(z > 0, z, network.slope * z)
  return pytrees.ravel(params)[0]
