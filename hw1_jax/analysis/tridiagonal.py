"""Lanczos' recurrence: a symmetric matrix as a tridiagonal one in an orthonormal basis.

K runs go side by side, [K, P], and share what is linearized. The basis takes m K P numbers for m
steps: 160 MB a run for 100 steps at 397,510 float32 parameters. Each new vector is orthogonalized
against all of it, else converged eigenvalues come up again as ghosts.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from hw1_jax.analysis.products import Operator

# Vectors of the basis in one array. Our choice: keeping 100 vectors of 397,510 numbers orthogonal
# takes 7 ms a step; with 5, 10, 12, 25 and 50 in one array 10, 9, 11, 7 and 8 (2 cores).
SEGMENT = 20
MOST_SEGMENTS = 10  # each is compiled by itself
NUM_STEPS = 100  # PyHessian's default (Yao et al. 2020)


class Tridiagonal(NamedTuple):
  """K Lanczos runs of m steps: A Q = Q T + remainder; T has `diagonal` and `off`."""

  diagonal: jax.Array  # [K, m]
  off: jax.Array  # [K, m]; the last entry is the norm of the remainder
  basis: jax.Array  # [K, m, P], orthonormal rows of each run; zero behind one that broke down


def tridiagonalize(
  operator: Operator, starts: jax.Array, num_steps: int = NUM_STEPS
) -> Tridiagonal:
  """Returns `num_steps` Lanczos steps from each of the K rows of `starts`, [K, P].

  A run whose remainder vanishes (an invariant subspace, always so after P steps) stops there: its
  further entries are zero. Source: Golub and Van Loan, Matrix Computations, section 10.3.

  Raises:
    ValueError: `num_steps` is not in 1..P, or `starts` is not [K, P].

  >>> from hw1_jax.analysis.products import matrix_operator
  >>> matrix = matrix_operator(jnp.diag(jnp.array([1.0, 3.0])))
  >>> run = jax.jit(lambda starts: tridiagonalize(matrix, starts, 2))(jnp.ones((1, 2)))
  >>> [round(entry, 3) for entry in (*run.diagonal[0].tolist(), run.off[0, 0].item())]
  [2.0, 2.0, 1.0]
  """
  if starts.ndim != 2 or starts.shape[1] != operator.size:
    raise ValueError(f"starts: got shape {starts.shape}, expected [K, {operator.size}]")
  if not 1 <= num_steps <= operator.size:
    raise ValueError(
      f"num_steps: got {num_steps}, expected 1 to {operator.size}, the matrix's size"
    )
  num_runs, size = starts.shape
  num_segments = min(-(-num_steps // SEGMENT), MOST_SEGMENTS)
  length = -(-num_steps // num_segments)
  tiny = 10 * jnp.finfo(starts.dtype).eps
  # One run's rows are [L, P]: XLA would copy [1, L, P] in each step.
  empty = jnp.zeros((num_runs, length, size)[num_runs == 1 :], starts.dtype)

  def step(carry: Any, finished: Any, segment: jax.Array, row: jax.Array) -> Any:
    rows, current, previous, coupling, scale = carry
    new = current[0] if num_runs == 1 else current
    rows = jax.lax.dynamic_update_index_in_dim(rows, new, row, rows.ndim - 2)
    needed = segment * length + row < num_steps  # the last segment's last ones may not be
    image = jax.lax.cond(needed, operator.product, lambda vectors: vectors, current)
    diagonal = jnp.sum(image * current, axis=1)
    rest = image - diagonal[:, None] * current - coupling[:, None] * previous
    for i, others in enumerate(finished):
      rest = jax.lax.cond(i < segment, _orthogonal_part, lambda rest, rows: rest, rest, others)
    rest = _orthogonal_part(rest, rows)
    norm = jnp.linalg.norm(rest, axis=1)
    scale = jnp.maximum(scale, jnp.abs(diagonal) + norm)
    norm = jnp.where(norm > tiny * scale, norm, 0)
    following = jnp.where(norm[:, None] > 0, rest / jnp.where(norm > 0, norm, 1)[:, None], 0)
    return (rows, following, current, norm, scale), (diagonal, norm)

  def fill(carry: Any, segment: jax.Array) -> Any:
    """One segment: nothing of those before is copied while it is filled."""
    finished, *state = carry
    (rows, *state), found = jax.lax.scan(
      lambda inner, row: step(inner, finished, segment, row), (empty, *state), jnp.arange(length)
    )
    finished = [jnp.where(i == segment, rows, others) for i, others in enumerate(finished)]
    return (finished, *state), found

  first = starts / jnp.linalg.norm(starts, axis=1, keepdims=True)
  zeros = jnp.zeros(num_runs, starts.dtype)
  carry: Any = ([empty] * num_segments, first, jnp.zeros_like(first), zeros, zeros)
  (finished, *_), found = jax.lax.scan(fill, carry, jnp.arange(num_segments))
  diagonal, off = (part.reshape(-1, num_runs)[:num_steps].T for part in found)
  basis = jnp.concatenate(finished, axis=-2).reshape(num_runs, -1, size)
  return Tridiagonal(diagonal, off, basis[:, :num_steps])


def _orthogonal_part(vectors: jax.Array, rows: jax.Array) -> jax.Array:
  """Returns [K, P] less what lies along each one's own rows, [K, L, P], or [L, P] for K = 1."""
  if rows.ndim == 2:
    return vectors - rows @ vectors[0] @ rows
  along = jnp.einsum("klp,kp->kl", rows, vectors)
  return vectors - jnp.einsum("kl,klp->kp", along, rows)
