"""Gradient norm and exact Hessians.

`jax.hessian` of the loss over the ravelled parameters is the definition. `hessian` equals it for
any loss over any pytree; `mlp_hessian` does so many times faster for fully connected networks with
the mean squared error.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from hw1_jax import pytrees

PyTree = Any

# Hessian-vector products computed together. Our choice: on CPU one at a time is fastest at 1501
# parameters (0.64 s; chunks of 2, 4, 16: 1.0, 1.2, 1.8 s) and as fast as any at 571, with 300
# points. A GPU wants more.
CHUNK_SIZE = 1


def gradient_norm(loss: Callable[[PyTree], jax.Array], params: PyTree) -> jax.Array:
  """Returns ||grad loss(params)||_2 over all parameters, a scalar.

  >>> float(gradient_norm(lambda p: 3 * p["a"] + 4 * p["b"], {"a": 1.0, "b": 1.0}))
  5.0
  """
  return pytrees.norm(jax.grad(loss)(params))


def hessian(
  loss: Callable[[PyTree], jax.Array], params: PyTree, *, chunk_size: int = CHUNK_SIZE
) -> jax.Array:
  """Returns the exact Hessian of `loss` at `params`, [P, P], symmetric to the last bit.

  Rows and columns are in the order of `pytrees.ravel`. Equals `jax.hessian` to 1e-10 relative in
  float64. The gradient is linearized once (forward over reverse) and applied to the unit vectors,
  `chunk_size` at a time, each chunk written into the one matrix in place: the memory is the matrix
  plus a chunk, see `hessian_memory_bytes`. Works inside jit and inside loops.

  Args:
    loss: params -> scalar. Where JAX chooses a derivative (relu at 0), so does the Hessian.
    params: any pytree of real arrays, all of one dtype if the dtype is to be kept.
    chunk_size: Hessian-vector products at a time.

  Raises:
    ValueError: `chunk_size` is less than 1.

  >>> hessian(lambda p: p["a"] ** 2 + 3 * p["a"] * p["b"], {"a": 1.0, "b": 2.0})
  Array([[2., 3.],
         [3., 0.]], dtype=float32)
  """
  if chunk_size < 1:
    raise ValueError(f"chunk_size: got {chunk_size}, expected at least 1")
  theta, unravel = pytrees.ravel(params)
  size = theta.size
  chunk = min(chunk_size, size)
  _, product = jax.linearize(jax.grad(lambda vector: loss(unravel(vector))), theta)
  columns = jnp.arange(size)

  def start_of(done: jax.Array) -> jax.Array:
    return jnp.minimum(done, size - chunk)  # the last chunk may overlap the one before

  def fill(matrix: jax.Array, done: jax.Array) -> tuple[jax.Array, None]:
    units = start_of(done) + jnp.arange(chunk)[:, None] == columns
    rows = jax.vmap(product)(units.astype(theta.dtype))
    return jax.lax.dynamic_update_slice_in_dim(matrix, rows, start_of(done), 0), None

  def symmetrize(matrix: jax.Array, done: jax.Array) -> tuple[jax.Array, None]:
    # Rows up to `done` are final. One write a step: with two, XLA copies the whole matrix.
    start = start_of(done)
    rows = jax.lax.dynamic_slice_in_dim(matrix, start, chunk, 0)
    transposed = jax.lax.dynamic_slice_in_dim(matrix, start, chunk, 1).T
    means = jnp.where(columns < done, transposed, (rows + transposed) / 2)
    means = jnp.where((start + jnp.arange(chunk) < done)[:, None], rows, means)
    return jax.lax.dynamic_update_slice_in_dim(matrix, means, start, 0), None

  chunks = jnp.arange(0, size, chunk)
  matrix, _ = jax.lax.scan(fill, jnp.zeros((size, size), theta.dtype), chunks)
  return jax.lax.scan(symmetrize, matrix, chunks)[0]


def mlp_hessian(
  params: dict[str, dict[str, jax.Array]],
  activation: str | Callable[[jax.Array], jax.Array],
  inputs: jax.Array,
  targets: jax.Array,
) -> jax.Array:
  """Returns the exact Hessian of a fully connected network's mean squared error, [P, P], symmetric.

  The loss is mean((f(inputs) - targets)^2) over the N examples and the D outputs; rows and columns
  are in the order of `pytrees.ravel(params)`. Equals `jax.hessian` to 1e-10 relative in float64.

  With z_l = W_l' a_{l-1} + b_l, a_l = phi(z_l) and delta_l = dL/dz_l, the entry of two weights
  into unit o of layer l and unit p of layer m >= l is a sum over examples of products of

      a_{l-1,i} a_{m-1,j}  d^2 L / dz_{l,o} dz_{m,p}
      a_{l-1,i} delta_{m,p}  d a_{m-1,j} / dz_{l,o}

  where the z are perturbed one layer at a time, and biases have a = 1 (so no second term). Each is
  one matrix product over examples. The part (2/ND) J'J of d^2 L that is left when phi'' = 0 is
  taken out and computed as one product of Jacobians, which is what makes wide layers cheap.

  Memory: beside the result at most about 1.5 matrices, the Jacobian [P, N D], and for each pair of
  hidden layers their widths' product times N (so not for two layers of thousands of units).

  Args:
    params: {"dense_00": {"bias": [out], "kernel": [in, out]}, "dense_01": ...}, names in order; the
      last layer is linear.
    activation: elementwise, as a function or by its name in `jax.nn`; twice differentiable by JAX.
    inputs: [N, in].
    targets: [N, D].

  Raises:
    ValueError: the shapes of inputs, targets and params do not fit together.

  >>> params = {"dense_00": {"bias": jnp.zeros(1), "kernel": jnp.ones((1, 1))}}
  >>> mlp_hessian(params, "relu", jnp.array([[1.0], [3.0]]), jnp.zeros((2, 1)))  # 2/N X'X
  Array([[ 2.,  4.],
         [ 4., 10.]], dtype=float32)
  """
  phi = getattr(jax.nn, activation) if isinstance(activation, str) else activation
  layers = [params[name] for name in sorted(params)]
  num_inputs, num_outputs = layers[0]["kernel"].shape[0], layers[-1]["kernel"].shape[1]
  expected = (inputs.shape[0], num_inputs), (inputs.shape[0], num_outputs)
  if (inputs.shape, targets.shape) != expected:
    raise ValueError(
      f"inputs, targets: got shapes {inputs.shape} and {targets.shape}, expected {expected[0]} and"
      f" {expected[1]}"
    )
  network = _differentiate_network(layers, phi, inputs, targets)
  jacobians = [  # [(1 + in) out, D N], the parameters of each layer in ravelled order
    _outer(source, jacobian).reshape(-1, targets.size)
    for source, jacobian in zip(network.inputs, network.jacobians)
  ]
  size = sum(rows.shape[0] for rows in jacobians)
  matrix = jnp.zeros((size, size), inputs.dtype)
  start = 0
  for layer, rows in enumerate(jacobians):
    gauss_newton = 2 / targets.size * (rows @ jnp.concatenate(jacobians[layer:]).T)
    block = gauss_newton + _residual_rows(network, layer)
    end = start + rows.shape[0]
    diagonal, right = jnp.split(block, [rows.shape[0]], axis=1)
    matrix = matrix.at[start:end, start:end].set((diagonal + diagonal.T) / 2)
    matrix = matrix.at[start:end, end:].set(right)
    matrix = matrix.at[end:, start:end].set(right.T)
    start = end
  return matrix


class _Network(NamedTuple):
  """A network's values and derivatives. Lists are by layer; examples are the last axis."""

  kernels: list[jax.Array]  # [in, out]
  inputs: list[jax.Array]  # [1 + in, N]: a_{l-1} below a row of ones, which the bias multiplies
  slopes: list[jax.Array]  # [out, N]: phi'(z_l), hidden layers
  bends: list[jax.Array] | None  # [out, N]: dL/da_l phi''(z_l), hidden layers; None if phi'' = 0
  deltas: list[jax.Array]  # [out, N]: dL/dz_l
  jacobians: list[jax.Array]  # [out, D, N]: df/dz_l


def _differentiate_network(
  layers: list[dict[str, jax.Array]],
  activation: Callable[[jax.Array], jax.Array],
  inputs: jax.Array,
  targets: jax.Array,
) -> _Network:
  kernels = [layer["kernel"] for layer in layers]
  first_derivative = jax.grad(activation)
  second_derivative = jax.grad(first_derivative)
  values, layer_inputs, slopes, seconds = inputs.T, [], [], []
  for index, layer in enumerate(layers):
    layer_inputs.append(jnp.concatenate([jnp.ones_like(values[:1]), values]))
    pre_activation = _apply(layer["kernel"].T, values) + layer["bias"][:, None]
    if index < len(layers) - 1:
      values = activation(pre_activation)
      slopes.append(_elementwise(first_derivative, pre_activation))
      seconds.append(_elementwise(second_derivative, pre_activation))

  num_outputs = targets.shape[1]
  identity = jnp.eye(num_outputs, dtype=inputs.dtype)[:, :, None]
  deltas = [2 / targets.size * (pre_activation - targets.T)]
  jacobians = [jnp.broadcast_to(identity, (num_outputs, num_outputs, inputs.shape[0]))]
  bends: list[jax.Array] = []
  for kernel, slope, second in zip(kernels[:0:-1], slopes[::-1], seconds[::-1]):
    back_propagated = _apply(kernel, deltas[0])
    deltas.insert(0, back_propagated * slope)
    bends.insert(0, back_propagated * second)
    jacobians.insert(0, _apply(kernel, jacobians[0]) * slope[:, None])
  is_curved = not is_piecewise_linear(activation, inputs.dtype)
  return _Network(kernels, layer_inputs, slopes, bends if is_curved else None, deltas, jacobians)


def _residual_rows(network: _Network, layer: int) -> jax.Array:
  """Returns the rows of `layer`, from its diagonal block on, of the Hessian less (2/ND) J'J."""
  kernels, inputs, slopes, bends, deltas, _ = network
  last = len(kernels) - 1
  (_, units), source = kernels[layer].shape, inputs[layer]
  diagonal = jnp.eye(units, dtype=source.dtype)

  # Forward: d a_{m-1} / dz_l, [in, o, N], and dz_m / dz_l, [out, o, N], for m > l. The first of
  # the inputs' is diagonal, slopes[l], and stays so: as a full array it would be the largest here.
  input_tangents, tangents = {}, {}
  for m in range(layer + 1, last + 1):
    if m == layer + 1:
      tangents[m] = kernels[m].T[:, :, None] * slopes[layer]
    else:
      input_tangents[m] = tangents[m - 1] * slopes[m - 1][:, None]
      tangents[m] = _apply(kernels[m].T, input_tangents[m])
  # Backward: the part of d^2 L / dz_m dz_l that phi'' makes in the layers from m on, but for the
  # diagonal bends[l] of m = l.
  curvatures: dict[int, jax.Array] = {}
  if bends is not None:
    for m in range(last - 1, layer - 1, -1):
      terms = [tangents[m] * bends[m][:, None]] if m > layer else []
      if m + 1 in curvatures:
        terms.append(_apply(kernels[m + 1], curvatures[m + 1]) * slopes[m][:, None])
      if terms:
        curvatures[m] = sum(terms[1:], terms[0])

  blocks = []
  for m in range(layer, last + 1):
    num_inputs, out = inputs[m].shape[0], kernels[m].shape[1]
    block = jnp.zeros((source.shape[0], units, num_inputs, out), source.dtype)
    if m == layer < last and bends is not None:  # i, j, o -> i, o, j, o
      block += _gram(_outer(source, source), bends[m])[:, None] * diagonal[:, None]
    if m > layer:
      if m == layer + 1:  # i, p, o -> i, o, o, p
        cross = _gram(_outer(source, deltas[m]), slopes[layer]).transpose(0, 2, 1)
        cross = cross[:, :, None] * diagonal[:, :, None]
      else:  # i, p, j, o -> i, o, j, p
        cross = _gram(_outer(source, deltas[m]), input_tangents[m]).transpose(0, 3, 2, 1)
      block += jnp.pad(cross, ((0, 0), (0, 0), (1, 0), (0, 0)))  # the bias's input is constant
    if m in curvatures:  # i, j, p, o -> i, o, j, p
      block += _gram(_outer(source, inputs[m]), curvatures[m]).transpose(0, 3, 1, 2)
    blocks.append(block.reshape(source.shape[0] * units, num_inputs * out))
  return jnp.concatenate(blocks, axis=1)


def is_piecewise_linear(activation: Callable[[jax.Array], jax.Array], dtype: Any) -> bool:
  """Returns whether JAX sees without computing it that phi'' is 0. False only costs time.

  >>> is_piecewise_linear(jax.nn.relu, jnp.float32), is_piecewise_linear(jnp.tanh, jnp.float32)
  (True, False)
  """
  second_derivative = jax.make_jaxpr(jax.grad(jax.grad(activation)))(jnp.zeros((), dtype))
  return bool(getattr(second_derivative.jaxpr.outvars[0], "val", None) == 0)  # a literal has one


def _elementwise(function: Callable[[jax.Array], jax.Array], values: jax.Array) -> jax.Array:
  return jax.vmap(jax.vmap(function))(values)


def _apply(matrix: jax.Array, values: jax.Array) -> jax.Array:
  return jnp.tensordot(matrix, values, 1)


def _outer(left: jax.Array, right: jax.Array) -> jax.Array:
  """[a, N], [b, ..., N] -> [a, b, ..., N]."""
  return left.reshape(-1, *(1,) * (right.ndim - 1), left.shape[-1]) * right


def _gram(left: jax.Array, right: jax.Array) -> jax.Array:
  """[..., N], [...', N] -> [..., ...']: one matrix product over the examples."""
  examples = left.shape[-1]
  product = left.reshape(-1, examples) @ right.reshape(-1, examples).T
  return product.reshape(*left.shape[:-1], *right.shape[:-1])
