"""Architectures: exact parameter counts, initialization, forward passes by hand."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from hw1_jax import models, pytrees, rng

FUNCTION_NETS = {
  "5-10-10-10-10-10-5": 571,
  "10-18-15-4": 572,
  "190": 571,
  "9-11-10-10-11-11-11-9": 861,
  "15-14-15-16": 752,
  "24-27": 751,
  "500": 1501,
}
CNNS = {
  "10k4p-20k4p/50d-100": 25_550,
  "10k4p-20k4p/50-50-40-30": 25_570,
  "18k4p-22k4p/52": 25_550,
  "10k5p-15k5p/86": 25_621,
}
MLPS = {
  "500": 397_510, "500-50": 418_060, "50": 39_760, "100": 79_510, "250": 198_760, "550": 437_260,
  "750": 596_260, "1000": 795_010, "1050": 834_760, "1500": 1_192_510, "2000": 1_590_010,
}  # fmt: skip


@pytest.mark.parametrize(("widths", "count"), FUNCTION_NETS.items())
def test_function_nets_have_the_reported_sizes(widths, count):
  model = models.MLP((*models.parse_widths(widths), 1), batch_last=True)
  assert models.count_parameters(model, (1, 1)) == count


@pytest.mark.parametrize(("spec", "count"), CNNS.items())
def test_cnns_have_the_reported_sizes(spec, count):
  assert models.count_parameters(models.parse_cnn(spec), (1, 28, 28, 1)) == count


@pytest.mark.parametrize(("widths", "count"), MLPS.items())
def test_image_mlps_have_the_reported_sizes(widths, count):
  model = models.MLP((*models.parse_widths(widths), 10))
  assert models.count_parameters(model, (1, 28, 28, 1)) == count


@pytest.mark.parametrize("shape", [(7,), (3, 5), (4, 4, 3, 10)])
def test_initial_values_are_jaxs_own_draws_of_that_shape(shape):
  key = jax.random.key(3)
  drawn = jax.jit(models.uniform_fan_in(16), static_argnums=1)(key, shape)
  expected = jax.random.uniform(key, shape, jnp.float32, -0.25, 0.25)
  np.testing.assert_array_equal(drawn, expected)


def test_initial_values_are_uniform_in_pytorchs_bound():
  params = models.init(models.MLP((2000, 10)), jax.random.key(0), (1, 784))
  for layer, fan_in in (("dense_00", 784), ("dense_01", 2000)):
    for leaf in params[layer].values():
      bound = fan_in**-0.5
      assert np.abs(leaf).max() <= bound
    kernel = np.asarray(params[layer]["kernel"])
    # The standard deviation of a uniform variable in +-b is b/sqrt(3); 4 standard errors.
    assert kernel.std() == pytest.approx(bound / 3**0.5, rel=4 * 0.45 / kernel.size**0.5)
  conv = models.init(models.parse_cnn("10k4p-20k4p/5"), jax.random.key(0), (1, 28, 28, 1))
  assert 0.9 < np.abs(conv["conv_01"]["kernel"]).max() * (16 * 10) ** 0.5 <= 1


@pytest.mark.parametrize("activation", sorted(models.ACTIVATIONS))
def test_both_layouts_are_one_function(activation):
  widths = (5, 7, 3, 1)
  row = models.MLP(widths, activation)
  column = models.MLP(widths, activation, batch_last=True)
  params = models.init(row, jax.random.key(1), (1, 2))
  x = jax.random.normal(jax.random.key(2), (11, 2))
  np.testing.assert_allclose(
    models.apply(row, params, x), models.apply(column, params, x), atol=1e-6
  )


def test_mlp_is_what_one_writes_by_hand():
  model = models.MLP((3, 2), "leaky_relu")
  params = models.init(model, jax.random.key(0), (1, 2))
  x = np.array([[1.0, -2.0], [0.5, 3.0]], np.float32)
  first, second = params["dense_00"], params["dense_01"]
  z = x @ np.asarray(first["kernel"]) + np.asarray(first["bias"])
  hidden = np.where(z > 0, z, 0.01 * z)
  expected = hidden @ np.asarray(second["kernel"]) + np.asarray(second["bias"])
  np.testing.assert_allclose(models.apply(model, params, x), expected, atol=1e-6)


def test_the_vector_is_bias_then_kernel_layer_by_layer():
  model = models.MLP((*[2] * 11, 1))
  params = models.init(model, jax.random.key(0), (1, 1))
  vector, _ = pytrees.ravel(params)
  by_hand = [
    params[f"dense_{i:02d}"][leaf].ravel() for i in range(12) for leaf in ("bias", "kernel")
  ]
  np.testing.assert_array_equal(vector, np.concatenate(by_hand))


def test_dropout_acts_in_training_only():
  model = models.parse_cnn("2k4p/50d-20")
  params = models.init(model, jax.random.key(0), (1, 28, 28, 1))
  x = jax.random.uniform(jax.random.key(1), (4, 28, 28, 1))

  @jax.jit
  def train(key):
    return models.apply(model, params, x, train=True, rngs={"dropout": jax.random.key(key)})

  apply = jax.jit(lambda x: models.apply(model, params, x))
  quiet = apply(x)
  np.testing.assert_array_equal(quiet, apply(x))
  assert not np.allclose(train(0), train(1))
  assert not np.allclose(train(0), quiet)


def test_ravelled_forward_is_apply():
  model = models.MLP((4, 1), batch_last=True)
  keys = rng.member_keys(3, 2)
  forward, start = models.ravelled(model, keys, (1, 1))
  x = jnp.linspace(-1, 1, 5)[:, None]
  params = models.init(model, keys[1], (1, 1))
  assert start.shape == (2, 13)
  np.testing.assert_array_equal(forward(start[1], x), models.apply(model, params, x))


@pytest.mark.parametrize("text", ["", "5-", "-5", "0", "5-0", "5 5", "a", "5--5", "٣"])
def test_parse_widths_refuses(text):
  with pytest.raises(ValueError, match="expected hidden widths"):
    models.parse_widths(text)


@pytest.mark.parametrize("text", ["", "10k4p", "/50", "10k/50", "10k4q/50", "10k4p/50d-"])
def test_parse_cnn_refuses(text):
  with pytest.raises(ValueError, match="expected convolutions/dense layers"):
    models.parse_cnn(text)


def members_and_each_alone(model, keys, shape=(1, 28, 28, 1)):
  """The bits of members drawn together are those of each alone; returns the first one's."""
  together = models.init_members(model, keys, shape)
  for m in range(len(keys)):
    alone = models.init(model, keys[m], shape)
    equal = functools.partial(np.testing.assert_array_equal, strict=True)  # shapes and types, too
    jax.tree.map(equal, pytrees.member(together, m), alone)
  return pytrees.member(together, 0)


class Scaled(nn.Module):
  """A leaf of no axis, beside others."""

  @nn.compact
  def __call__(self, x, *, train=False):
    scale = self.param("scale", models.uniform_fan_in(4), ())
    return scale * models.Dense(3)(x.reshape(len(x), -1))


SHARED = (
  *(models.MLP((30, 20, 10)), models.MLP((1100, 10))),
  *(models.parse_cnn("2k3p-3k3/5d"), Scaled()),
)


@pytest.mark.parametrize("model", SHARED)
def test_members_start_as_each_would_alone(model):
  """They are cut from longer vectors, by programs that all architectures share."""
  members_and_each_alone(model, rng.member_keys(4, 3))


class Another(nn.Module):
  """Initial values that are not one uniform draw a leaf, or not one of JAX's default generator."""

  kernel_init: Callable

  @nn.compact
  def __call__(self, x, *, train=False):
    return x.reshape(len(x), -1) @ self.param("kernel", self.kernel_init, (784, 3))


def halves(key, shape):
  return 0.5 * jax.random.uniform(key, shape)


def of_a_split_key(key, shape):
  return jax.random.uniform(jax.random.split(key)[0], shape)


def of_a_folded_key(key, shape):
  return jax.random.uniform(jax.random.fold_in(key, 3), shape)


def as_bfloat16(key, shape):
  return jax.random.uniform(key, shape, jnp.bfloat16)


@pytest.mark.parametrize(
  "kernel_init",
  [
    *(nn.initializers.lecun_normal(), nn.initializers.ones),
    *(halves, of_a_split_key, of_a_folded_key, as_bfloat16),
  ],
)
def test_members_with_other_initial_values_start_as_each_would_alone(kernel_init):
  members_and_each_alone(Another(kernel_init), rng.member_keys(4, 3))


def test_members_start_as_each_would_alone_whatever_generator_jax_is_told_to_use():
  """Only in JAX's default one is a short vector the start of a longer one from the same key."""
  usual = members_and_each_alone(SHARED[0], rng.member_keys(4, 3))
  with jax.threefry_partitionable(False):
    older = members_and_each_alone(SHARED[0], rng.member_keys(4, 3))
  other = members_and_each_alone(SHARED[0], jax.random.split(jax.random.key(4, impl="rbg"), 3))
  for one in (older, other):
    assert (one["dense_00"]["kernel"] != usual["dense_00"]["kernel"]).any()


def test_another_architecture_needs_no_further_program_for_its_initial_values(caplog):
  keys = rng.member_keys(4, 3)

  def compiled(model):
    caplog.clear()
    with jax.log_compiles():
      models.init_members(model, keys, (1, 28, 28, 1))
    return [text for text in caplog.messages if "Finished XLA compilation" in text]

  compiled(models.MLP((23, 9)))
  assert compiled(models.MLP((22, 17, 11))) == []
  assert len(compiled(Another(nn.initializers.lecun_normal()))) > 0  # a program of its own
