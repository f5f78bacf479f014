"""Spectra of large symmetric matrices from products alone: Lanczos and random probes.

The recurrence itself is `tridiagonal`. (matfree 0.6.3 finds the same nodes to 2e-6 of the largest,
and takes longer: docs/performance.md.)

Multiplicities are seen by the density only: a run finds one eigenvector of an eigenvalue. Those in
the bulk do not converge; in float32 nothing below about 1e-6 max|lambda| has a sign.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy

from hw1_jax.analysis import lapack
from hw1_jax.analysis.products import Operator
from hw1_jax.analysis.traces import Estimate, estimate, trace_and_norm
from hw1_jax.analysis.tridiagonal import NUM_STEPS, Tridiagonal, tridiagonalize


class Quadrature(NamedTuple):
  """Gauss quadrature of K probes' spectral measures: nodes ascending, weights that sum to 1."""

  nodes: jax.Array  # [K, m], in units of the matrix
  weights: jax.Array  # [K, m]


class Eigenpairs(NamedTuple):
  """Approximate eigenpairs; some eigenvalue lies within `residuals` of each value."""

  values: jax.Array  # [k]
  vectors: jax.Array  # [k, P], unit length
  residuals: jax.Array  # [k], ||A v - value v||_2


def _solve(run: Tridiagonal) -> tuple[jax.Array, jax.Array]:
  """Returns T's eigenvalues [K, m], ascending, and eigenvectors as columns, [K, m, m]."""
  matrix = jax.vmap(lambda d, o: jnp.diag(d) + jnp.diag(o, 1) + jnp.diag(o, -1))
  return jax.vmap(lapack.eigh)(matrix(run.diagonal, run.off[:, :-1]))


def quadrature(run: Tridiagonal) -> Quadrature:
  """Returns the Gauss quadrature of each run's spectral measure (Golub and Welsch 1969).

  >>> from hw1_jax.analysis.products import matrix_operator
  >>> matrix = matrix_operator(jnp.diag(jnp.array([1.0, 3.0])))
  >>> run = tridiagonalize(matrix, jnp.array([[1.0, 1.0]]), 2)
  >>> [round(weight, 3) for weight in quadrature(run).weights[0].tolist()]
  [0.5, 0.5]
  """
  nodes, vectors = _solve(run)
  return Quadrature(nodes, jnp.square(vectors[:, 0, :]))


def spectral_quadrature(
  operator: Operator, key: jax.Array, *, num_probes: int = 4, num_steps: int = NUM_STEPS
) -> Quadrature:
  """Returns stochastic Lanczos quadrature of the eigenvalue density from `num_probes` probes.

  The density (1/P) sum_i delta(x - lambda_i) is the mean of v' delta(x - A) v over unit v. With
  signs it is unbiased up to the quadrature's error, 0 for polynomials up to degree 2 m - 1
  (Ubaru, Chen and Saad 2017; for networks Ghorbani et al. 2019).

  >>> from hw1_jax.analysis.products import matrix_operator
  >>> matrix = matrix_operator(jnp.diag(jnp.array([1.0, 3.0])))
  >>> found = jax.jit(lambda key: spectral_quadrature(matrix, key, num_probes=1, num_steps=2))(
  ...   jax.random.key(0))
  >>> [round(part, 3) for part in (*found.nodes[0].tolist(), *found.weights[0].tolist())]
  [1.0, 3.0, 0.5, 0.5]
  """
  probes = jax.random.rademacher(key, (num_probes, operator.size), operator.dtype)
  return quadrature(tridiagonalize(operator, probes, num_steps))


@jax.jit
def density(nodes_weights: Quadrature, grid: jax.Array | np.ndarray, width: float) -> Estimate:
  """Returns the density at `grid` [G] convolved with a Gaussian of standard deviation `width`.

  Per unit of eigenvalue; it integrates to 1. The standard error is over the probes (NaN for one).

  >>> nodes = Quadrature(jnp.array([[0.0]]), jnp.array([[1.0]]))  # one eigenvalue, 0
  >>> round(density(nodes, jnp.array([0.0]), 0.1).mean.item(), 3)  # 1 / (0.1 sqrt(2 pi))
  3.989
  """
  nodes, weights = nodes_weights
  distance = (jnp.asarray(grid)[:, None, None] - nodes) / width
  bumps = jnp.exp(-jnp.square(distance) / 2) / (width * jnp.sqrt(2 * jnp.pi))
  return estimate(jnp.sum(bumps * weights, axis=-1))


def positive_fraction(
  nodes_weights: Quadrature, threshold: float, *, confidence: float = 0.95
) -> tuple[float, float, float]:
  """Returns (estimate, low, high) of the fraction of eigenvalues above `threshold`.

  The minimal ratio, with an interval of two parts. For each probe the measure above the threshold
  lies between two sums of quadrature weights (Chebyshev, Markov and Stieltjes; Szego, Orthogonal
  Polynomials, 3.41.1): the node on either side of the threshold counts or does not. Over the probes
  stands a t interval of those bounds' means. The estimate gives the weights of nodes above.

  Wide with many eigenvalues near the threshold, such as at 0 in a ReLU net: their signs are not to
  be had by so few products. The bounds hold in exact arithmetic.

  >>> import numpy as np
  >>> exact = Quadrature(np.array([[-1.0, 1.0, 2.0, 3.0]]), np.full((1, 4), 0.25))
  >>> positive_fraction(exact, 0.0)
  (0.75, 0.5, 1.0)
  """
  nodes, weights = (np.asarray(part, float) for part in nodes_weights)
  above = nodes > threshold
  measured = np.sum(weights * above, axis=1)
  rows = np.arange(len(nodes))
  first = np.sum(~above, axis=1)  # the first node above
  after = np.where(first < nodes.shape[1], weights[rows, np.minimum(first, nodes.shape[1] - 1)], 0)
  before = np.where(first > 0, weights[rows, np.maximum(first - 1, 0)], 0)
  low, high = measured - after, measured + before
  if len(nodes) > 1:
    quantile = scipy.stats.t.ppf((1 + confidence) / 2, len(nodes) - 1) / np.sqrt(len(nodes))
    low_mean = low.mean() - quantile * low.std(ddof=1)
    high_mean = high.mean() + quantile * high.std(ddof=1)
  else:
    low_mean, high_mean = low.mean(), high.mean()
  return float(measured.mean()), max(0.0, float(low_mean)), min(1.0, float(high_mean))


def extreme_eigenpairs(
  operator: Operator,
  key: jax.Array,
  *,
  num_largest: int = 10,
  num_smallest: int = 1,
  num_steps: int = NUM_STEPS,
) -> Eigenpairs:
  """Returns the `num_largest` largest pairs, descending, then the smallest, ascending.

  Ritz pairs of one Lanczos run from a Gaussian vector. `residuals` are of the vectors themselves,
  from one more product each, not the recurrence's own estimate. Single eigenvalues only: a multiple
  one appears once. NaN where the run ended before it had so many (an invariant subspace).

  Raises:
    ValueError: more pairs are asked for than steps made.

  >>> from hw1_jax.analysis.products import matrix_operator
  >>> matrix = matrix_operator(jnp.diag(jnp.array([-1.0, 2.0, 5.0])))
  >>> extreme = jax.jit(lambda key: extreme_eigenpairs(matrix, key, num_largest=2, num_steps=3))
  >>> found = extreme(jax.random.key(0))
  >>> [round(value, 3) for value in found.values.tolist()]
  [5.0, 2.0, -1.0]
  """
  start = jax.random.normal(key, (1, operator.size), operator.dtype)
  run = tridiagonalize(operator, start, num_steps)
  return _ritz_pairs(operator, run, 0, num_largest, num_smallest)


def _ritz_pairs(
  operator: Operator, run: Tridiagonal, row: int, num_largest: int, num_smallest: int
) -> Eigenpairs:
  num_steps, least = run.diagonal.shape[1], num_largest + num_smallest
  if least > num_steps:
    raise ValueError(
      f"num_steps: got {num_steps}, expected at least num_largest + num_smallest = {least}"
    )
  _, columns = _solve(run)
  wanted = jnp.concatenate([num_steps - 1 - jnp.arange(num_largest), jnp.arange(num_smallest)])
  vectors = columns[row][:, wanted].T @ run.basis[row]
  lengths = jnp.linalg.norm(vectors, axis=1, keepdims=True)
  vectors = jnp.where(lengths > 0.5, vectors / lengths, jnp.nan)
  images = jax.lax.map(operator.product, vectors)
  values = jnp.sum(images * vectors, axis=1)
  return Eigenpairs(values, vectors, jnp.linalg.norm(images - values[:, None] * vectors, axis=1))


def describe_spectrum(
  operator: Operator,
  key: jax.Array,
  *,
  num_probes: int = 4,
  num_steps: int = NUM_STEPS,
  num_largest: int = 10,
) -> dict[str, jax.Array]:
  """Returns all of the above of one matrix, for use inside one `jit`; one Lanczos for all.

  "nodes" and "weights" [K, m] (`spectral_quadrature`); "top" [k], descending, "bottom" [] and their
  "residuals" [k + 1] (`extreme_eigenpairs`); "trace", "square" and their standard errors
  "trace_error", "square_error" [] (`trace_and_norm`, of as many probes as fit the size).

  >>> from hw1_jax.analysis.products import matrix_operator
  >>> matrix = matrix_operator(jnp.diag(jnp.array([-1.0, 2.0, 5.0])))
  >>> describe = jax.jit(lambda key: describe_spectrum(matrix, key, num_steps=3, num_largest=1))
  >>> found = describe(jax.random.key(0))
  >>> [round(float(found[name].ravel()[0]), 3) for name in ("top", "bottom", "trace", "square")]
  [5.0, -1.0, 6.0, 30.0]
  """
  keys = jax.random.split(key, 3)
  probes = jax.random.rademacher(keys[0], (num_probes, operator.size), operator.dtype)
  start = jax.random.normal(keys[1], (1, operator.size), operator.dtype)
  run = tridiagonalize(operator, jnp.concatenate([probes, start]), num_steps)
  found = Quadrature(*(part[:-1] for part in quadrature(run)))
  pairs = _ritz_pairs(operator, run, num_probes, num_largest, 1)
  trace, square = trace_and_norm(operator, keys[2], num_probes=min(12, operator.size))
  return {
    "nodes": found.nodes,
    "weights": found.weights,
    "top": pairs.values[:-1],
    "bottom": pairs.values[-1],
    "residuals": pairs.residuals,
    "trace": trace.mean,
    "trace_error": trace.error,
    "square": square.mean,
    "square_error": square.error,
  }
