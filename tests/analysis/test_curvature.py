"""Hessians against jax.hessian and hand-made ones; counts of signs; memory."""

import itertools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from hw1_jax import analysis
from hw1_jax.analysis import hessians

RTOL = 1e-10  # relative to the largest entry, in float64: the bound of docs and design


@pytest.fixture(autouse=True)
def _x64():
  with jax.enable_x64(True):
    yield


def make_network(widths, seed=0):
  """Returns params as the models have them, PyTorch's default initialization, float64."""
  rng = np.random.default_rng(seed)
  params = {}
  for index, (num_inputs, num_outputs) in enumerate(itertools.pairwise(widths)):
    bound = num_inputs**-0.5
    params[f"dense_{index:02d}"] = {
      "bias": jnp.asarray(rng.uniform(-bound, bound, num_outputs)),
      "kernel": jnp.asarray(rng.uniform(-bound, bound, (num_inputs, num_outputs))),
    }
  return params


def mlp_loss(params, activation, inputs, targets):
  values = inputs
  for name in sorted(params):
    outputs = values @ params[name]["kernel"] + params[name]["bias"]
    values = activation(outputs)
  return jnp.mean(jnp.square(outputs - targets))


def make_data(num_inputs, num_outputs, num_examples=30, seed=1):
  rng = np.random.default_rng(seed)
  return (
    jnp.asarray(rng.normal(size=(num_examples, num_inputs))),
    jnp.asarray(rng.normal(size=(num_examples, num_outputs))),
  )


def assert_equal_to(reference, matrix, rtol=RTOL):
  np.testing.assert_allclose(matrix, reference, rtol=0, atol=rtol * float(abs(reference).max()))


def test_gradient_norm_is_over_all_parameters():
  params = {"a": jnp.array([3.0, 0.0]), "b": jnp.array([[0.0], [4.0]])}

  def loss(tree):
    return sum(jnp.sum(jnp.square(leaf)) for leaf in jax.tree.leaves(tree)) / 2

  np.testing.assert_allclose(analysis.gradient_norm(loss, params), 5.0, rtol=1e-15)


def test_hessian_of_least_squares():
  inputs, targets = make_data(4, 1, num_examples=50)

  def loss(weights):
    return jnp.mean(jnp.square(inputs @ weights - targets[:, 0]))

  matrix = analysis.hessian(loss, jnp.arange(4.0))
  assert_equal_to(2 * inputs.T @ inputs / 50, matrix, 1e-13)


@pytest.mark.parametrize("chunk_size", [1, 5, 7, 16, 100])  # of P = 25
def test_hessian_equals_jax_hessian_for_any_chunk(chunk_size):
  params, (inputs, targets) = make_network([2, 4, 2, 1]), make_data(2, 1)
  vector, unravel = ravel_pytree(params)
  assert vector.size == 25

  def loss(tree):
    return mlp_loss(tree, jnp.tanh, inputs, targets) + jnp.prod(tree["dense_00"]["bias"])

  reference = jax.jit(jax.hessian(lambda theta: loss(unravel(theta))))(vector)
  matrix = jax.jit(lambda tree: analysis.hessian(loss, tree, chunk_size=chunk_size))(params)
  assert_equal_to(reference, matrix)
  np.testing.assert_array_equal(matrix, matrix.T)


def test_hessian_equals_central_differences():
  params, (inputs, targets) = make_network([1, 5, 1]), make_data(1, 1)
  vector, unravel = ravel_pytree(params)
  gradient = jax.jit(jax.grad(lambda theta: mlp_loss(unravel(theta), jnp.tanh, inputs, targets)))
  step = 1e-5  # error about step^2 + 1e-16 / step
  vector = np.asarray(vector)
  differences = [
    np.asarray(gradient(vector + step * unit) - gradient(vector - step * unit)) / (2 * step)
    for unit in np.eye(vector.size)
  ]
  matrix = jax.jit(
    lambda params: analysis.hessian(lambda p: mlp_loss(p, jnp.tanh, inputs, targets), params)
  )(params)
  assert_equal_to(np.stack(differences), matrix, 1e-8)


def test_hessian_works_inside_jit_and_loops():
  thetas = jnp.arange(6.0).reshape(2, 3)

  def loss(theta):
    return jnp.sum(theta**3) + theta[0] * theta[1]

  matrices = jax.jit(lambda rows: jax.lax.map(lambda row: analysis.hessian(loss, row), rows))(
    thetas
  )
  assert_equal_to(jnp.stack([jax.hessian(loss)(theta) for theta in thetas]), matrices)


def test_hessian_refuses_empty_chunks():
  with pytest.raises(ValueError, match="chunk_size: got 0, expected at least 1"):
    analysis.hessian(jnp.sum, jnp.ones(3), chunk_size=0)


ACTIVATIONS = {
  "relu": jax.nn.relu,
  "leaky_relu": jax.nn.leaky_relu,
  "tanh": jnp.tanh,
  "sigmoid": jax.nn.sigmoid,
  "softplus": jax.nn.softplus,
}


@pytest.mark.parametrize(
  ("widths", "activation"),
  [
    *[([2, 5, 3, 4, 2], name) for name in ACTIVATIONS],
    ([1, 2, 3, 4, 3, 2, 1], "tanh"),
    ([1, 20, 1], "relu"),
    ([3, 2], "tanh"),  # no hidden layer: least squares
  ],
)
def test_mlp_hessian_equals_jax_hessian(widths, activation):
  params, data = make_network(widths), make_data(widths[0], widths[-1])
  vector, unravel = ravel_pytree(params)

  def loss(theta):
    return mlp_loss(unravel(theta), ACTIVATIONS[activation], *data)

  matrix = jax.jit(analysis.mlp_hessian, static_argnums=1)(params, activation, *data)
  assert_equal_to(jax.jit(jax.hessian(loss))(vector), matrix)
  np.testing.assert_array_equal(matrix, matrix.T)


def test_mlp_hessian_takes_a_function_and_float32():
  params, data = make_network([1, 4, 3, 1]), make_data(1, 1)
  matrix = jax.jit(analysis.mlp_hessian, static_argnums=1)
  by_name = matrix(params, "tanh", *data)
  np.testing.assert_array_equal(matrix(params, jax.nn.tanh, *data), by_name)
  params, data = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), (params, data))
  single = matrix(params, jnp.tanh, *data)
  assert single.dtype == jnp.float32
  assert_equal_to(by_name, single, 1e-5)


def test_mlp_hessian_leaves_second_derivatives_out_only_where_they_are_zero():
  is_piecewise_linear = hessians.is_piecewise_linear
  found = {name: is_piecewise_linear(f, jnp.float64) for name, f in ACTIVATIONS.items()}
  expected = {name: name in ("relu", "leaky_relu") for name in ACTIVATIONS}
  assert found == expected


def test_mlp_hessian_refuses_data_that_do_not_fit():
  params, (inputs, targets) = make_network([1, 4, 1]), make_data(1, 1)
  message = re.escape("got shapes (30, 1) and (30,), expected (30, 1) and (30, 1)")
  with pytest.raises(ValueError, match=message):
    analysis.mlp_hessian(params, "relu", inputs, targets[:, 0])


def memory(function, *args):
  analysis = jax.jit(function).lower(*args).compile().memory_analysis()
  return analysis.temp_size_in_bytes + analysis.output_size_in_bytes


def test_hessian_holds_the_matrix_and_a_chunk():
  params, data = make_network([1, 300, 1]), make_data(1, 1, num_examples=100)

  def matrix(tree):
    return analysis.hessian(lambda p: mlp_loss(p, jnp.tanh, *data), tree, chunk_size=4)

  matrix_bytes = 901**2 * 8
  held = memory(matrix, params)
  activations = 100 * 301  # examples by units: four values each, and four for each row of a chunk
  chunk_bytes = 8 * (4 * 4 * 901 + 4 * (4 + 1) * activations)
  assert matrix_bytes <= held <= matrix_bytes + chunk_bytes < 2 * matrix_bytes


@pytest.mark.parametrize("widths", [[1, 300, 1], [1, 24, 27, 1]])
def test_mlp_hessian_holds_no_array_of_examples_by_parameters_squared(widths):
  num_examples = 300
  params, data = make_network(widths), make_data(1, 1, num_examples)
  num_params = sum(leaf.size for leaf in jax.tree.leaves(params))
  held = memory(lambda tree: analysis.mlp_hessian(tree, "tanh", *data), params)
  pair = num_examples * 25 * 28 if len(widths) > 3 else 0  # examples by two layers' widths
  assert held <= 8 * (2.5 * num_params**2 + 2 * num_examples * num_params + 6 * pair)


def test_eigenvalues_are_the_prescribed_ones():
  spectrum = np.array([-2.0, -1e-3, 0.0, 1e-8, 0.5, 3.0])
  basis, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(6, 6)))
  matrix = jnp.asarray(basis * spectrum @ basis.T)
  for solve in (analysis.eigenvalues, jax.jit(analysis.eigenvalues)):
    np.testing.assert_allclose(solve(matrix), spectrum, atol=1e-14)
  values = analysis.eigenvalues(matrix)
  assert tuple(map(int, analysis.count_signs(values, rtol=1e-6))) == (2, 2, 2)  # 1e-8 < 1e-6 * 3
  np.testing.assert_allclose(analysis.minimal_ratio(values, 1e-6), 2 / 6)


@pytest.mark.parametrize("array", [np.array, jnp.array], ids=["numpy", "jax"])
def test_count_signs_and_minimal_ratio(array):
  eigenvalues = array([[-4.0, -1e-9, 0.0, 2.0], [-1.0, 1.0, 1e-12, 2.0]])
  plain = analysis.count_signs(eigenvalues, rtol=0.0)
  np.testing.assert_array_equal(jnp.stack(plain), [[1, 3], [1, 0], [2, 1]])
  tolerant = analysis.count_signs(eigenvalues)
  np.testing.assert_array_equal(jnp.stack(tolerant), [[1, 2], [1, 1], [2, 1]])
  assert isinstance(tolerant.zero, np.ndarray) == (array is np.array)
  at_edge = analysis.count_signs(array([-1.0, 1.0, 2.0]), rtol=0.5)  # |1| <= 0.5 * 2: zero
  assert tuple(map(int, at_edge)) == (1, 2, 0)
  np.testing.assert_array_equal(analysis.minimal_ratio(eigenvalues), [1 / 4, 3 / 4])
  np.testing.assert_array_equal(analysis.minimal_ratio(eigenvalues, 1e-10), [1 / 4, 2 / 4])
  if array is np.array:  # smaller than the least normal number, and a sign of its own
    assert tuple(analysis.count_signs(array([-1.0, 2e-323, 0.0]), rtol=0.0)) == (1, 1, 1)


def test_signs_need_float64():
  single = jnp.eye(3, dtype=jnp.float32)
  with pytest.raises(TypeError, match=r"hessian: got float32, .*jax_enable_x64.*any_dtype=True"):
    analysis.eigenvalues(single)
  for refuses in (analysis.count_signs, analysis.minimal_ratio):
    with pytest.raises(TypeError, match="eigenvalues: got float32, expected float64"):
      refuses(single[0])
  assert analysis.eigenvalues(single, any_dtype=True).dtype == jnp.float32
  assert analysis.minimal_ratio(single[0], any_dtype=True) == pytest.approx(1 / 3)


def test_wrong_arguments_are_refused():
  with pytest.raises(ValueError, match=re.escape("got shape (3, 2), expected [..., P, P]")):
    analysis.eigenvalues(jnp.ones((3, 2)))
  with pytest.raises(ValueError, match=r"rtol: got -0\.1, expected at least 0"):
    analysis.count_signs(jnp.ones(3), rtol=-0.1)
