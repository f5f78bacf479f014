"""Searches for zero gradients on functions with known critical points and on small networks."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from hw1_jax import analysis
from hw1_jax.analysis import critical_points


@pytest.fixture(autouse=True)
def _x64():
  with jax.enable_x64(True):
    yield


def search(find, loss, start, **options):
  def run(theta):
    return find(loss, lambda point: analysis.hessian(loss, point), theta, **options)

  return jax.jit(run)(jnp.asarray(start))


def quadratic(spectrum, seed=0):
  """Returns 1/2 (theta - c)' A (theta - c) with the eigenvalues `spectrum` of A, and c."""
  rng = np.random.default_rng(seed)
  basis, _ = np.linalg.qr(rng.normal(size=(len(spectrum), len(spectrum))))
  matrix, center = jnp.asarray(basis * spectrum @ basis.T), jnp.asarray(rng.normal(size=len(basis)))
  return lambda theta: (theta - center) @ matrix @ (theta - center) / 2, center


def test_quadratic_takes_one_or_two_steps():
  spectrum = np.array([1e-3, 0.1, 1.0, 5.0])
  loss, center = quadratic(spectrum)
  result = search(critical_points.nearest, loss, np.zeros(4), grad_tolerance=1e-12)
  assert bool(result.converged)
  assert int(result.iterations) <= 2
  np.testing.assert_allclose(result.params, center, atol=1e-8)
  np.testing.assert_allclose(result.eigenvalues, spectrum, atol=1e-14)
  np.testing.assert_allclose(result.loss_before, loss(jnp.zeros(4)), rtol=1e-14)
  assert float(result.loss) < 1e-20


def test_report_of_norms_is_that_of_the_gradient():
  def loss(theta):
    return jnp.sum((theta[1:] - theta[:-1] ** 2) ** 2) + jnp.sum((1 - theta[:-1]) ** 2) / 100

  start = np.array([-0.5, 0.7, 0.2])
  result = search(critical_points.nearest, loss, start, grad_tolerance=1e-10, max_iterations=60)
  gradient_norm = analysis.gradient_norm
  steps = int(result.iterations)
  np.testing.assert_allclose(result.gradient_norm_before, gradient_norm(loss, jnp.asarray(start)))
  np.testing.assert_allclose(
    result.gradient_norm, gradient_norm(loss, result.params), rtol=1e-6, atol=1e-15
  )
  assert bool(result.converged) == (float(result.gradient_norm) <= 1e-10)
  assert result.history.shape == (61,)
  assert np.isfinite(result.history[: steps + 1]).all()
  assert np.isnan(result.history[steps + 1 :]).all()
  assert result.history[0] == result.gradient_norm_before
  assert result.history[steps] == result.gradient_norm


def test_nearest_finds_a_saddle():
  def loss(theta):  # saddle at 0, minima at (+-1, 0)
    return theta[0] ** 4 / 4 - theta[0] ** 2 / 2 + theta[1] ** 2

  result = search(critical_points.nearest, loss, [0.3, 0.4], grad_tolerance=1e-12)
  assert bool(result.converged)
  np.testing.assert_allclose(result.params, [0.0, 0.0], atol=1e-12)
  np.testing.assert_allclose(result.eigenvalues, [-1.0, 2.0], atol=1e-12)


def test_already_critical_takes_no_step():
  loss, center = quadratic(np.array([-1.0, 2.0]))
  result = search(critical_points.nearest, loss, center)
  assert bool(result.converged)
  assert int(result.iterations) == 0
  np.testing.assert_array_equal(result.params, center)


def test_nearest_tells_that_a_function_without_critical_points_has_none():
  result = search(critical_points.nearest, lambda theta: theta[0] + theta[1] ** 2, [0.5, 0.5])
  assert not bool(result.converged)
  np.testing.assert_allclose(result.gradient_norm, 1.0)
  assert int(result.iterations) < 5


def test_iterations_end_at_the_limit():
  def loss(theta):
    return jnp.sum(jnp.log(jnp.cosh(theta))) + jnp.sum(theta**4)

  result = search(
    critical_points.nearest, loss, [3.0, 40.0], grad_tolerance=1e-300, max_iterations=7
  )
  assert int(result.iterations) <= 7
  assert not bool(result.converged)
  short = search(critical_points.nearest, loss, [3.0, 40.0], max_iterations=2)
  assert int(short.iterations) == 2
  assert np.isfinite(short.history).all()


def make_regression(widths, activation, seed=0):
  """Returns loss and start of a fit of 40 points of a sine, by a network of `widths`."""
  rng = np.random.default_rng(seed)
  layers = [
    {
      "bias": jnp.asarray(rng.uniform(-1, 1, num_outputs)) / num_inputs**0.5,
      "kernel": jnp.asarray(rng.uniform(-1, 1, (num_inputs, num_outputs))) / num_inputs**0.5,
    }
    for num_inputs, num_outputs in itertools.pairwise(widths)
  ]
  start, unravel = ravel_pytree(layers)
  inputs = jnp.linspace(-1, 1, 40)[:, None]
  targets = jnp.sin(3 * inputs)

  def pre_activations(theta):
    values, all_values = inputs, []
    for layer in unravel(theta):
      all_values.append(values @ layer["kernel"] + layer["bias"])
      values = activation(all_values[-1])
    return all_values

  def loss(theta):
    return jnp.mean(jnp.square(pre_activations(theta)[-1] - targets))

  return loss, start


def test_newton_steps_are_those_of_half_the_squared_gradient_norm():
  loss, start = make_regression([1, 2, 1], jnp.tanh)
  gradient, hessian = jax.grad(loss), jax.hessian(loss)

  def objective(theta):
    return jnp.sum(jnp.square(gradient(theta))) / 2

  @jax.jit
  def both(start):
    eigenvalues, vectors = jnp.linalg.eigh(jax.hessian(objective)(start))
    expected = vectors @ (vectors.T @ jax.grad(objective)(start) / jnp.abs(eigenvalues))
    steps = critical_points._newton_steps(hessian, start, gradient(start), hessian(start))
    return steps[0], expected

  np.testing.assert_allclose(*both(start), rtol=1e-6)


def test_tanh_network_reaches_1e_10():
  loss, start = make_regression([1, 3, 1], jnp.tanh, 0)
  result = search(critical_points.nearest, loss, start, grad_tolerance=1e-10, max_iterations=15)
  assert bool(result.converged)
  assert analysis.gradient_norm(loss, result.params) <= 1e-10


def test_same_start_gives_the_same_bits():
  loss, start = make_regression([1, 5, 4, 1], jax.nn.relu)
  runs = [search(critical_points.nearest, loss, start, max_iterations=20) for _ in range(2)]
  jax.tree.map(np.testing.assert_array_equal, *runs)


def test_wrong_arguments_are_refused():
  with pytest.raises(TypeError, match=r"params: got float32, expected float64; .*jax_enable_x64"):
    search(critical_points.nearest, jnp.sum, jnp.ones(2, jnp.float32))
  with pytest.raises(ValueError, match="tolerance: got 0, expected a positive number"):
    search(critical_points.nearest, jnp.sum, jnp.ones(2), grad_tolerance=0)
  with pytest.raises(ValueError, match="max_iterations: got 0, expected at least 1"):
    search(critical_points.nearest, jnp.sum, jnp.ones(2), max_iterations=0)
