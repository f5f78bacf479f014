"""The loss on a line between two solutions: its ends, and the fast form against plain ones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hw1_jax import analysis, models, pytrees
from hw1_jax.training import evaluation

ALPHAS = np.array([-2.0, -0.7, 0.0, 0.3, 0.5, 1.0, 1.6, 2.0], np.float32)
MODELS = [
  models.MLP((3,)),  # no hidden layer
  models.MLP((8, 3)),
  models.MLP((8, 5, 3), "tanh"),
]


def solutions(model, scale=2.0):
  """Returns two parameter sets far enough apart for losses of order 1 and 10."""
  return [
    jax.tree.map(lambda leaf: scale * leaf, models.init(model, jax.random.key(i), (1, 6, 4, 1)))
    for i in (0, 1)
  ]


def image_set(num_examples=97, seed=0):
  generator = np.random.default_rng(seed)
  images = generator.integers(0, 256, (num_examples, 6, 4, 1), dtype=np.uint8)
  return jnp.asarray(images), jnp.asarray(generator.integers(0, 3, num_examples, dtype=np.int32))


def test_line_ends_in_the_two_solutions_themselves():
  """To the last bits: 1 x a + 0 x b is a for all finite numbers."""
  start, end = solutions(MODELS[1])
  points = analysis.interpolate(lambda params: params, start, end, jnp.array([0.0, 1.0]))
  for index, params in enumerate((start, end)):
    jax.tree.map(np.testing.assert_array_equal, pytrees.member(points, index), params)


@pytest.mark.parametrize("model", MODELS)
def test_ends_have_the_models_own_losses(model):
  images, labels = image_set()
  start, end = solutions(model)
  measured = jax.jit(analysis.make_interpolate_mlp(model, batch_size=20))(
    images, labels, start, end, jnp.array([0.0, 1.0])
  )
  evaluate = jax.jit(evaluation.make_evaluate(model, batch_size=20))
  for index, params in enumerate((start, end)):
    own = evaluate(images, labels, params)
    # The same operations in two programs: the order of a product's sums may differ.
    np.testing.assert_allclose(measured["loss"][index], own["loss"], rtol=1e-6)
    assert measured["accuracy"][index] == own["accuracy"]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("batch_size", [1, 13, 500])
def test_fast_form_equals_plain_form(model, batch_size):
  """The first layer's outputs are mixed instead of its weights: equal to float32's rounding."""
  images, labels = image_set()
  start, end = solutions(model)
  fast = analysis.make_interpolate_mlp(model, batch_size=batch_size)
  measured = jax.jit(fast)(images, labels, start, end, ALPHAS)
  evaluate = evaluation.make_evaluate(model)
  plain = jax.jit(
    lambda alphas: analysis.interpolate(
      lambda params: evaluate(images, labels, params), start, end, alphas
    )
  )(ALPHAS)
  np.testing.assert_allclose(measured["loss"], plain["loss"], rtol=2e-5)
  np.testing.assert_allclose(measured["accuracy"], plain["accuracy"], atol=1e-6)


def test_equals_interpolation_by_hand():
  """In NumPy's float64: mix the weights, forward pass, softmax, mean."""
  model = MODELS[1]
  images, labels = image_set()
  start, end = solutions(model)
  measured = jax.jit(analysis.make_interpolate_mlp(model))(images, labels, start, end, ALPHAS)
  x = np.asarray(images, np.float64).reshape(len(labels), -1) / 255
  for index, alpha in enumerate(ALPHAS.astype(np.float64)):
    mixed = {
      layer: {
        leaf: (1 - alpha) * np.float64(start[layer][leaf]) + alpha * np.float64(end[layer][leaf])
        for leaf in ("kernel", "bias")
      }
      for layer in start
    }
    hidden = np.maximum(x @ mixed["dense_00"]["kernel"] + mixed["dense_00"]["bias"], 0)
    logits = hidden @ mixed["dense_01"]["kernel"] + mixed["dense_01"]["bias"]
    own = logits[np.arange(len(labels)), labels]
    loss = np.mean(np.log(np.sum(np.exp(logits), axis=1)) - own)
    np.testing.assert_allclose(measured["loss"][index], loss, rtol=1e-5)
    hits = np.mean(logits.argmax(axis=1) == np.asarray(labels))
    np.testing.assert_allclose(measured["accuracy"][index], hits, atol=1e-6)


def test_swapped_ends_mirror_the_line():
  images, labels = image_set()
  start, end = solutions(MODELS[2])
  measure = jax.jit(analysis.make_interpolate_mlp(MODELS[2]))
  there = measure(images, labels, start, end, ALPHAS)
  back = measure(images, labels, end, start, 1 - ALPHAS)
  np.testing.assert_allclose(there["loss"], back["loss"], rtol=1e-5)


def test_a_quadratic_on_the_line():
  """||theta||^2 between e_1 and 2 e_2 is (1 - a)^2 + 4 a^2."""
  start, end = {"w": jnp.array([1.0, 0.0])}, {"w": jnp.array([0.0, 2.0])}
  values = analysis.interpolate(lambda p: jnp.sum(p["w"] ** 2), start, end, jnp.asarray(ALPHAS))
  np.testing.assert_allclose(values, (1 - ALPHAS) ** 2 + 4 * ALPHAS**2, rtol=1e-6)
