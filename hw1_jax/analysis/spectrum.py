"""Eigenvalues of a Hessian, the counts of their signs, and the minimal ratio."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

# Eigenvalues with |lambda| <= rtol * max|lambda| count as zero. Our choice: rounding leaves zeros
# of about 1e-16 P max|lambda| in float64, three orders of magnitude below at 1501 parameters.
ZERO_RTOL = 1e-10


class Signs(NamedTuple):
  """How many eigenvalues are positive, zero and negative; int arrays of the leading axes."""

  positive: jax.Array
  zero: jax.Array
  negative: jax.Array


def eigenvalues(hessian: jax.Array, *, any_dtype: bool = False) -> jax.Array:
  """Returns the eigenvalues of a symmetric matrix [..., P, P], ascending, [..., P].

  LAPACK's symmetric solver, of the lower triangle. Outside jit on CPU it is NumPy's, which leaves
  out the eigenvectors; `jnp.linalg.eigvalsh` computes them and throws them away (twice the time).
  Stacks inside jit on several CPU devices belong within `devices.one_by_one`.

  Args:
    hessian: float64, since in float32 the signs of small eigenvalues are rounding.
    any_dtype: True takes other types, for those who need no signs.

  Raises:
    TypeError: the matrix is not float64.
    ValueError: it is not square, or outside jit it has entries that are not finite. Inside jit the
      eigenvalues of such a matrix are NaN.

  >>> eigenvalues(jnp.diag(jnp.array([2.0, -1.0])), any_dtype=True)
  Array([-1.,  2.], dtype=float32)
  """
  _require_float64("hessian", hessian, any_dtype)
  if hessian.ndim < 2 or hessian.shape[-1] != hessian.shape[-2]:
    raise ValueError(f"hessian: got shape {hessian.shape}, expected [..., P, P]")
  if isinstance(hessian, jax.core.Tracer):
    finite = jnp.all(jnp.isfinite(hessian), axis=(-2, -1))[..., None]
    return jnp.where(finite, jnp.linalg.eigvalsh(hessian, symmetrize_input=False), jnp.nan)
  if not bool(jnp.all(jnp.isfinite(hessian))):
    raise ValueError("hessian: got entries that are not finite, expected finite ones")
  if jax.default_backend() != "cpu":
    return jnp.linalg.eigvalsh(hessian, symmetrize_input=False)
  return jnp.asarray(np.linalg.eigvalsh(np.asarray(hessian)))


def count_signs(
  eigenvalues: jax.Array | np.ndarray, rtol: float = ZERO_RTOL, *, any_dtype: bool = False
) -> Signs:
  """Returns how many eigenvalues [..., P] are > t, within [-t, t], < -t; t = rtol max|lambda|.

  NumPy counts those in a NumPy array: nothing is compiled, and numbers below 2e-308, which XLA
  takes for zero, have their signs.

  Raises:
    TypeError: the eigenvalues are not float64, and not `any_dtype`.
    ValueError: `rtol` is negative, or outside jit an eigenvalue is NaN. Inside jit the three counts
      are -1 then, since nothing is known of the signs.

  >>> tuple(map(int, count_signs(jnp.array([-3.0, -1e-12, 0.0, 2.0]), any_dtype=True)))
  (1, 2, 1)
  """
  _require_float64("eigenvalues", eigenvalues, any_dtype)
  if rtol < 0:
    raise ValueError(f"rtol: got {rtol}, expected at least 0")
  xp: Any = np if isinstance(eigenvalues, np.ndarray) else jnp
  tolerance = rtol * xp.max(xp.abs(eigenvalues), axis=-1, keepdims=True)
  positive = xp.sum(eigenvalues > tolerance, axis=-1)
  negative = xp.sum(eigenvalues < -tolerance, axis=-1)
  counts = Signs(positive, eigenvalues.shape[-1] - positive - negative, negative)
  unknown = xp.any(xp.isnan(eigenvalues), axis=-1)
  if not isinstance(unknown, jax.core.Tracer) and bool(xp.any(unknown)):
    raise ValueError("eigenvalues: got NaN, expected numbers; was the Hessian finite?")
  return Signs(*(xp.where(unknown, -1, number) for number in counts))


def minimal_ratio(
  eigenvalues: jax.Array | np.ndarray, rtol: float = 0.0, *, any_dtype: bool = False
) -> jax.Array:
  """Returns the fraction, in [0, 1], of the eigenvalues [..., P] that are > rtol max|lambda|.

  Inside jit it is NaN where an eigenvalue is; outside, that is an error.

  rtol 0 is the assignment's definition. At exactly flat directions (dead ReLU units, the scaling
  symmetry of each ReLU unit) it counts the signs of rounding errors: give both, and the counts.

  Raises:
    TypeError: the eigenvalues are not float64, and not `any_dtype`.
    ValueError: `rtol` is negative, or outside jit an eigenvalue is NaN.

  >>> values = jnp.array([-3.0, 1e-12, 1.0, 2.0])
  >>> [float(minimal_ratio(values, rtol, any_dtype=True)) for rtol in (0.0, 1e-10)]
  [0.75, 0.5]
  """
  positive = count_signs(eigenvalues, rtol, any_dtype=any_dtype).positive
  xp: Any = np if isinstance(positive, np.ndarray) else jnp
  return xp.where(positive < 0, np.nan, positive / eigenvalues.shape[-1])


def _require_float64(name: str, array: jax.Array | np.ndarray, any_dtype: bool) -> None:
  if array.dtype != np.float64 and not any_dtype:
    raise TypeError(
      f"{name}: got {array.dtype}, expected float64, since the signs of small eigenvalues would be"
      f" rounding; set jax.config.update('jax_enable_x64', True) before making any array, or pass"
      f" any_dtype=True"
    )
