"""Products of the Hessian and of the Gauss-Newton matrix with vectors, over a whole data set.

For a mean loss L(theta) = (1/N) sum_n l(theta; example n) the products are

    H v = d/dt grad L(theta + t v) at t = 0            (forward over reverse; Pearlmutter 1994)
    G v = (1/N) sum_n J_n' S_n J_n v,   J_n = d f(x_n) / d theta,  S_n = d^2 l / d f^2

(G: Schraudolph 2002; positive semidefinite where l is convex in the outputs f, and G = F, Fisher's
information, for cross-entropy and squared error.) Neither matrix is ever formed.

The data set passes in batches, whose sums are exact whatever the batch size. The derivative is
linearized at theta once, outside the loop that applies it again and again (`jax.linearize`): a
product then repeats no forward pass. What is kept for that are all intermediate values: about
4 N (sum of widths) numbers for a fully connected net, 80 MB for 784-500-10 and 10,000 images in
float32. `recompute=True` keeps those of one batch only and needs about twice the time.

What they cannot do: a loss that is not twice differentiable has the Hessian of whichever piece JAX
chooses (relu: the derivative 0 at 0; the curvature that sits in the kinks is in no product); batch
statistics (batch normalization in training mode) make the loss of a batch no mean over examples, so
that the result would depend on `batch_size`; dropout must be off.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from hw1_jax import pytrees

PyTree = Any
Loss = Callable[[PyTree, PyTree], jax.Array]  # (params, batch) -> mean over the batch's examples

# Our choice: as fast as any on 2 CPU cores for 784-500-10, and small enough to stay in the cache.
BATCH_SIZE = 1000
# On CPU vectors this long are multiplied one after the other, shorter ones together. Our choice:
# of 4 vectors, one by one took 0.73 times as long with 397,510 numbers and 1.40 with 79,510.
ONE_BY_ONE = 200_000


class Operator(NamedTuple):
  """A symmetric matrix [P, P] that is known only by its products."""

  product: Callable[[jax.Array], jax.Array]  # [P] -> [P], or K vectors as rows [K, P] -> [K, P]
  size: int  # P
  dtype: Any


def hessian_operator(
  loss: Loss,
  params: PyTree,
  data: PyTree,
  *,
  batch_size: int = BATCH_SIZE,
  recompute: bool = False,
) -> Operator:
  """Returns the Hessian of the mean loss over `data` at `params`, in the order of `pytrees.ravel`.

  Make and use it within one `jax.jit`: the linearization is then shared by all products in it.

  Args:
    loss: (params, batch) -> scalar, the mean over the examples of the batch.
    params: any pytree of real arrays of one dtype.
    data: any pytree of arrays [N, ...].
    batch_size: examples at a time; a matter of speed and memory only.
    recompute: keep no intermediate values between products.

  Raises:
    ValueError: `batch_size` is less than 1, or the leaves of `data` differ in length.

  >>> import jax, jax.numpy as jnp
  >>> x = jnp.linspace(-1, 1, 30)
  >>> net = {"in": jnp.ones((1, 4)), "out": jnp.ones((4, 1))}
  >>> def loss(net, batch):
  ...   prediction = jnp.tanh(batch["x"][:, None] @ net["in"]) @ net["out"]
  ...   return jnp.mean((prediction[:, 0] - batch["y"]) ** 2)
  >>> def products(net, vectors):
  ...   return hessian_operator(loss, net, {"x": x, "y": x**2}, batch_size=7).product(vectors)
  >>> jax.jit(products)(net, jnp.eye(8)).shape
  (8, 8)
  """

  def gradient(params: PyTree) -> PyTree:
    return mean_over_batches(lambda batch: jax.grad(loss)(params, batch), data, batch_size)

  if recompute:
    return as_operator(lambda tangent: jax.jvp(gradient, (params,), (tangent,))[1], params)
  return as_operator(jax.linearize(gradient, params)[1], params)


def gauss_newton_operator(
  function: Callable[[PyTree, PyTree], jax.Array],
  loss: Callable[[jax.Array, PyTree], jax.Array],
  params: PyTree,
  data: tuple[PyTree, PyTree],
  *,
  batch_size: int = BATCH_SIZE,
) -> Operator:
  """Returns the Gauss-Newton matrix of mean loss(function(params, inputs), targets), [P, P].

  Args:
    function: (params, inputs [B, ...]) -> outputs [B, ...].
    loss: (outputs, targets) -> scalar, the mean over the examples; twice differentiable.
    params: any pytree of real arrays of one dtype.
    data: (inputs, targets), pytrees of arrays [N, ...].
    batch_size: examples at a time; a matter of speed and memory only.

  Raises:
    ValueError: `batch_size` is less than 1, or the leaves of `data` differ in length.

  >>> import jax.numpy as jnp
  >>> x = jnp.arange(6.0).reshape(3, 2)  # a linear model: G = (2 / N) x'x
  >>> square = lambda outputs, y: jnp.mean((outputs - y) ** 2)
  >>> def products(w, vectors):
  ...   matrix = gauss_newton_operator(lambda w, x: x @ w, square, w, (x, jnp.ones(3)))
  ...   return matrix.product(vectors)
  >>> bool(jnp.allclose(jax.jit(products)(jnp.zeros(2), jnp.eye(2)), 2 / 3 * x.T @ x))
  True
  """

  def product(tangent: PyTree) -> PyTree:
    def of_batch(batch: tuple[PyTree, PyTree]) -> PyTree:
      inputs, targets = batch
      outputs, push = jax.linearize(lambda p: function(p, inputs), params)
      _, pull = jax.vjp(lambda p: function(p, inputs), params)
      _, curve = jax.linearize(jax.grad(lambda o: loss(o, targets)), outputs)
      return pull(curve(push(tangent)))[0]

    return mean_over_batches(of_batch, data, batch_size)

  # A linear function is its own linearization; what does not depend on its argument is computed
  # here, once.
  return as_operator(jax.linearize(product, jax.tree.map(jnp.zeros_like, params))[1], params)


def matrix_operator(matrix: jax.Array) -> Operator:
  """Returns a symmetric matrix [P, P] that is at hand as an Operator.

  >>> operator = matrix_operator(jnp.array([[2.0, 1.0], [1.0, 0.0]]))
  >>> operator.size, operator.product(jnp.array([1.0, 0.0])).tolist()
  (2, [2.0, 1.0])
  """
  return Operator(lambda v: v @ matrix, matrix.shape[0], matrix.dtype)


def mean_over_batches(
  of_batch: Callable[[PyTree], PyTree], data: PyTree, batch_size: int
) -> PyTree:
  """Returns the mean over the N examples of `data` from the means over its batches, pytrees.

  All batches have `batch_size` examples but the last, which has what is left; none is padded, since
  padding is not known to the loss.

  Raises:
    ValueError: `batch_size` is less than 1, or the leaves of `data` differ in length.

  >>> mean_over_batches(jnp.mean, jnp.arange(5.0), batch_size=2).item()
  2.0
  """
  total = check_batches(data, batch_size)
  batch_size = min(batch_size, total)
  whole = total - total % batch_size

  def cut(leaf: jax.Array) -> jax.Array:
    return leaf[:whole].reshape(-1, batch_size, *leaf.shape[1:])

  def add(sums: PyTree, batch: PyTree) -> tuple[PyTree, None]:
    return jax.tree.map(jnp.add, sums, of_batch(batch)), None

  batches = jax.tree.map(cut, data)
  first = jax.tree.map(lambda leaf: leaf[0], batches)
  if whole == batch_size:
    mean = of_batch(first)
  else:
    zero = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), jax.eval_shape(of_batch, first))
    mean, _ = jax.lax.scan(add, zero, batches)
  mean = jax.tree.map(lambda leaf: leaf * (batch_size / total), mean)
  if whole < total:
    rest = of_batch(jax.tree.map(lambda leaf: leaf[whole:], data))
    mean = jax.tree.map(lambda leaf, part: leaf + part * (1 - whole / total), mean, rest)
  return mean


def check_batches(data: PyTree, batch_size: int) -> int:
  """Returns the number of examples N of leaves [N, ...]; ValueError as `mean_over_batches`.

  >>> check_batches({"x": jnp.ones((3, 2)), "y": jnp.ones(3)}, batch_size=2)
  3
  """
  lengths = {leaf.shape[0] for leaf in jax.tree.leaves(data)}
  if len(lengths) != 1:
    raise ValueError(f"data: got leaves of lengths {sorted(lengths)}, expected one length")
  if batch_size < 1:
    raise ValueError(f"batch_size: got {batch_size}, expected at least 1")
  return lengths.pop()


def as_operator(product: Callable[[PyTree], PyTree], params: PyTree) -> Operator:
  """Returns the Operator of a linear function of pytrees like `params`, in ravelled order.

  >>> operator = as_operator(lambda v: {"a": 2 * v["a"]}, {"a": jnp.ones(2)})
  >>> operator.product(jnp.arange(2.0)).tolist()
  [0.0, 2.0]
  """
  theta, unravel = pytrees.ravel(params)

  # The leaves stay apart until all batches are summed: one vector would be copied in each of them,
  # which takes as long as the products.
  def of_one(vector: jax.Array) -> jax.Array:
    return pytrees.ravel(product(unravel(vector)))[0]

  one_by_one = jax.default_backend() == "cpu" and theta.size >= ONE_BY_ONE

  def of_any(vectors: jax.Array) -> jax.Array:
    if vectors.ndim == 1:
      return of_one(vectors)
    return jax.lax.map(of_one, vectors) if one_by_one else jax.vmap(of_one)(vectors)

  return Operator(of_any, theta.size, theta.dtype)
