"""Input sensitivities: linear models have known ones; the fast form equals the definition."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hw1_jax import analysis, data, models

INPUTS = 20  # pixels of an image
MODELS = [
  models.MLP((4,)),  # no hidden layer
  models.MLP((7, 4)),  # narrower than the input: the QR decomposition is used
  models.MLP((33, 4)),  # wider
  models.MLP((9, 6, 4), "tanh"),
]


def start(model, scale=3.0):
  params = models.init(model, jax.random.key(3), (1, INPUTS))
  return jax.tree.map(lambda leaf: scale * leaf, params)


def image_set(num_examples=31, seed=0):
  generator = np.random.default_rng(seed)
  images = generator.integers(0, 256, (num_examples, 5, 4, 1), dtype=np.uint8)
  return jnp.asarray(images), jnp.asarray(generator.integers(0, 4, num_examples, dtype=np.int32))


def test_linear_model_has_the_norm_of_its_matrix():
  matrix = np.random.default_rng(0).standard_normal((4, INPUTS)).astype(np.float32)
  inputs = jnp.asarray(np.random.default_rng(1).standard_normal((6, INPUTS)), jnp.float32)
  norms = analysis.jacobian_norms(lambda x: matrix @ x + 1, inputs)
  assert norms.shape == (6,)
  np.testing.assert_allclose(norms, np.linalg.norm(matrix), rtol=1e-6)


def test_integer_matrix_exactly():
  """||W||_F of [[1, 2], [2, 4]] is 5, without rounding."""
  matrix = jnp.array([[1.0, 2.0], [2.0, 4.0]])
  norms = analysis.jacobian_norms(lambda x: matrix @ x, jnp.ones((3, 2)))
  np.testing.assert_array_equal(norms, 5.0)


@pytest.mark.parametrize("make", [analysis.make_sensitivity, analysis.make_mlp_sensitivity])
def test_softmax_regression_by_hand(make):
  """d softmax/dx = (diag p - p p') W' and d loss/dx = W (p - onehot), in NumPy's float64."""
  images, labels = image_set()
  params = start(MODELS[0])
  kernel, bias = (np.float64(params["dense_00"][leaf]) for leaf in ("kernel", "bias"))
  x = np.asarray(images, np.float64).reshape(len(labels), -1) / 255
  exps = np.exp(x @ kernel + bias)
  p = exps / exps.sum(axis=1, keepdims=True)
  jacobians = [np.linalg.norm((np.diag(row) - np.outer(row, row)) @ kernel.T) for row in p]
  slopes = np.linalg.norm((p - np.eye(4)[labels]) @ kernel.T, axis=1)
  measured = jax.jit(make(MODELS[0]))(images, labels, params)
  np.testing.assert_allclose(measured["jacobian"], np.mean(jacobians), rtol=1e-5)
  np.testing.assert_allclose(measured["loss_gradient"], slopes.mean(), rtol=1e-5)


@pytest.mark.parametrize("model", MODELS)
def test_fast_form_equals_per_example_jacobians(model):
  images, labels = image_set()
  params = start(model)

  def logits(x):
    return models.apply(model, params, x[None])[0]

  def loss(x, label):
    return -jax.nn.log_softmax(logits(x))[label]

  inputs = data.as_float(images)
  jacobian = jax.jit(jax.jacrev(lambda x: jax.nn.softmax(logits(x))))
  gradient = jax.jit(jax.grad(loss))
  jacobians = [jacobian(x) for x in inputs]
  gradients = [gradient(x, label) for x, label in zip(inputs, labels)]
  expected = {
    "jacobian": np.mean([np.linalg.norm(j) for j in jacobians]),
    "loss_gradient": np.mean([np.linalg.norm(g) for g in gradients]),
  }
  for make in (analysis.make_sensitivity, analysis.make_mlp_sensitivity):
    measured = jax.jit(make(model, batch_size=8))(images, labels, params)
    for name, value in expected.items():
      np.testing.assert_allclose(measured[name], value, rtol=2e-5, err_msg=name)


@pytest.mark.parametrize("make", [analysis.make_sensitivity, analysis.make_mlp_sensitivity])
def test_batch_size_changes_nothing(make):
  """Doubled, odd, larger than the set: sums in another order, nothing else."""
  images, labels = image_set()
  model = MODELS[1]
  params = start(model)
  whole = jax.jit(make(model, batch_size=31))(images, labels, params)
  for batch_size in (1, 10, 20, 64):
    measured = jax.jit(make(model, batch_size=batch_size))(images, labels, params)
    for name in ("jacobian", "loss_gradient"):
      np.testing.assert_allclose(measured[name], whole[name], rtol=1e-6, err_msg=name)


def test_it_is_a_mean_over_examples():
  images, labels = image_set()
  model, params = MODELS[1], start(MODELS[1])
  measure = jax.jit(analysis.make_mlp_sensitivity(model, batch_size=7))
  once = measure(images, labels, params)
  twice = measure(jnp.tile(images, (2, 1, 1, 1)), jnp.tile(labels, 2), params)
  parts = [measure(images[i : i + 1], labels[i : i + 1], params) for i in range(31)]
  for name in ("jacobian", "loss_gradient"):
    np.testing.assert_allclose(twice[name], once[name], rtol=1e-6)
    np.testing.assert_allclose(np.mean([part[name] for part in parts]), once[name], rtol=1e-6)
