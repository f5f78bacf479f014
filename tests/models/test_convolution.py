"""The CPU form of convolution, ReLU and pooling against `lax.conv_general_dilated` and friends."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from hw1_jax.models import convolution


def plain_conv_relu(x, kernel, bias):
  z = lax.conv_general_dilated(
    x, kernel, (1, 1), "VALID", dimension_numbers=("CHWN", "HWIO", "CHWN"), precision="highest"
  )
  return jax.nn.relu(z + bias[:, None, None, None])


def plain_max_pool(x):
  return lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")


def plain_conv_relu_pool(x, kernel, bias):
  return plain_max_pool(plain_conv_relu(x, kernel, bias))


LAYERS = {
  "conv_relu": (convolution.conv_relu, plain_conv_relu),
  "conv_relu_pool": (convolution.conv_relu_pool, plain_conv_relu_pool),
}
# (C, H, W, N), (kh, kw, out): both forms of the pooled layer (a patch of up to 32 entries, and
# longer), even and odd sizes after the convolution in each axis, a window of one, kh != kw.
SHAPES = {
  "conv 1 of CNN-1, odd": ((1, 28, 28, 2), (4, 4, 10)),
  "conv 2 of CNN-1, odd": ((10, 12, 12, 2), (4, 4, 20)),
  "short patch, even, odd": ((1, 7, 8, 5), (4, 4, 2)),
  "long patch, even": ((4, 6, 6, 3), (3, 3, 2)),
  "short patch, not square": ((2, 5, 7, 3), (2, 3, 3)),
  "long patch, one window": ((6, 4, 3, 2), (3, 2, 3)),
}


def draw(image_shape, kernel_shape, dtype):
  rng = np.random.default_rng(3)
  kh, kw, out = kernel_shape
  arrays = (
    rng.normal(size=image_shape),
    rng.normal(size=(kh, kw, image_shape[0], out)) / 3,
    rng.normal(size=out) / 3,
  )
  return tuple(jnp.asarray(a, dtype) for a in arrays)


def assert_close(actual, expected, dtype):
  """Sums of up to a few thousand rounded terms, in another order, relative to the largest entry."""
  assert actual.shape == expected.shape
  assert actual.dtype == expected.dtype == dtype
  tolerance = 100 * np.finfo(dtype).eps * max(1.0, float(np.abs(expected).max()))
  np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance)


def gradients(function, arrays):
  """Returns the gradients, for every argument, of a loss that weighs every output differently."""

  def loss(*arrays):
    y = function(*arrays)
    return jnp.sum(y * jnp.cos(jnp.arange(y.size, dtype=y.dtype)).reshape(y.shape))

  return jax.jit(jax.grad(loss, argnums=tuple(range(len(arrays)))))(*arrays)


@pytest.mark.parametrize(
  ("shape", "dtype"),
  [
    *((shape, np.float64) for shape in SHAPES),
    *((shape, np.float32) for shape in list(SHAPES)[:2]),
    *(pytest.param(shape, np.float32, marks=pytest.mark.slow) for shape in list(SHAPES)[2:]),
  ],
)
@pytest.mark.parametrize("layer", LAYERS)
def test_values_and_gradients_are_those_of_the_plain_form(layer, shape, dtype):
  with jax.enable_x64(dtype == np.float64):
    fast, plain = LAYERS[layer]
    arrays = draw(*SHAPES[shape], dtype)
    assert_close(jax.jit(fast)(*arrays), jax.jit(plain)(*arrays), dtype)
    for actual, expected in zip(gradients(fast, arrays), gradients(plain, arrays)):
      assert np.any(expected != 0)
      assert_close(actual, expected, dtype)


@pytest.mark.parametrize("shape", [(2, 6, 6, 3), (3, 7, 5, 2), (1, 2, 3, 1)])
def test_max_pool_is_the_plain_form(shape):
  (x,) = draw(shape, (1, 1, 1), np.float32)[:1]
  pooled = (jax.jit(pool)(x) for pool in (convolution.max_pool, plain_max_pool))
  np.testing.assert_array_equal(*pooled)
  np.testing.assert_array_equal(
    gradients(convolution.max_pool, (x,))[0], gradients(plain_max_pool, (x,))[0]
  )


@jax.jit
def tied_gradient(x):
  return jax.grad(lambda x: convolution.max_pool(x).sum())(x)


@jax.jit
def tied_gradient_of_the_layer(x, kernel):
  return jax.grad(lambda x: convolution.conv_relu_pool(x, kernel, jnp.zeros(1)).sum())(x)


@pytest.mark.parametrize(
  ("window", "winner"),
  [
    ([[1, 1], [1, 1]], (0, 0)),
    ([[0, 2], [2, 2]], (0, 1)),
    ([[0, 1], [3, 3]], (1, 0)),
    ([[0, 1], [2, 3]], (1, 1)),
  ],
)
def test_first_of_tied_maxima_gets_the_gradient(window, winner):
  expected = np.zeros((2, 2), np.float32)
  expected[winner] = 1
  x = np.float32(window).reshape(1, 2, 2, 1)
  np.testing.assert_array_equal(np.asarray(tied_gradient(x))[0, :, :, 0], expected)
  # A 1 x 1 kernel of one makes the layer the pooling itself; on 33 channels the long-patch form.
  for channels in (1, convolution.BLOCK_FORM_MAX_PATCH + 1):
    copies = np.tile(x, (channels, 1, 1, 1))
    kernel = np.zeros((1, 1, channels, 1), np.float32)
    kernel[0, 0, 0, 0] = 1
    gradient = np.asarray(tied_gradient_of_the_layer(copies, kernel))
    np.testing.assert_array_equal(gradient[0, :, :, 0], expected)


@pytest.mark.parametrize("channels", [1, 4])
def test_many_ties_and_dead_windows_go_where_the_plain_form_sends_them(channels):
  # Small integers: every sum is exact, so ties are ties in both forms.
  rng = np.random.default_rng(5)
  x = jnp.asarray(rng.integers(0, 2, (channels, 10, 11, 6)), jnp.float32)
  kernel = jnp.asarray(rng.integers(-1, 2, (4, 4, channels, 5)), jnp.float32)
  bias = jnp.asarray(rng.integers(-1, 2, 5), jnp.float32)
  y = jax.jit(plain_conv_relu)(x, kernel, bias)
  windows = np.asarray(y)[:, :6].reshape(5, 3, 2, 4, 2, 6)  # 7 x 8 positions, the last row unused
  maxima = windows.max(axis=(2, 4), keepdims=True)
  assert np.mean(np.sum(windows == maxima, axis=(2, 4)) > 1) > 0.1
  assert np.mean(maxima == 0) > 0.05

  def loss(function):  # integer weights: the gradients too are exact
    return lambda *a: jnp.sum(function(*a) * (1 + jnp.arange(5.0)[:, None, None, None]))

  for fast, plain in LAYERS.values():
    actual, expected = (
      jax.jit(jax.grad(loss(function), (0, 1, 2)))(x, kernel, bias) for function in (fast, plain)
    )
    for a, b in zip(actual, expected):
      np.testing.assert_array_equal(a, b)


def test_four_convolutions_deep():
  # CNN-2 of the short report: kernel 4, pooling only after some convolutions.
  rng = np.random.default_rng(7)
  channels = [1, 6, 7, 8, 9]
  with jax.enable_x64(True):
    x = jnp.asarray(rng.normal(size=(1, 28, 28, 4)))
    parameters = [
      (jnp.asarray(rng.normal(size=(4, 4, a, b)) / 4 / a**0.5), jnp.asarray(rng.normal(size=b) / 5))
      for a, b in itertools.pairwise(channels)
    ]

    def network(conv, conv_pool):
      def run(parameters, x):
        for layer, (kernel, bias) in zip((conv, conv_pool, conv, conv_pool), parameters):
          x = layer(x, kernel, bias)
        return jnp.sum(jnp.sin(x)), x

      return jax.jit(jax.value_and_grad(run, (0, 1), has_aux=True))(parameters, x)

    (actual, last), actual_gradients = network(convolution.conv_relu, convolution.conv_relu_pool)
    (expected, _), expected_gradients = network(plain_conv_relu, plain_conv_relu_pool)
    assert last.shape == (9, 2, 2, 4)  # 28 25 22 11 8 5 2
    assert_close(actual, expected, np.float64)
    for a, b in zip(jax.tree.leaves(actual_gradients), jax.tree.leaves(expected_gradients)):
      assert_close(a, b, np.float64)


@pytest.mark.parametrize("layer", LAYERS)
def test_vmap_over_members_is_each_member_alone(layer):
  fast, _ = LAYERS[layer]
  x, kernel, bias = draw((1, 9, 9, 5), (4, 4, 3), np.float32)
  kernel, bias = np.asarray(kernel), np.asarray(bias)
  kernels, biases = np.stack([kernel, -kernel]), np.stack([bias, 2 * bias])
  together = jax.jit(jax.vmap(lambda k, b: gradients(fast, (x, k, b))))(kernels, biases)
  for m in range(2):
    alone = gradients(fast, (x, kernels[m], biases[m]))
    for a, b in zip(together, alone):
      assert_close(np.asarray(a)[m], b, np.float32)


@pytest.mark.parametrize("poisoned", [0, 1, 2], ids=["x", "kernel", "bias"])
@pytest.mark.parametrize("layer", LAYERS)
def test_nan_stays_where_the_plain_form_has_it(layer, poisoned):
  fast, plain = LAYERS[layer]
  arrays = list(draw((1, 9, 9, 5), (4, 4, 3), np.float32))
  arrays[poisoned] = np.array(arrays[poisoned])
  arrays[poisoned][(0,) * arrays[poisoned].ndim] = np.nan
  y = jax.jit(lambda *a: jax.vjp(fast, *a)[0])(*arrays)
  expected = np.isnan(jax.jit(plain)(*arrays))
  assert 0 < np.sum(expected) < expected.size
  np.testing.assert_array_equal(np.isnan(y), expected)


def test_to_batch_last():
  images = jnp.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
  moved = convolution.to_batch_last(images)
  assert moved.shape == (5, 3, 4, 2)
  assert moved[4, 1, 2, 1] == images[1, 1, 2, 4]


def test_shapes_that_do_not_fit_are_named():
  x, kernel, bias = draw((2, 6, 6, 3), (4, 4, 5), np.float32)
  with pytest.raises(ValueError, match=r"kernel \[kh, kw, C, out\], got \(1, 6, 6, 3\)"):
    convolution.conv_relu(x[:1], kernel, bias)
  with pytest.raises(ValueError, match=r"expected bias \(5,\)"):
    convolution.conv_relu_pool(x, kernel, bias[:4])
  with pytest.raises(ValueError, match=r"leaves \(1, 3\), at least 2 x 2"):
    convolution.conv_relu_pool(x[:, :4], kernel, bias)
  with pytest.raises(ValueError, match=r"leaves \(0, 3\), at least 1 x 1"):
    convolution.conv_relu(x[:, :3], kernel, bias)
  with pytest.raises(ValueError, match="H and W at least 2"):
    convolution.max_pool(x[:, :1])
