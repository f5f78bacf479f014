"""Trace and Frobenius norm of large symmetric matrices from random probes."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from hw1_jax.analysis import lapack
from hw1_jax.analysis.products import Operator


class Estimate(NamedTuple):
  """An estimate from random probes."""

  mean: jax.Array  # [...]
  error: jax.Array  # [...], its standard error


def estimate(samples: jax.Array) -> Estimate:
  """Returns mean and standard error over the last axis.

  >>> [round(float(part), 3) for part in estimate(jnp.array([1.0, 2.0, 3.0]))]  # 1 / sqrt(3)
  [2.0, 0.577]
  """
  if samples.shape[-1] == 1:
    return Estimate(samples[..., 0], jnp.full_like(samples[..., 0], jnp.nan))
  error = jnp.std(samples, -1, ddof=1) / jnp.sqrt(samples.shape[-1])
  return Estimate(jnp.mean(samples, -1), error)


def trace_and_norm(
  operator: Operator, key: jax.Array, *, num_probes: int = 12
) -> tuple[Estimate, Estimate]:
  """Returns the trace and the squared Frobenius norm, sum lambda_i^2, with standard errors.

  Hutch++ (Meyer, Musco, Musco and Woodruff 2021). With Q an orthonormal basis of A S, S random with
  `num_probes` columns, and as many further random g,

      tr A     = tr Q'AQ    + mean of g' (I - QQ') A (I - QQ') g
      ||A||^2  = ||A Q||^2  + mean of ||A (I - QQ') g||^2

  are exact in the span of Q and unbiased outside. 3 `num_probes` products, all of them shared by
  both. The standard errors are over the g, given Q.

  Raises:
    ValueError: fewer than 2 probes, or more than P.

  >>> import jax, jax.numpy as jnp
  >>> from hw1_jax.analysis.products import matrix_operator
  >>> low_rank = matrix_operator(jnp.diag(jnp.array([3.0, -1.0] + [0.0] * 18)))
  >>> trace, square = trace_and_norm(low_rank, jax.random.key(0), num_probes=4)
  >>> print(f"{trace.mean:.3f} {square.mean:.3f}")
  2.000 10.000
  """
  if not 2 <= num_probes <= operator.size:
    raise ValueError(f"num_probes: got {num_probes}, expected 2 to {operator.size}")
  keys = jax.random.split(key)
  shape = (num_probes, operator.size)
  sketch = operator.product(jax.random.rademacher(keys[0], shape, operator.dtype))
  basis = lapack.basis(sketch.T).T  # [K, P]
  probes = jax.random.rademacher(keys[1], shape, operator.dtype)
  for _ in range(2):  # the second time takes away the rounding of the first
    probes -= (probes @ basis.T) @ basis
  images, probe_images = jnp.split(operator.product(jnp.concatenate([basis, probes])), 2)
  traces = jnp.sum(basis * images) + jnp.sum(probes * probe_images, axis=1)
  squares = jnp.sum(jnp.square(images)) + jnp.sum(jnp.square(probe_images), axis=1)
  return estimate(traces), estimate(squares)
