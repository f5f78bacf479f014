"""Convolution, ReLU and max-pooling for the CPU: slices and one matrix product, batch last.

The same functions as `lax.conv_general_dilated`, `jax.nn.relu` and `lax.reduce_window`, up to the
order of summation. They exist because a convolution inside `lax.scan` is many times slower than it
should be on CPU (https://github.com/jax-ml/jax/issues/12868); on a GPU the plain forms are better.

Images are `[C, H, W, N]`: with the batch as the last axis every slice is a copy of long runs and
pooling and ReLU vectorize over examples. Micro-batches of about 60 examples keep the patches in
cache; a larger batch is a sum over micro-batches. Kernels are `[kh, kw, in, out]` and biases
`[out]`, as in flax; convolutions are VALID with stride 1; pooling is 2 x 2 with stride 2 and drops
an odd last row or column, as PyTorch does.

Conventions of the gradients: a ReLU has slope 0 at 0; of tied maxima in a pooling window the first
one in row-major order gets all of the gradient (PyTorch's choice, and that of `lax.reduce_window`).
The functions have hand-written reverse rules: they can be differentiated once, in reverse mode
only, and can be vmapped. For Hessians and forward mode use the plain forms.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

# A convolution with pooling computes all four outputs of a pooling window in one row of a larger
# product while a patch has at most this many entries. The product is (1 + 1/kh)(1 + 1/kw) times
# larger and the patches are that much less often copied, which wins while copying costs more than
# multiplying. Our choice: measured, 16 (conv 1 of the homework) wins and 160 (conv 2) loses.
BLOCK_FORM_MAX_PATCH = 32


def to_batch_last(images: jax.Array) -> jax.Array:
  """Returns images [N, H, W, C] as [C, H, W, N]."""
  return jnp.transpose(images, (3, 1, 2, 0))


def conv_relu(x: jax.Array, kernel: jax.Array, bias: jax.Array) -> jax.Array:
  """Returns relu(conv(x, kernel) + bias).

  Args:
    x: [C, H, W, N].
    kernel: [kh, kw, C, out].
    bias: [out].

  Returns:
    [out, H - kh + 1, W - kw + 1, N].

  Raises:
    ValueError: shapes do not fit each other, or the image is smaller than the kernel.
  """
  _check(x, kernel, bias, minimum=1)
  return _conv_relu(x, kernel, bias)


def conv_relu_pool(x: jax.Array, kernel: jax.Array, bias: jax.Array) -> jax.Array:
  """Returns max_pool(relu(conv(x, kernel) + bias)); outputs that pooling drops are not computed.

  Args:
    x: [C, H, W, N].
    kernel: [kh, kw, C, out].
    bias: [out].

  Returns:
    [out, (H - kh + 1) // 2, (W - kw + 1) // 2, N].

  Raises:
    ValueError: shapes do not fit each other, or no pooling window fits into the convolved image.
  """
  _check(x, kernel, bias, minimum=2)
  return _conv_relu_pool(x, kernel, bias)


def max_pool(x: jax.Array) -> jax.Array:
  """Returns the maxima of 2 x 2 windows with stride 2: [C, H, W, N] to [C, H // 2, W // 2, N].

  Raises:
    ValueError: x is not [C, H, W, N] with H and W at least 2.
  """
  if x.ndim != 4 or min(x.shape[1:3]) < 2:
    raise ValueError(f"max_pool needs [C, H, W, N] with H and W at least 2, got {x.shape}")
  return _max_pool(x)


def _check(x: jax.Array, kernel: jax.Array, bias: jax.Array, minimum: int) -> None:
  if x.ndim != 4 or kernel.ndim != 4 or kernel.shape[2] != x.shape[0]:
    raise ValueError(
      f"expected x [C, H, W, N] and kernel [kh, kw, C, out], got {x.shape} and {kernel.shape}"
    )
  if bias.shape != kernel.shape[3:]:
    raise ValueError(
      f"expected bias {kernel.shape[3:]} for kernel {kernel.shape}, got {bias.shape}"
    )
  size = tuple(have - k + 1 for have, k in zip(x.shape[1:3], kernel.shape[:2]))
  if min(size) < minimum:
    raise ValueError(
      f"images of {x.shape[1:3]} are too small: kernel {kernel.shape[:2]} leaves {size}, "
      f"at least {minimum} x {minimum} needed; use fewer layers or a smaller kernel"
    )


# The convolution as a matrix product: [out, kh kw C] @ [kh kw C, H' W' N].


def _patches(x: jax.Array, kh: int, kw: int, h: int, w: int) -> jax.Array:
  """Returns the patches [kh kw C, h w N] of the first h x w positions of x [C, H, W, N]."""
  # Shifting columns first and rows after reads x once for each of kw shifts instead of kh kw.
  columns = jnp.stack([x[:, :, j : j + w] for j in range(kw)])
  return jnp.stack([columns[:, :, i : i + h] for i in range(kh)]).reshape(-1, h * w * x.shape[3])


def _scatter_patches(
  patches: jax.Array, shape: tuple[int, ...], kh: int, kw: int, h: int, w: int
) -> jax.Array:
  """Returns the transpose of `_patches`: [kh kw C, h w N] summed into zeros of `shape`."""
  channels, _, _, n = shape
  patches = patches.reshape(kh * kw, channels, h, w, n)

  def add(k: int, total: jax.Array) -> jax.Array:
    corner = (0, k // kw, k % kw, 0)
    part = lax.dynamic_slice(total, corner, (channels, h, w, n)) + patches[k]
    return lax.dynamic_update_slice(total, part, corner)

  # Adding slices in place; the sum of kh kw padded slices (what autodiff makes) is 8 times slower.
  # A loop is compiled once; written out, it was a tenth of what a training compiles.
  return lax.fori_loop(0, kh * kw, add, jnp.zeros(shape, patches.dtype))


def _product(kernel: jax.Array, patches: jax.Array) -> jax.Array:
  """Returns kernel [K, out] and patches [K, Q] multiplied, [out, Q]."""
  return kernel.T @ patches


def _kernel_gradient(patches: jax.Array, dz: jax.Array) -> jax.Array:
  """Returns patches [K, Q] and dz [out, Q] contracted over Q, [K, out]."""
  return lax.dot_general(patches, dz, (((1,), (1,)), ((), ())))


def _image_gradient(kernel: jax.Array, dz: jax.Array, shape: tuple[int, ...]) -> jax.Array:
  """Returns dx of `shape` from dz [out, h, w, N], the gradient at the first h x w positions."""
  kh, kw, _, out = kernel.shape
  dpatches = kernel.reshape(-1, out) @ dz.reshape(out, -1)
  return _scatter_patches(dpatches, shape, kh, kw, dz.shape[1], dz.shape[2])


# The four members of a pooling window, in row-major order, as a list of [C, h, w, N].


def _window(z: jax.Array) -> list[jax.Array]:
  """Returns the members of each window of z [C, 2 h, 2 w, N]."""
  channels, height, width, n = z.shape
  z = z.reshape(channels, height // 2, 2, width // 2, 2, n)
  return [z[:, :, a, :, b] for a in (0, 1) for b in (0, 1)]


def _from_winner(winner: jax.Array, g: jax.Array) -> jax.Array:
  """Returns dz [C, 2 h, 2 w, N]: g [C, h, w, N] at the member `winner` (0 to 3), else 0."""
  channels, h, w, n = g.shape
  member = jnp.arange(4, dtype=jnp.int8).reshape(1, 1, 2, 1, 2, 1)
  dz = jnp.where(winner[:, :, None, :, None] == member, g[:, :, None, :, None], 0)
  return dz.reshape(channels, 2 * h, 2 * w, n)


def _maximum(window: list[jax.Array]) -> jax.Array:
  return jnp.maximum(jnp.maximum(window[0], window[1]), jnp.maximum(window[2], window[3]))


def _winner(window: list[jax.Array]) -> jax.Array:
  """Returns which member is the first maximum: 0 to 3, int8."""
  top = _maximum(window)
  later = jnp.where(window[1] == top, 1, jnp.where(window[2] == top, 2, 3))
  return jnp.where(window[0] == top, 0, later).astype(jnp.int8)


def _relu_winner(window: list[jax.Array]) -> jax.Array:
  """Returns `_winner`, but 4 (no member) where the ReLU is flat because no member is positive."""
  return jnp.where(_maximum(window) > 0, _winner(window), jnp.int8(4))


def _computed_once(
  function: Callable[[jax.Array], tuple[jax.Array, jax.Array]], z: jax.Array
) -> tuple[jax.Array, jax.Array]:
  """Returns function(z), stored before it is used.

  XLA on CPU fuses cheap producers into each of their consumers, past `optimization_barrier`, and
  so would find the winner again for every element of dz (measured: five times slower). It does
  not fuse out of a conditional, so this is one, whose condition always holds (no number has more
  bits set than it has bits) but is not known to XLA. Under vmap it becomes a select: right, but
  slower.
  """
  bits = lax.bitcast_convert_type(z[(0,) * z.ndim], f"uint{8 * z.dtype.itemsize}")
  shapes = jax.eval_shape(function, z)
  return lax.cond(
    lax.population_count(bits) <= 8 * z.dtype.itemsize,
    function,
    lambda _: jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes),
    z,
  )


# conv_relu


@jax.custom_vjp
def _conv_relu(x, kernel, bias):
  return _conv_relu_forward(x, kernel, bias)[0]


def _conv_relu_forward(x, kernel, bias):
  kh, kw, _, out = kernel.shape
  h, w = x.shape[1] - kh + 1, x.shape[2] - kw + 1
  patches = _patches(x, kh, kw, h, w)
  z = _product(kernel.reshape(-1, out), patches).reshape(out, h, w, -1)
  y = jnp.maximum(z + bias[:, None, None, None], 0)
  return y, (x, kernel, patches, y)  # of x the reverse rule needs the shape only


def _conv_relu_backward(residuals, g):
  x, kernel, patches, y = residuals
  dz = jnp.where(y > 0, g, 0)
  dkernel = _kernel_gradient(patches, dz.reshape(dz.shape[0], -1)).reshape(kernel.shape)
  return _image_gradient(kernel, dz, x.shape), dkernel, jnp.sum(dz, axis=(1, 2, 3))


_conv_relu.defvjp(_conv_relu_forward, _conv_relu_backward)


# max_pool


def _cropped(x):
  return x[:, : x.shape[1] // 2 * 2, : x.shape[2] // 2 * 2]


@jax.custom_vjp
def _max_pool(x):
  return _maximum(_window(_cropped(x)))


def _max_pool_forward(x):
  y, winner = _computed_once(lambda z: (_maximum(_window(z)), _winner(_window(z))), _cropped(x))
  return y, (x, winner)


def _max_pool_backward(residuals, g):
  x, winner = residuals
  dx = _from_winner(winner, g)
  return (jnp.pad(dx, [(0, full - kept) for full, kept in zip(x.shape, dx.shape)]),)


_max_pool.defvjp(_max_pool_forward, _max_pool_backward)


# conv_relu_pool, for a long patch: all outputs in one product, then the pooling.


def _pooled(window):
  return jnp.maximum(_maximum(window), 0)


def _conv_windows(x, kernel, bias):
  """Returns (patches, z, window_of) with the four members window_of(z), each [out, h, w, N]."""
  kh, kw, channels, out = kernel.shape
  h, w, n = (x.shape[1] - kh + 1) // 2, (x.shape[2] - kw + 1) // 2, x.shape[3]
  column = bias[:, None, None, None]
  if kh * kw * channels > BLOCK_FORM_MAX_PATCH:
    patches = _patches(x, kh, kw, 2 * h, 2 * w)
    z = _product(kernel.reshape(-1, out), patches).reshape(out, 2 * h, 2 * w, n)
    return patches, z, lambda z: [member + column for member in _window(z)]
  patches = _block_patches(x, kh + 1, kw + 1, h, w)
  z = _product(_block_kernel(kernel), patches).reshape(4, out, h, w, n)
  return patches, z, lambda z: [z[member] + column for member in range(4)]


@jax.custom_vjp
def _conv_relu_pool(x, kernel, bias):
  _, z, window_of = _conv_windows(x, kernel, bias)
  return _pooled(window_of(z))


def _conv_relu_pool_forward(x, kernel, bias):
  patches, z, window_of = _conv_windows(x, kernel, bias)
  y, winner = _computed_once(lambda z: (_pooled(window_of(z)), _relu_winner(window_of(z))), z)
  return y, (x, kernel, patches, winner)  # of x the reverse rule needs the shape only


def _conv_relu_pool_backward(residuals, g):
  x, kernel, patches, winner = residuals
  kh, kw, channels, out = kernel.shape
  dbias = jnp.sum(jnp.where(winner < 4, g, 0), axis=(1, 2, 3))
  dz = _from_winner(winner, g)
  if kh * kw * channels > BLOCK_FORM_MAX_PATCH:
    dkernel = _kernel_gradient(patches, dz.reshape(out, -1)).reshape(kernel.shape)
  else:
    member = jnp.arange(4, dtype=jnp.int8).reshape(4, 1, 1, 1, 1)
    dz_block = jnp.where(winner == member, g, 0).reshape(4 * out, -1)
    dkernel = _from_block_kernel(_kernel_gradient(patches, dz_block), kernel.shape)
  # Unused where x is data: jit then drops it, and what only it needs.
  return _image_gradient(kernel, dz, x.shape), dkernel, dbias


_conv_relu_pool.defvjp(_conv_relu_pool_forward, _conv_relu_pool_backward)


# conv_relu_pool, for a short patch: a (kh + 1) x (kw + 1) patch holds all inputs of one window, and
# a kernel with 4 out columns, the kernel at its four offsets, gives the four members at once.


def _block_patches(x: jax.Array, rows: int, columns: int, h: int, w: int) -> jax.Array:
  """Returns the rows x columns patches with stride 2, [rows columns C, h w N]."""
  x_columns = jnp.stack([x[:, :, j : j + 2 * w - 1 : 2] for j in range(columns)])
  x_rows = [x_columns[:, :, i : i + 2 * h - 1 : 2] for i in range(rows)]
  return jnp.stack(x_rows).reshape(-1, h * w * x.shape[3])


def _block_kernel(kernel: jax.Array) -> jax.Array:
  """Returns [(kh + 1) (kw + 1) C, 4 out]: the kernel at the offsets of the window's members."""
  shifted = [
    jnp.pad(kernel, ((a, 1 - a), (b, 1 - b), (0, 0), (0, 0))) for a in (0, 1) for b in (0, 1)
  ]
  return jnp.stack(shifted, axis=3).reshape(-1, 4 * kernel.shape[3])


def _from_block_kernel(dblock: jax.Array, shape: tuple[int, ...]) -> jax.Array:
  """Returns the transpose of `_block_kernel`: [(kh + 1) (kw + 1) C, 4 out] summed to `shape`."""
  kh, kw, channels, out = shape
  dblock = dblock.reshape(kh + 1, kw + 1, channels, 4, out)
  first, *others = [dblock[a : a + kh, b : b + kw, :, 2 * a + b] for a in (0, 1) for b in (0, 1)]
  return sum(others, start=first)
