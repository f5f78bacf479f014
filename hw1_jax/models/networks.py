"""The reports' networks as flax.linen modules, used through pure functions.

A model is a frozen description; its parameters are a dict of dicts of arrays:

    model = MLP((500, 10))
    params = init(model, jax.random.key(0), (1, 784))   # {"dense_00": {"bias", "kernel"}, ...}
    logits = apply(model, params, images)

Layers are named in the order of the forward pass with two digits, so that the leaf order of
`pytrees.ravel` is that of the layers: bias first, then the kernel, row-major [inputs, outputs].
Both start uniform in +-1/sqrt(fan_in), PyTorch's default for Linear and Conv2d.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, cast

import jax
import jax.numpy as jnp
from flax import linen as nn

from hw1_jax import devices, pytrees
from hw1_jax.models import convolution
from hw1_jax.models.initial_values import init, init_members, uniform_fan_in

Params = Any

ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
  "relu": nn.relu,
  "leaky_relu": nn.leaky_relu,  # slope 0.01, PyTorch's default
  "tanh": jnp.tanh,
  "sigmoid": nn.sigmoid,
  "softplus": nn.softplus,
}


class Dense(nn.Module):
  """x W + b. With `batch_last`, x is [inputs, N] and the output [features, N]."""

  features: int
  batch_last: bool = False

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    fan_in = x.shape[0] if self.batch_last else x.shape[-1]
    kernel = self.param("kernel", uniform_fan_in(fan_in), (fan_in, self.features), jnp.float32)
    bias = self.param("bias", uniform_fan_in(fan_in), (self.features,), jnp.float32)
    if self.batch_last:
      return kernel.T @ x + bias[:, None]
    return x @ kernel + bias


class MLP(nn.Module):
  """A fully connected network: `features` units a layer, the last one linear.

  `batch_last` chooses the layout inside: with features x examples the small matrices of the
  function-fitting nets are long rows, a step of the 571-parameter nets is then 2.5 times faster
  on CPU. The function and its parameters are the same.
  """

  features: tuple[int, ...]
  activation: str = "relu"
  batch_last: bool = False

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """Returns outputs [N, features[-1]] for x [N, ...]; each example is flattened."""
    x = x.reshape(x.shape[0], -1)
    x = x.T if self.batch_last else x
    for i, features in enumerate(self.features):
      x = Dense(features, self.batch_last, name=f"dense_{i:02d}")(x)
      if i + 1 < len(self.features):
        x = ACTIVATIONS[self.activation](x)
    return x.T if self.batch_last else x


def first_layer(params: Params, x: jax.Array) -> jax.Array:
  """Returns an MLP's first pre-activations z [N, units] for inputs x [N, D]: affine in params."""
  return x @ params["dense_00"]["kernel"] + params["dense_00"]["bias"]


def behind_first_layer(model: MLP, params: Params, z: jax.Array) -> jax.Array:
  """Returns an MLP's outputs [N, features[-1]] for its first pre-activations z [N, units]."""
  activation = ACTIVATIONS[model.activation]
  for i in range(1, len(model.features)):
    layer = params[f"dense_{i:02d}"]
    z = activation(z) @ layer["kernel"] + layer["bias"]
  return z


@dataclasses.dataclass(frozen=True)
class ConvLayer:
  """A convolution, stride 1, no padding, ReLU; then 2 x 2 max-pooling, stride 2, if `pool`."""

  channels: int
  kernel_size: int
  pool: bool


class Conv(nn.Module):
  """One ConvLayer in either form: "lax" for [N, H, W, C], "matmul" for [C, H, W, N]."""

  layer: ConvLayer
  form: str

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    layer = self.layer
    inputs, size = x.shape[-1 if self.form == "lax" else 0], layer.kernel_size
    initialize = uniform_fan_in(size * size * inputs)
    kernel = self.param("kernel", initialize, (size, size, inputs, layer.channels), jnp.float32)
    bias = self.param("bias", initialize, (layer.channels,), jnp.float32)
    if self.form == "matmul":
      return (convolution.conv_relu_pool if layer.pool else convolution.conv_relu)(x, kernel, bias)
    x = jax.lax.conv_general_dilated(
      x, kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    x = nn.relu(x + bias)
    return nn.max_pool(x, (2, 2), (2, 2)) if layer.pool else x


CONVOLUTION_FORMS = ("auto", "lax", "matmul")


def convolution_form(form: str) -> str:
  """Returns the form that runs: "auto" is "matmul" on CPU and "lax" (cuDNN) elsewhere."""
  if form not in CONVOLUTION_FORMS:
    raise ValueError(f"convolution: got {form!r}, expected one of {', '.join(CONVOLUTION_FORMS)}")
  if form != "auto":
    return form
  return "matmul" if jax.default_backend() == "cpu" else "lax"


class CNN(nn.Module):
  """Convolutions, then dense layers with ReLU between; the last one, `num_classes` units, linear.

  `dropout_after` holds the indices of the dense layers whose output is dropped out in training
  (the long report's notebook: after the first dense layer of CNN-1 only). `convolution` chooses
  between `lax.conv` and the CPU-fast form of `hw1_jax.convolution`: the same function, and the same
  parameters, but the fast form has no forward-mode derivative.
  """

  conv_layers: tuple[ConvLayer, ...]
  dense_features: tuple[int, ...]
  num_classes: int = 10
  dropout_after: tuple[int, ...] = ()
  dropout_rate: float = 0.25
  convolution: str = "auto"

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool = False, batch_last: bool = False) -> jax.Array:
    """Returns logits [N, num_classes] for images [N, H, W, C] in [0, 1].

    With `batch_last` the images come as [C, H, W, N], the fast form's own layout: a caller with a
    loop over micro-batches turns them once, outside of it.
    """
    height, width = x.shape[1:3]
    smallest = smallest_image(self)
    if min(height, width) < smallest:
      raise ValueError(
        f"images: got {height} x {width}, expected at least {smallest} x {smallest} for these "
        "convolutions; use fewer layers, a smaller kernel or less pooling"
      )
    form = convolution_form(self.convolution)
    if form == "matmul" and not batch_last:
      x = convolution.to_batch_last(x)
    elif form == "lax" and batch_last:
      x = jnp.transpose(x, (3, 1, 2, 0))
    for i, layer in enumerate(self.conv_layers):
      x = Conv(layer, form, name=f"conv_{i:02d}")(x)
    if form == "matmul":
      x = jnp.transpose(x, (3, 1, 2, 0))
    x = x.reshape(x.shape[0], -1)
    for i, features in enumerate(self.dense_features):
      x = nn.relu(Dense(features, name=f"dense_{i:02d}")(x))
      if i in self.dropout_after:
        x = nn.Dropout(self.dropout_rate, deterministic=not train)(x)
    return Dense(self.num_classes, name=f"dense_{len(self.dense_features):02d}")(x)


# Examples at a time in the CPU-fast form of convolutions. Our choice, measured: fits the cache.
MICRO_BATCH = 60


def in_micro_batches(model: nn.Module) -> bool:
  """Returns whether a model works best on MICRO_BATCH examples at a time."""
  return isinstance(model, CNN) and convolution_form(model.convolution) == "matmul"


def has_micro_batches(model: nn.Module) -> bool:
  """Returns whether a minibatch is cut into parts of MICRO_BATCH: for speed, or for its dropout."""
  return in_micro_batches(model) or (isinstance(model, CNN) and bool(model.dropout_after))


def smallest_image(model: CNN) -> int:
  """Returns the least height and width of an image that leaves the convolutions an output."""
  size = 1
  for layer in reversed(model.conv_layers):
    size = size * (2 if layer.pool else 1) + layer.kernel_size - 1
  return size


def apply(model: nn.Module, params: Params, x: jax.Array, **options: Any) -> jax.Array:
  """Returns the model's outputs [N, ...]; options `train` and `rngs` as the module takes them."""
  return cast(jax.Array, model.apply({"params": params}, x, **options))


def ravelled(
  model: nn.Module, keys: jax.Array, input_shape: Sequence[int]
) -> tuple[Callable[[jax.Array, jax.Array], jax.Array], jax.Array]:
  """Returns (forward, start): the model as a function of one vector, and M fresh vectors [M, P].

  forward(vector [P], x [N, ...]) is `apply` with the parameters that `pytrees.ravel` made the
  vector of; start[m] is drawn from keys[m].
  """
  unravel = pytrees.unravel_like(parameter_shapes(model, input_shape))
  start = pytrees.ravel_members(init_members(model, keys, input_shape))

  def forward(vector: jax.Array, x: jax.Array) -> jax.Array:
    return apply(model, unravel(vector), x)

  return forward, start


def unravelled(model: nn.Module, vectors: Any, input_shape: Sequence[int]) -> Params:
  """Returns the parameters, leaves [M, ...], that `pytrees.ravel` made the vectors [M, P] of."""
  unravel = pytrees.unravel_like(parameter_shapes(model, input_shape))
  return devices.jit_draws(jax.vmap(unravel))(vectors)


def count_parameters(model: nn.Module, input_shape: Sequence[int]) -> int:
  """Returns the number of parameters; nothing is computed."""
  return pytrees.size(parameter_shapes(model, input_shape))


def parameter_shapes(model: nn.Module, input_shape: Sequence[int]) -> Params:
  """Returns the parameters' `jax.ShapeDtypeStruct`s; nothing is computed."""
  return jax.eval_shape(lambda: init(model, jax.random.key(0), input_shape))
