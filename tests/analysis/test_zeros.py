"""Zero eigenvalues counted and explained on networks whose zeros are known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hw1_jax import analysis, models, pytrees
from hw1_jax.analysis import kink_search, kinks, zeros


@pytest.fixture(autouse=True)
def _x64():
  with jax.enable_x64(True):
    yield


def looked_at(model, params, inputs, targets):
  """Returns the Hessian, the outputs' Jacobian and the residuals [N]; one program."""

  @jax.jit
  def look(params):
    theta, unravel = pytrees.ravel(params)

    def outputs(t):
      return models.apply(model, unravel(t), inputs)[:, 0]

    matrix = analysis.mlp_hessian(params, jax.nn.relu, inputs, targets)
    return matrix, jax.jacrev(outputs)(theta), outputs(theta) - targets[:, 0]

  return look(params)


def test_rank_deficient_least_squares_is_explained():
  rng = np.random.default_rng(0)
  jacobian = rng.normal(size=(20, 3)) @ rng.normal(size=(3, 8))
  jacobian[:, 5] = 0
  values = np.linalg.eigvalsh(2 / 20 * jacobian.T @ jacobian)
  found = zeros.explain(values, jacobian, np.zeros(1), 0, rtols=[1e-12])
  assert (found.positive[0], found.zero[0], found.negative[0]) == (3, 5, 0)
  assert (found.rank[0], found.no_effect, found.deficiency[0]) == (3, 1, 4)
  assert found.unexplained[0] == 0


def test_a_zero_without_a_reason_is_left_unexplained():
  jacobian = np.diag([1.0, 2.0, 3.0])
  found = zeros.explain([0.0, 1.0, 2.0], jacobian, np.zeros(1), 0, rtols=[1e-10])
  assert found.unexplained[0] == 1


def test_all_zeros_of_a_relu_network_at_a_stationary_point_are_explained():
  model = models.MLP((6, 1))
  params = pytrees.cast(models.init(model, jax.random.key(1), (1, 1)), jnp.float64)
  inputs = jnp.linspace(-1, 1, 40)[:, None]
  targets = jnp.sin(4 * inputs)

  def search(params):
    return kink_search.minimize(params, inputs, targets, tolerance=1e-11, max_iterations=3000)

  found = jax.jit(search)(params)
  matrix, jacobian, residuals = looked_at(model, found.params, inputs, targets)
  within = np.asarray(jax.jit(kinks.hold)(matrix, found.held, inputs))
  num_held = int((found.held >= 0).sum())
  values = kinks.held_eigenvalues(np.linalg.eigvalsh(within), num_held)
  normals = jax.jit(lambda held: kinks.held_normals(held, kinks.extend(inputs)).T)(found.held)
  jacobian = jax.jit(kinks.project_normals)(jacobian.T, normals).T
  couplings = zeros.residual_couplings(found.params, residuals, inputs)
  sizes = np.linalg.norm(couplings, axis=1)
  dead, scalings = zeros.unit_states(found.params, inputs, "relu")
  counted = zeros.explain(values, jacobian, np.append(sizes, -sizes), scalings, rtols=[1e-8])
  assert counted.negative[0] == 0
  assert counted.positive[0] == counted.rank[0]
  assert counted.zero[0] >= scalings + 3 * dead
  assert counted.unexplained[0] == 0


def test_the_residual_part_of_the_hessian_has_the_couplings_for_eigenvalues():
  model = models.MLP((4, 1))
  params = pytrees.cast(models.init(model, jax.random.key(0), (1, 1)), jnp.float64)
  inputs = jnp.linspace(-1, 1, 15)[:, None]
  targets = jnp.cos(2 * inputs)
  matrix, jacobian, residuals = map(np.asarray, looked_at(model, params, inputs, targets))
  rest = np.linalg.eigvalsh(matrix - 2 / 15 * jacobian.T @ jacobian)
  sizes = np.linalg.norm(zeros.residual_couplings(params, residuals, inputs), axis=1)
  np.testing.assert_allclose(np.sort(rest)[-4:], np.sort(sizes), atol=1e-12)
  np.testing.assert_allclose(np.sort(rest)[:4], np.sort(-sizes), atol=1e-12)
  np.testing.assert_allclose(np.sort(rest)[4:-4], 0, atol=1e-12)


def test_dead_and_scaling_units_are_counted():
  params = kinks.to_params(
    kinks.Network(
      jnp.asarray([[-5.0, 1.0], [0.5, 1.0], [0.0, 0.0], [1.0, 0.0]]),
      jnp.asarray([1.0, 1.0, 1.0, 0.0]),
      jnp.asarray(0.0),
    )
  )
  inputs = jnp.linspace(-1, 1, 5)[:, None]
  assert zeros.unit_states(params, inputs, "relu") == (2, 1)  # the second; 3 is off, 4 counts not
  assert zeros.unit_states(params, inputs, "leaky_relu") == (0, 2)
  assert zeros.unit_states(params, inputs, "tanh") == (0, 0)


def test_a_jacobian_of_another_size_is_refused():
  with pytest.raises(ValueError, match=r"jacobian: got shape \(2, 3\), expected \[N, 4\]"):
    zeros.explain(np.ones(4), np.ones((2, 3)), np.zeros(1), 0)
