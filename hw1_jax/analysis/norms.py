"""Norms of weights and margins of outputs, and the rescaling that some of them do not see.

For networks of dense layers, {"dense_00": {"bias": [out], "kernel": [in, out]}, "dense_01": ...},
names in order, ReLU between: the layout of `models.MLP`. Everything is computed in the dtype of the
parameters; memory: a copy of the largest kernel. No convolutions: their spectral norm is another.
"""

from typing import Any

import jax
import jax.numpy as jnp

from hw1_jax import pytrees

PyTree = Any


def rescale_layers(params: PyTree, factor: float | jax.Array, layer: int = 0) -> PyTree:
  """Returns the network with the units of hidden `layer` times `factor`: the same ReLU function.

  relu(c z) = c relu(z) for c > 0, so layer l (kernel and bias) times c and the kernel of layer
  l + 1 over c leave the outputs as they are (Dinh et al. 2017).

  Args:
    params: as above.
    factor: positive; a scalar, or one a unit [out].
    layer: the number of a hidden layer, from 0.

  Raises:
    ValueError: there is no such hidden layer.

  >>> import jax.numpy as jnp
  >>> net = {"dense_00": {"bias": jnp.ones(3), "kernel": jnp.ones((2, 3))},
  ...        "dense_01": {"bias": jnp.zeros(1), "kernel": jnp.ones((3, 1))}}
  >>> scaled = rescale_layers(net, 4.0)
  >>> scaled["dense_00"]["bias"].tolist(), scaled["dense_01"]["kernel"][:, 0].tolist()
  ([4.0, 4.0, 4.0], [0.25, 0.25, 0.25])
  """
  names = sorted(params)
  if not 0 <= layer < len(names) - 1:
    raise ValueError(f"layer: got {layer}, expected a hidden layer, 0 to {len(names) - 2}")
  here, above = names[layer], names[layer + 1]
  factor = jnp.asarray(factor)
  column = factor[:, None] if factor.ndim else factor
  return {
    **params,
    here: jax.tree.map(lambda leaf: leaf * factor, params[here]),
    above: {**params[above], "kernel": params[above]["kernel"] / column},
  }


def weight_norms(params: PyTree, initial: PyTree) -> dict[str, jax.Array]:
  """Returns capacity measures of a network, scalars (Jiang et al. 2020, appendix C).

  "parameter_norm": sum of squares of all parameters; "distance": of their distance from `initial`;
  "spectral": log of the product of the kernels' squared spectral norms; "frobenius": of squared
  Frobenius norms; "path": log of the path norm, sum over paths of the product of squared weights,
  biases included (Neyshabur et al. 2015). "spectral", "frobenius" and "path" are not changed by
  rescaling whole layers, "path" not by rescaling single units either.

  >>> params = {"dense_00": {"bias": jnp.zeros(1), "kernel": jnp.full((1, 1), 2.0)}}
  >>> {k: round(float(v), 3) for k, v in weight_norms(params, params).items()}  # log 4 = 1.386
  {'parameter_norm': 4.0, 'distance': 0.0, 'spectral': 1.386, 'frobenius': 1.386, 'path': 1.386}
  """
  layers = [params[name] for name in sorted(params)]
  kernels = [layer["kernel"] for layer in layers]
  values = jnp.ones(kernels[0].shape[0], kernels[0].dtype)
  for layer in layers:
    values = values @ jnp.square(layer["kernel"]) + jnp.square(layer["bias"])
  difference = jax.tree.map(jnp.subtract, params, initial)
  return {
    "parameter_norm": jnp.square(pytrees.norm(params)),
    "distance": jnp.square(pytrees.norm(difference)),
    "spectral": 2 * jnp.sum(jnp.log(jnp.stack([jnp.linalg.norm(kernel, 2) for kernel in kernels]))),
    "frobenius": 2 * jnp.sum(jnp.log(jnp.stack([jnp.linalg.norm(kernel) for kernel in kernels]))),
    "path": jnp.log(jnp.sum(values)),
  }


def margins(outputs: jax.Array, labels: jax.Array) -> jax.Array:
  """Returns each example's output of its label less the largest other one, [N]; > 0 if right.

  Args:
    outputs: logits [N, C], C at least 2.
    labels: [N] int.

  >>> import jax.numpy as jnp
  >>> margins(jnp.array([[1.0, 3.0, 0.0], [2.0, 0.0, 5.0]]), jnp.array([1, 0])).tolist()
  [2.0, -3.0]
  """
  classes = jnp.arange(outputs.shape[1])
  is_label = classes == labels[:, None]
  others = jnp.max(jnp.where(is_label, -jnp.inf, outputs), axis=1)
  return jnp.sum(jnp.where(is_label, outputs, 0), axis=1) - others
