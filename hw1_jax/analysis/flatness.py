"""How flat a minimum is: the measures that are compared with generalization in the literature.

Each takes any loss of any pytree, params -> scalar (worst and expected sharpness; PAC-Bayes bounds
in `pac_bayes`), a loss of one weight matrix (relative flatness), or a network of dense layers (in
`norms`). The Hessian's largest eigenvalue is in `lanczos`, its trace in `traces`.

Memory: a few copies of the parameters, and what one gradient of `loss` needs. What they cannot do:
maxima are found by ascent, so worst-case sharpness is a lower bound where the loss is not convex in
the neighbourhood; with dropout or batch statistics a loss is no function of the parameters alone.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hw1_jax import pytrees
from hw1_jax.analysis.traces import Estimate

PyTree = Any
Loss = Callable[[PyTree], jax.Array]


class Neighbourhood(NamedTuple):
  """A set of offsets d, known by its farthest points."""

  farthest: Callable[[PyTree], PyTree]  # direction g -> argmax of <g, d> over the set
  scales: PyTree  # its half-width along each coordinate, up to a common factor


def ball(radius: float, scales: PyTree) -> Neighbourhood:
  """Returns the d with ||d / s||_2 <= radius: d = radius s^2 g / ||s g||_2 is the farthest along g.

  s = 1 is SAM's neighbourhood (Foret et al. 2021), s = |theta| ASAM's adaptive one, which no
  rescaling of weights changes that leaves the function as it is (Kwon et al. 2021, eq. 3).

  >>> ball(2.0, jnp.ones(2)).farthest(jnp.array([0.0, 4.0])).tolist()
  [0.0, 2.0]
  """

  def farthest(direction: PyTree) -> PyTree:
    length = pytrees.norm(jax.tree.map(jnp.multiply, scales, direction))
    factor = radius / jnp.where(length > 0, length, 1)
    return jax.tree.map(lambda s, g: factor * s * s * g, scales, direction)

  return Neighbourhood(farthest, scales)


def box(half_widths: PyTree) -> Neighbourhood:
  """Returns the d with |d_i| <= half_widths_i; Keskar et al. (2017): epsilon (|theta_i| + 1).

  >>> box(jnp.array([0.25, 0.5])).farthest(jnp.array([-3.0, 4.0])).tolist()
  [-0.25, 0.5]
  """

  def farthest(direction: PyTree) -> PyTree:
    return jax.tree.map(lambda h, g: h * jnp.sign(g), half_widths, direction)

  return Neighbourhood(farthest, half_widths)


def worst_case_sharpness(
  loss: Loss, params: PyTree, neighbourhood: Neighbourhood, key: jax.Array, *, num_steps: int = 20
) -> jax.Array:
  """Returns max L(theta + d) - L(theta) over a neighbourhood, >= 0, as far as ascent finds it.

  d <- argmax over the neighbourhood of <grad L(theta + d), d>, the generalized power method
  (Journee et al. 2010): monotone and free of a step size where L is convex. The best d of
  `num_steps` from d = 0, whose first step is SAM's, and as many from a random d, without which a
  point of gradient zero would be left nowhere, counts.

  Args:
    loss: params -> scalar.
    params: the minimum, real arrays.
    neighbourhood: `ball` or `box`.
    key: of the random start.
    num_steps: of each ascent; our choice: the last 10 of 20 move trained nets by less than 1 %.

  >>> import jax, jax.numpy as jnp
  >>> quadratic = lambda w: 0.5 * (3 * w[0] ** 2 + w[1] ** 2)
  >>> unit, key = ball(0.1, jnp.ones(2)), jax.random.key(0)
  >>> print(f"{worst_case_sharpness(quadratic, jnp.zeros(2), unit, key):.4f}")  # r^2 lambda_max / 2
  0.0150
  """
  gradient = jax.value_and_grad(loss)

  def step(offset: PyTree, _: None) -> tuple[PyTree, jax.Array]:
    value, slope = gradient(jax.tree.map(jnp.add, params, offset))
    return neighbourhood.farthest(slope), value

  theta, unravel = pytrees.ravel(params)
  # Over the scales, so that the start goes along when the neighbourhood is rescaled.
  direction = jax.tree.map(
    lambda n, s: jnp.where(s > 0, n / jnp.where(s > 0, s, 1), 0),
    unravel(jax.random.normal(key, theta.shape, theta.dtype)),
    neighbourhood.scales,
  )
  random = neighbourhood.farthest(direction)
  starts = jax.tree.map(lambda leaf: jnp.stack([jnp.zeros_like(leaf), leaf]), random)
  # The losses before each step and behind the last one, [2, num_steps + 1]; first, at d = 0. One
  # loop with one gradient in it: loss and gradient are compiled once.
  values = jax.lax.map(lambda d: jax.lax.scan(step, d, None, length=num_steps + 1)[1], starts)
  return jnp.max(values) - values[0, 0]


def keskar_sharpness(
  loss: Loss, params: PyTree, key: jax.Array, *, epsilon: float = 1e-3, num_steps: int = 20
) -> jax.Array:
  """Returns 100 (max L - L(theta)) / (1 + L(theta)) over |d_i| <= epsilon (|theta_i| + 1), in %.

  Keskar et al. (2017), metric 2.1 with A the identity and their smaller epsilon by default.

  >>> round(float(keskar_sharpness(lambda t: jnp.sum(t**2), jnp.zeros(2), jax.random.key(0))), 6)
  0.0002
  """
  half_widths = jax.tree.map(lambda leaf: epsilon * (jnp.abs(leaf) + 1), params)
  rise = worst_case_sharpness(loss, params, box(half_widths), key, num_steps=num_steps)
  return 100 * rise / (1 + loss(params))


def expected_sharpness(
  loss: Loss,
  params: PyTree,
  key: jax.Array,
  deviation: float | jax.Array,
  *,
  adaptive: bool | jax.Array = False,
  num_pairs: int = 16,
) -> Estimate:
  """Returns E L(theta + sigma s e) - L(theta), e standard normal, with its standard error.

  s = 1, or |theta| if `adaptive` (not changed by rescaling). In antithetic pairs (+e, -e), which
  takes the first-order term out of the error. For a quadratic: sigma^2 tr(H) / 2.

  Raises:
    ValueError: fewer than 2 pairs.

  >>> rise = expected_sharpness(lambda t: 3 * t @ t, jnp.zeros(100), jax.random.key(0), 0.1)
  >>> bool(abs(rise.mean - 0.01 * 600 / 2) < 4 * rise.error)  # sigma^2 tr(H) / 2
  True
  """
  if num_pairs < 2:
    raise ValueError(f"num_pairs: got {num_pairs}, expected at least 2, for a standard error")
  theta, unravel = pytrees.ravel(params)
  scale = deviation * jnp.where(adaptive, jnp.abs(theta), 1)

  def rise(key: jax.Array) -> jax.Array:
    offset = scale * jax.random.normal(key, theta.shape, theta.dtype)
    return (loss(unravel(theta + offset)) + loss(unravel(theta - offset))) / 2

  rises = jax.lax.map(rise, jax.random.split(key, num_pairs)) - loss(params)
  return Estimate(jnp.mean(rises), jnp.std(rises, ddof=1) / num_pairs**0.5)


def relative_flatness(
  loss: Callable[[jax.Array], jax.Array],
  kernel: jax.Array,
  key: jax.Array,
  *,
  num_probes: int = 64,
) -> Estimate:
  """Returns sum over units s, s' of <w_s, w_s'> tr H_ss', for one kernel [in, out].

  Petzka et al. (2021), definition 3: w_s = kernel[:, s] and H_ss' [in, in] the block of the
  Hessian of `loss` between two units' weights; not changed by rescaling layers. Estimated without
  bias by v' H v with v = g (kernel' u)', g and u random signs [in]: a Hessian-vector product each.

  Raises:
    ValueError: `kernel` is no matrix, or fewer than 2 probes.

  >>> kernel = jnp.array([[2.0]])  # one weight: w^2 H
  >>> relative_flatness(lambda w: 3 * jnp.sum(w**2), kernel, jax.random.key(0)).mean.item()
  24.0
  """
  if kernel.ndim != 2 or num_probes < 2:
    raise ValueError(
      f"kernel, num_probes: got shape {kernel.shape} and {num_probes}, expected a matrix [in, out]"
      " and at least 2"
    )
  _, product = jax.linearize(jax.grad(loss), kernel)

  def sample(key: jax.Array) -> jax.Array:
    signs = jax.random.rademacher(key, (2, kernel.shape[0]), kernel.dtype)
    vector = jnp.outer(signs[0], signs[1] @ kernel)
    return jnp.sum(vector * product(vector))

  samples = jax.lax.map(sample, jax.random.split(key, num_probes))
  return Estimate(jnp.mean(samples), jnp.std(samples, ddof=1) / num_probes**0.5)


def invariance_audit(
  measures: dict[str, Callable[[PyTree], Any]],
  params: PyTree,
  transform: Callable[[PyTree, float], PyTree],
  factors: tuple[float, ...],
) -> dict[str, np.ndarray]:
  """Returns how every measure moves when the weights do and the function does not.

  For each measure, values at transform(params, factor) over that at `params`, [F]: 1 throughout for
  a measure that is invariant. With `norms.rescale_layers` it is the argument of Dinh et al. (2017),
  which shows for some measures that they can be made arbitrarily large. Put a value of the function
  itself among the measures: the audit is only as good as the transform.

  >>> audit = invariance_audit({"a": lambda w: w[0], "ab": lambda w: w[0] * w[1]}, (2.0, 3.0),
  ...                          lambda w, c: (w[0] * c, w[1] / c), (1.0, 4.0))
  >>> audit["a"].tolist(), audit["ab"].tolist()
  ([1.0, 4.0], [1.0, 1.0])
  """
  rescaled = [transform(params, factor) for factor in factors]
  audit = {}
  for name, measure in measures.items():
    reference = float(measure(params))
    audit[name] = np.array([float(measure(p)) for p in rescaled]) / reference
  return audit
