"""Networks with one hidden layer of piecewise linear units: minima that may lie on kinks.

    f(x) = b + sum_j w_j phi(v_j . x~),   x~ = (1, x),   phi(z) = z for z > 0, else slope z,

and L = (1/N) sum_i r_i^2 with r_i = f(x_i) - y_i. Unit j has a kink at example i where
z_ij = v_j . x~_i = 0, a hyperplane of v_j. Across it the gradient with respect to v_j jumps by
c x~_i with c = (2/N) (1 - slope) w_j r_i. Where c > 0 the loss can be lowest right on the kink:
stationary in the sense of Clarke, though the gradient is zero on neither side. With n = x~_i/|x~_i|
and g = dL/dv_j on the side z <= 0 (off), the slopes along n are g.n on that side and
g.n + c |x~_i| on the other, and no direction is downhill exactly if

    g.n <= 0 <= g.n + c |x~_i|,    and g - (g.n) n = 0, and the gradient of all else is zero.

The multiplier s = -g.n / (c |x~_i|), in [0, 1], makes g + s c x~_i vanish along n: a point of the
convex hull of the two gradients (Clarke, Optimization and Nonsmooth Analysis, 1983).

`certify` judges any point by the smallest norm in that hull; `kink_search.minimize` finds one.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy

Params = (
  Any  # {"dense_00": {"bias" [H], "kernel" [D, H]}, "dense_01": {"bias" [1], "kernel" [H, 1]}}
)


# Kinks this near, in units of a hidden unit's weights, count as adjacent. Our choice: held kinks
# lie within 1e-15, all others of a trained network mostly beyond 1e-6.
DISTANCE = 1e-10
NO_JUMP = 1e-16  # a jump of the gradient below this is none: units whose weights have vanished


class Network(NamedTuple):
  """The parameters as the equations above have them."""

  inner: jax.Array  # [H, 1 + D]: v, bias first
  outer: jax.Array  # [H]: w
  bias: jax.Array  # []


def from_params(params: Params) -> Network:
  """Returns the network of `models.MLP((H, 1))` parameters.

  Raises:
    ValueError: there is not one hidden layer, or not one output.

  >>> import jax.numpy as jnp
  >>> network = Network(jnp.asarray([[0.0, 1.0]]), jnp.asarray([1.0]), jnp.asarray(0.0))  # relu(x)
  >>> from_params(to_params(network)).inner.tolist()
  [[0.0, 1.0]]
  """
  if len(params) != 2 or params["dense_01"]["kernel"].shape[1] != 1:
    raise ValueError(
      f"params: got layers {[leaf['kernel'].shape for leaf in params.values()]}, expected one"
      f" hidden layer and one output; for other networks use levenberg_marquardt.minimize"
    )
  first, second = params["dense_00"], params["dense_01"]
  inner = jnp.concatenate([first["bias"][:, None], first["kernel"].T], axis=1)
  return Network(inner, second["kernel"][:, 0], second["bias"][0])


def to_params(network: Network) -> Params:
  """Returns the parameters of `models.MLP((H, 1))`: the way back from `from_params`.

  >>> import jax.numpy as jnp
  >>> network = Network(jnp.asarray([[0.0, 1.0]]), jnp.asarray([1.0]), jnp.asarray(0.0))  # relu(x)
  >>> to_params(network)["dense_00"]["kernel"].tolist()
  [[1.0]]
  """
  return {
    "dense_00": {"bias": network.inner[:, 0], "kernel": network.inner[:, 1:].T},
    "dense_01": {"bias": network.bias[None], "kernel": network.outer[:, None]},
  }


def held_normals(held: jax.Array, extended: jax.Array) -> jax.Array:
  """Returns the normals n of the held kinks, [H, 1 + D], zero where none; `extended` is x~.

  >>> import jax.numpy as jnp
  >>> held_normals(jnp.asarray([1, -1]), jnp.asarray([[1.0, 2.0], [1.0, 0.0]])).tolist()
  [[1.0, 0.0], [0.0, 0.0]]
  """
  chosen = extended[jnp.maximum(held, 0)]
  chosen = chosen / jnp.linalg.norm(chosen, axis=1, keepdims=True)
  return jnp.where((held >= 0)[:, None], chosen, 0.0)


def extend(inputs: jax.Array) -> jax.Array:
  """Returns x~ = (1, x), [N, 1 + D].

  >>> import jax.numpy as jnp
  >>> extend(jnp.asarray([[3.0]])).tolist()
  [[1.0, 3.0]]
  """
  return jnp.concatenate([jnp.ones_like(inputs[:, :1]), inputs], axis=1)


class Certificate(NamedTuple):
  """How stationary a point is, in the sense of Clarke."""

  norm: float  # no more than this: the smallest norm in the convex hull of the pieces' gradients
  gradient_norm: float  # of the piece that the signs of z say
  num_kinks: int  # kinks within the distance, those without a jump left out
  num_concave: int  # of them, with c < 0: the loss falls away from them on both sides
  multipliers: np.ndarray  # [num_kinks] s in [0, 1], unit by unit


def certify(
  params: Params, inputs: Any, targets: Any, *, slope: float = 0.0, distance: float = DISTANCE
) -> Certificate:
  """Returns the smallest norm in the convex hull of the gradients of the pieces around `params`.

  Pieces that differ by kinks within `distance`, measured in v_j, count as adjacent. Kinks of
  different units, and of one unit at up to 1 + D examples in general position, can be crossed
  independently, so that the hull is a box and its element of smallest norm a bounded least-squares
  problem per unit: closed for one kink, `scipy.optimize.lsq_linear` for more. Of a unit with more
  than 1 + D kinks the others keep their side, and the norms of their jumps are added: the result is
  then an upper bound, and a small one still proves what it says. On the host, float64.

  Args:
    params: of `models.MLP((H, 1))`.
    inputs: [N, D].
    targets: [N, 1].
    slope: phi's below zero.
    distance: of kinks that count as adjacent.

  Raises:
    ValueError: not one hidden layer with one output.

  >>> import jax.numpy as jnp
  >>> network = Network(jnp.asarray([[0.0, 1.0]]), jnp.asarray([1.0]), jnp.asarray(0.0))  # relu(x)
  >>> found = certify(to_params(network), jnp.asarray([[0.0]]), jnp.asarray([[-1.0]]))
  >>> found.num_kinks, found.norm  # relu at its kink; the bias keeps 2
  (1, 2.0)
  """
  network = from_params(params)
  v, w, b = (np.asarray(leaf, np.float64) for leaf in network)
  x = np.column_stack([np.ones(len(inputs)), np.asarray(inputs, np.float64)])
  z = x @ v.T
  r = np.where(z > 0, z, slope * z) @ w + b - np.asarray(targets, np.float64)[:, 0]
  lengths = np.linalg.norm(x, axis=1)
  jumps = 2 / len(r) * (1 - slope) * r[:, None] * w  # [N, H]: c
  sizes = np.abs(jumps) * lengths[:, None]
  near = (np.abs(z) <= distance * lengths[:, None]) & (sizes > NO_JUMP)
  slopes = np.where(z > 0, 1.0, slope)
  inner = 2 / len(r) * w[:, None] * ((slopes * r[:, None]).T @ x)  # [H, 1 + D], as the signs say
  outer = 2 / len(r) * np.append(r @ np.where(z > 0, z, slope * z), r.sum())
  multipliers: list[float] = []
  slack, norms = 0.0, np.sum(inner**2, axis=1)
  for unit in np.flatnonzero(near.any(axis=0)):
    rows = np.flatnonzero(near[:, unit])
    rows = rows[np.argsort(-sizes[rows, unit])]
    slack += float(np.sum(sizes[rows[x.shape[1] :], unit]))
    rows = rows[: x.shape[1]]
    directions = (jumps[rows, unit][:, None] * x[rows]).T  # [1 + D, kinks]
    off = inner[unit] - directions @ (z[rows, unit] > 0)
    s = _smallest(directions, off)
    multipliers.extend(s)
    norms[unit] = np.sum((off + directions @ s) ** 2)
  rest = float(np.sum(outer**2))
  return Certificate(
    float(np.sqrt(norms.sum() + rest)) + slack,
    float(np.sqrt(np.sum(inner**2) + rest)),
    int(near.sum()),
    int((near & (jumps < 0)).sum()),
    np.asarray(multipliers),
  )


def hold(hessian: jax.Array, held: jax.Array, inputs: jax.Array) -> jax.Array:
  """Returns the Hessian within the held kinks, [P, P]: the normals' rows and columns projected out.

  The held set is linear in the weights, so the projection P H P, P = I - n n' over all held units,
  is the Hessian on that manifold. Its extra eigenvalues, as many as held kinks, are exact zeros up
  to rounding; `held_eigenvalues` leaves them out.

  >>> import jax.numpy as jnp
  >>> hessian, inputs = jnp.ones((4, 4)), jnp.asarray([[0.0]])  # held at x = 0: the bias is fixed
  >>> hold(hessian, jnp.asarray([0]), inputs)[0].tolist()
  [0.0, 0.0, 0.0, 0.0]
  """
  normals = held_normals(held, extend(inputs)).T  # [1 + D, H], as the parameters lie
  half = project_normals(hessian, normals)
  return project_normals(half.T, normals)


def project_normals(rows: jax.Array, normals: jax.Array) -> jax.Array:
  """Returns `rows` [P, ...] without their parts along `normals` [1 + D, H] of the units' inputs.

  >>> import jax.numpy as jnp
  >>> project_normals(jnp.asarray([3.0, 4.0, 5.0]), jnp.asarray([[1.0], [0.0]])).tolist()
  [0.0, 4.0, 5.0]
  """
  head = rows[: normals.size].reshape(*normals.shape, -1)
  along = jnp.sum(head * normals[..., None], axis=0)
  head = head - normals[..., None] * along
  return jnp.concatenate([head.reshape(normals.size, *rows.shape[1:]), rows[normals.size :]])


def held_eigenvalues(eigenvalues: np.ndarray, num_held: int) -> np.ndarray:
  """Returns the eigenvalues [P] of `hold`'s matrix, ascending, NaN for the `num_held` projected.

  Of the zeros that the projection makes, those nearest to zero are taken out.

  >>> held_eigenvalues(np.asarray([-1.0, 0.0, 2.0]), 1).tolist()
  [-1.0, 2.0, nan]
  """
  order = np.argsort(np.abs(eigenvalues), kind="stable")
  kept = np.sort(np.delete(eigenvalues, order[:num_held]))
  return np.append(kept, np.full(num_held, np.nan))


def _smallest(directions: np.ndarray, off: np.ndarray) -> np.ndarray:
  """Returns s in [0, 1]^k with the smallest |off + directions s|."""
  if directions.shape[1] == 1:
    column = directions[:, 0]
    return np.clip([-(column @ off) / (column @ column)], 0.0, 1.0)
  scale = np.linalg.norm(directions)  # gradients are tiny, and the solver's tolerances absolute
  return scipy.optimize.lsq_linear(directions / scale, -off / scale, (0.0, 1.0), "bvls").x
