"""Levenberg-Marquardt on problems whose minima are known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

from hw1_jax import analysis, devices
from hw1_jax.analysis import levenberg_marquardt as lm


@pytest.fixture(autouse=True)
def _x64():
  with jax.enable_x64(True):
    yield


def linear(rows, columns, seed=0, rank=None):
  rng = np.random.default_rng(seed)
  matrix = rng.normal(size=(rows, columns))
  if rank is not None:
    matrix = rng.normal(size=(rows, rank)) @ rng.normal(size=(rank, columns))
  return jnp.asarray(matrix), jnp.asarray(rng.normal(size=rows))


@pytest.mark.parametrize(("rows", "columns"), [(12, 4), (4, 12)])
def test_an_undamped_step_solves_linear_least_squares(rows, columns):
  matrix, right = linear(rows, columns)
  step = lm.make_solver(matrix, jnp.asarray(1e-14))(-right)
  expected = np.linalg.lstsq(matrix, right)[0]  # of smallest norm, too
  np.testing.assert_allclose(step, expected, rtol=1e-9, atol=1e-11)


def test_both_systems_give_the_same_step():
  matrix, right = linear(6, 6)
  damping = jnp.asarray(0.3)
  step = lm.make_solver(matrix, damping)(right)
  expected = -jnp.linalg.solve(matrix.T @ matrix + 0.3 * jnp.eye(6), matrix.T @ right)
  np.testing.assert_allclose(step, expected, rtol=1e-10)


@pytest.mark.parametrize("rank", [3, None])
def test_linear_least_squares_is_solved_in_a_few_steps_also_without_full_rank(rank):
  matrix, right = linear(15, 6, rank=rank)
  found = lm.minimize(lambda theta: matrix @ theta - right, jnp.zeros(6), tolerance=1e-12)
  smallest = np.linalg.lstsq(matrix, right)[0]
  assert int(found.end) == lm.REACHED
  assert int(found.iterations) <= 12  # the damping falls to a tenth each
  np.testing.assert_allclose(matrix @ found.params, matrix @ smallest, atol=1e-9)
  np.testing.assert_allclose(found.loss, np.mean((matrix @ smallest - right) ** 2), rtol=1e-12)


def test_steps_do_not_depend_on_the_units_of_parameters_that_matter_alike():
  def residuals(theta):
    return jnp.stack([theta[0] ** 2 - theta[1], theta[1] - 1, theta[0] * theta[1] - 2])

  units, start = jnp.asarray([0.3, 4.0]), jnp.asarray([3.0, -2.0])
  plain = lm.minimize(residuals, start, max_iterations=9, tolerance=1e-300)
  scaled = lm.minimize(lambda t: residuals(t * units), start / units, max_iterations=9,
                       tolerance=1e-300)  # fmt: skip
  # The damping's start depends on the largest scaled column alone: 1 in either.
  np.testing.assert_allclose(scaled.loss_history, plain.loss_history, rtol=1e-6)


def test_parameters_all_but_without_effect_are_not_thrown_off():
  def residuals(theta):
    return jnp.stack([theta[0] - 1, theta[0] ** 2 - 3 + 1e-13 * theta[1]])

  found = lm.minimize(residuals, jnp.asarray([0.3, 0.5]), max_iterations=8)
  assert float(found.loss) < 0.3
  assert abs(float(found.params[1]) - 0.5) < 1  # as a column like others, it would go 1e9 far


def test_the_second_order_of_a_step_follows_a_bent_valley():
  def residuals(
    theta,
  ):  # a narrow valley along theta_1 = theta_0^2; Rosenbrock's, 100 times as deep
    return jnp.stack([1000 * (theta[1] - theta[0] ** 2), 1 - theta[0]])

  start = jnp.asarray([-1.2, 1.0])
  straight = scipy.optimize.least_squares(
    lambda t: np.array([1000 * (t[1] - t[0] ** 2), 1 - t[0]]), start, method="lm", xtol=1e-15,
    ftol=1e-15, gtol=1e-15,
  )  # fmt: skip
  found = lm.minimize(residuals, start, tolerance=1e-9)
  np.testing.assert_allclose(found.params, 1.0, rtol=1e-9)
  assert int(found.iterations) < straight.nfev / 3


def test_rosenbrock_agrees_with_scipy():
  def residuals(p):
    return jnp.stack([10 * (p["b"] - p["a"] ** 2), 1 - p["a"]])

  start = {"a": jnp.asarray(-1.2), "b": jnp.asarray(1.0)}
  found = jax.jit(lambda p: lm.minimize(residuals, p, tolerance=1e-13))(start)
  theirs = scipy.optimize.least_squares(
    lambda v: np.array([10 * (v[1] - v[0] ** 2), 1 - v[0]]), [-1.2, 1.0], method="lm"
  )
  np.testing.assert_allclose([found.params["a"], found.params["b"]], theirs.x, atol=1e-12)
  assert int(found.end) == lm.REACHED


def test_what_is_said_of_the_start_and_the_end_is_so():
  def residuals(theta):
    return jnp.concatenate([jnp.sin(theta) - 0.3, theta[:1] * theta[1:]])

  start = jnp.asarray([2.0, -1.0])
  found = lm.minimize(residuals, start, max_iterations=4, tolerance=1e-15)

  def loss(theta):
    return jnp.mean(jnp.square(residuals(theta)))

  assert int(found.end) == lm.OUT_OF_STEPS
  assert int(found.iterations) == 4
  np.testing.assert_allclose(found.loss_before, loss(start), rtol=1e-14)
  np.testing.assert_allclose(found.loss, loss(found.params), rtol=1e-14)
  norm = analysis.gradient_norm(loss, found.params)
  np.testing.assert_allclose(found.gradient_norm, norm, rtol=1e-10)
  assert (np.diff(found.loss_history[:5]) <= 0).all()
  assert np.isnan(found.loss_history[5:]).all()


def test_a_kink_is_told_as_stuck():
  found = lm.minimize(lambda t: jnp.abs(t) + 1.0, jnp.asarray([0.7]), max_iterations=300)
  assert int(found.end) == lm.STUCK
  np.testing.assert_allclose(found.params, 0.0, atol=1e-6)
  np.testing.assert_allclose(found.gradient_norm, 2.0, rtol=1e-5)


def test_a_fit_that_falls_to_zero_ends_at_the_loss_tolerance():
  found = lm.minimize(lambda t: t**3, jnp.asarray([1.0]), tolerance=1e-300, loss_tolerance=1e-12)
  assert int(found.end) == lm.LOW_LOSS
  assert float(found.loss) <= 1e-12


@pytest.mark.parametrize("form", ["loop", "vmap"])
def test_members_end_where_each_ends_alone(form):
  def search(start):
    return lm.minimize(lambda t: jnp.stack([t[0] ** 2 - t[1], t[1] - 1, t[0] - 2]), start)

  starts = jnp.asarray([[0.0, 0.0], [3.0, -2.0], [-2.0, 5.0]])
  together = devices.map_members(search, form=form)(starts)
  for index, start in enumerate(starts):
    alone = search(start)
    np.testing.assert_allclose(together.params[index], alone.params, rtol=1e-9)
    assert int(together.end[index]) == lm.REACHED


def test_float32_and_wrong_options_are_refused():
  with pytest.raises(TypeError, match=r"params: got float32, expected float64; .*jax_enable_x64"):
    lm.minimize(lambda t: t, jnp.ones(2, jnp.float32))
  with pytest.raises(ValueError, match="tolerance: got 0, expected a positive number"):
    lm.minimize(lambda t: t, jnp.ones(2), tolerance=0)
  with pytest.raises(ValueError, match="max_iterations: got 0, expected at least 1"):
    lm.minimize(lambda t: t, jnp.ones(2), max_iterations=0)
  with pytest.raises(ValueError, match="loss_tolerance: got -1, expected at least 0"):
    lm.minimize(lambda t: t, jnp.ones(2), loss_tolerance=-1)


def test_memory_counts_the_jacobian_and_the_smaller_system():
  assert lm.memory_bytes(300, 1501) == 8 * (3 * 300 * 1501 + 3 * 300**2)
  assert lm.memory_bytes(300, 61) == 8 * (3 * 300 * 61 + 3 * 61**2)


def test_a_jacobian_by_examples_gives_the_same_search():
  inputs = jnp.linspace(-1, 1, 7)

  def residual(theta, x):
    return theta[0] * jnp.tanh(theta[1] * x) - jnp.sin(x)

  def residuals(theta):
    return jax.vmap(residual, (None, 0))(theta, inputs)

  start = jnp.asarray([0.5, 2.0])
  plain = lm.minimize(residuals, start)
  given = lm.minimize(
    residuals, start, jacobian=lambda t: jax.vmap(jax.grad(residual), (None, 0))(t, inputs)
  )
  np.testing.assert_allclose(given.params, plain.params, rtol=1e-10)
  np.testing.assert_allclose(given.loss_history, plain.loss_history, rtol=1e-10)
