"""Arithmetic on pytrees of arrays: parameters, gradients, optimizer states."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from hw1_jax import rng

PyTree = Any


def ravel(tree: PyTree) -> tuple[jax.Array, Callable[[jax.Array], PyTree]]:
  """Returns (vector [P], unravel): the leaves in tree order, each row-major, and the way back.

  Raises:
    TypeError: a leaf is not floating-point. Counters and indices are no parameters; among them a
      derivative would be 0 and a Hessian singular.
  """
  for path, leaf in jax.tree.leaves_with_path(tree):
    if not jnp.issubdtype(jnp.result_type(leaf), jnp.floating):
      where = jax.tree_util.keystr(path) or "the array"
      raise TypeError(
        f"{where}: got {jnp.result_type(leaf)}, expected a floating-point type; leave it out of "
        "the parameters"
      )
  return ravel_pytree(tree)


@jax.jit
def ravel_members(trees: PyTree) -> jax.Array:
  """Returns vectors [M, P], `ravel` of each member of leaves [M, ...]; one program."""
  return jax.vmap(lambda tree: ravel(tree)[0])(trees)


def unravel_like(example: PyTree) -> Callable[[Any], PyTree]:
  """Returns vector [P] -> pytree shaped as `example`, in the order of `ravel`.

  NumPy in, NumPy out: nothing is compiled then. `example` has arrays or `jax.ShapeDtypeStruct`s.

  >>> import numpy as np
  >>> tree = unravel_like({"a": np.zeros((2, 2)), "b": np.zeros(1)})(np.arange(5.0))
  >>> tree["a"].tolist(), tree["b"].tolist()
  ([[0.0, 1.0], [2.0, 3.0]], [4.0])
  """
  leaves, structure = jax.tree.flatten(example)
  ends = list(itertools.accumulate(math.prod(leaf.shape) for leaf in leaves))

  def unravel(vector: Any) -> PyTree:
    parts = (np if isinstance(vector, np.ndarray) else jnp).split(vector, ends[:-1])
    shaped = [part.reshape(leaf.shape) for part, leaf in zip(parts, leaves)]
    return jax.tree.unflatten(structure, shaped)

  return unravel


def size(tree: PyTree) -> int:
  """Returns the number of scalars in `tree`."""
  return sum(leaf.size for leaf in jax.tree.leaves(tree))


def norm(tree: PyTree) -> jax.Array:
  """Returns the 2-norm over all scalars of `tree`."""
  return jnp.sqrt(sum(jnp.sum(jnp.square(leaf)) for leaf in jax.tree.leaves(tree)))


def lerp(start: PyTree, end: PyTree, alpha: jax.Array | float) -> PyTree:
  """Returns (1 - alpha) start + alpha end; exactly `start` at alpha 0 and `end` at alpha 1.

  In the dtype of each leaf of `start`, whatever alpha's is. Raises TypeError where the leaves of
  `end` have other dtypes.
  """

  def between(a: jax.Array, b: jax.Array) -> jax.Array:
    a, b = jnp.asarray(a), jnp.asarray(b)
    if a.dtype != b.dtype or not jnp.issubdtype(a.dtype, jnp.floating):
      raise TypeError(
        f"start and end: got leaves of {a.dtype} and {b.dtype}, expected one floating-point type; "
        "cast one of them (pytrees.cast)"
      )
    weight = jnp.asarray(alpha, a.dtype)
    return (1 - weight) * a + weight * b

  return jax.tree.map(between, start, end)


def cast(tree: PyTree, dtype: Any) -> PyTree:
  """Returns `tree` with its floating-point leaves in `dtype`; other leaves as they are."""
  return jax.tree.map(
    lambda leaf: leaf.astype(dtype) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf, tree
  )


def member(tree: PyTree, index: int) -> PyTree:
  """Returns entry `index` of the leading axis of every leaf."""
  return jax.tree.map(lambda leaf: leaf[index], tree)


def take(tree: PyTree, rows: Any) -> PyTree:
  """Returns entries `rows` [R] of the leading axis of every leaf, NumPy arrays or random keys.

  Picked on the host: JAX would compile up to six programs for every shape.
  """

  def of_leaf(leaf: Any) -> Any:
    if not jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
      return np.asarray(leaf)[rows]
    return rng.as_keys(np.asarray(jax.random.key_data(leaf))[rows], leaf)

  return jax.tree.map(of_leaf, tree)


def choose(condition: jax.Array, yes: PyTree, no: PyTree) -> PyTree:
  """Returns one of two trees of equal structure, `yes` where the condition holds; inside jit, too.

  >>> [int(leaf) for leaf in choose(jnp.asarray(False), (1, 2), (3, 4))]
  [3, 4]
  """
  return jax.tree.map(lambda a, b: jnp.where(condition, a, b), yes, no)
