"""Arithmetic on pytrees of arrays: parameters, gradients, optimizer states."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

PyTree = Any


def ravel(tree: PyTree) -> tuple[jax.Array, Callable[[jax.Array], PyTree]]:
  """Returns (vector [P], unravel): the leaves in tree order, each row-major, and the way back."""
  return ravel_pytree(tree)


def size(tree: PyTree) -> int:
  """Returns the number of scalars in `tree`."""
  return sum(leaf.size for leaf in jax.tree.leaves(tree))


def norm(tree: PyTree) -> jax.Array:
  """Returns the 2-norm over all scalars of `tree`."""
  return jnp.sqrt(sum(jnp.sum(jnp.square(leaf)) for leaf in jax.tree.leaves(tree)))


def lerp(start: PyTree, end: PyTree, alpha: jax.Array | float) -> PyTree:
  """Returns (1 - alpha) start + alpha end; exactly `start` at alpha 0 and `end` at alpha 1."""
  return jax.tree.map(lambda a, b: (1 - alpha) * a + alpha * b, start, end)


def cast(tree: PyTree, dtype: Any) -> PyTree:
  """Returns `tree` with its floating-point leaves in `dtype`; other leaves as they are."""
  return jax.tree.map(
    lambda leaf: leaf.astype(dtype) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf, tree
  )


def member(tree: PyTree, index: int) -> PyTree:
  """Returns entry `index` of the leading axis of every leaf."""
  return jax.tree.map(lambda leaf: leaf[index], tree)
