"""Flatness: closed forms on quadratics, invariance under rescaling where theory says so; ranks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hw1_jax import analysis, models, pytrees
from hw1_jax.training import losses


@pytest.fixture(autouse=True)
def _x64():
  with jax.enable_x64(True):
    yield


VALUES = np.array([0.1, 0.5, 2.0, 7.0])


def quadratic():
  """Returns a convex quadratic of eigenvalues VALUES around its minimum, over a pytree, and it."""
  basis = np.linalg.qr(np.random.default_rng(0).normal(size=(4, 4)))[0]
  matrix = jnp.asarray(basis @ np.diag(VALUES) @ basis.T)
  minimum = {"a": jnp.array([1.0, -2.0]), "b": jnp.array([[0.5, 3.0]])}
  center = pytrees.ravel(minimum)[0]

  def loss(params):
    offset = pytrees.ravel(params)[0] - center
    return 0.25 + offset @ matrix @ offset / 2

  return loss, minimum, matrix


def unit_ball(radius, params):
  return analysis.ball(radius, jax.tree.map(jnp.ones_like, params))


def test_sharpness_of_a_quadratic_in_a_ball_is_the_largest_eigenvalues():
  loss, minimum, _ = quadratic()
  found = jax.jit(
    lambda params: analysis.worst_case_sharpness(
      loss, params, unit_ball(0.3, params), jax.random.key(0), num_steps=60
    )
  )(minimum)
  np.testing.assert_allclose(found, 0.3**2 * 7 / 2, rtol=1e-10)


def test_adaptive_sharpness_of_a_quadratic_is_that_of_the_scaled_matrix():
  loss, minimum, matrix = quadratic()
  scales = jax.tree.map(jnp.abs, minimum)
  s = pytrees.ravel(scales)[0]
  exact = 0.3**2 * np.linalg.eigvalsh(s[:, None] * matrix * s)[-1] / 2
  found = jax.jit(
    lambda params: analysis.worst_case_sharpness(
      loss, params, analysis.ball(0.3, scales), jax.random.key(0), num_steps=200
    )
  )(minimum)
  np.testing.assert_allclose(found, exact, rtol=1e-8)


def test_keskars_sharpness_of_a_quadratic_is_the_best_corner():
  loss, minimum, matrix = quadratic()
  half = 1e-2 * (np.abs(pytrees.ravel(minimum)[0]) + 1)
  corners = np.array(np.meshgrid(*[[-1, 1]] * 4)).reshape(4, -1).T * half
  exact = 100 * max(c @ matrix @ c / 2 for c in corners) / 1.25
  # Ascent stops at a corner that no single gradient improves on: try a few starts.
  found = max(
    float(analysis.keskar_sharpness(loss, minimum, jax.random.key(k), epsilon=1e-2))
    for k in range(8)
  )
  np.testing.assert_allclose(found, exact, rtol=1e-10)


def test_the_first_step_is_sams():
  def loss(w):
    return jnp.sum(w**3)

  w = jnp.array([1.0, 2.0])
  slope = 3 * w**2
  exact = loss(w + 0.05 * slope / jnp.linalg.norm(slope)) - loss(w)
  found = analysis.worst_case_sharpness(loss, w, unit_ball(0.05, w), jax.random.key(0), num_steps=1)
  assert found >= exact - 1e-12
  np.testing.assert_allclose(found, exact, rtol=2e-2)


def test_expected_sharpness_of_a_quadratic_is_half_the_trace():
  loss, minimum, matrix = quadratic()
  s = pytrees.ravel(minimum)[0]
  for adaptive, exact in ((False, VALUES.sum()), (True, jnp.sum(jnp.diag(matrix) * s**2))):
    estimate = analysis.expected_sharpness(
      loss, minimum, jax.random.key(1), 0.2, adaptive=adaptive, num_pairs=400
    )
    assert abs(estimate.mean - 0.2**2 * exact / 2) < 4 * estimate.error
    assert estimate.error < 0.1 * estimate.mean


def network(seed=0):
  model = models.MLP((7, 6, 3))
  params = pytrees.cast(models.init(model, jax.random.key(seed), (1, 4)), jnp.float64)
  rng = np.random.default_rng(seed)
  x, y = jnp.asarray(rng.normal(size=(40, 4))), jnp.asarray(rng.integers(0, 3, 40))
  return model, params, x, y


def test_relative_flatness_is_the_sum_over_blocks_of_the_hessian():
  model, params, x, y = network()

  def loss(kernel):
    changed = {**params, "dense_01": {**params["dense_01"], "kernel": kernel}}
    return losses.cross_entropy(models.apply(model, changed, x), y)

  kernel = params["dense_01"]["kernel"]
  hessian = jax.jit(jax.hessian(loss))(kernel)  # [in, out, in, out]
  exact = np.einsum("is,it,jsjt->", kernel, kernel, hessian)
  estimate = jax.jit(
    lambda kernel: analysis.relative_flatness(loss, kernel, jax.random.key(0), num_probes=1000)
  )(kernel)
  assert abs(estimate.mean - exact) < 4 * estimate.error
  assert estimate.error < 0.2 * abs(exact)


def test_rescaling_keeps_the_function_and_moves_what_theory_says():
  model, params, x, y = network()
  initial = jax.tree.map(jnp.zeros_like, params)

  def loss(params):
    return losses.cross_entropy(models.apply(model, params, x), y)

  def largest(params):
    return jnp.linalg.eigvalsh(analysis.hessian(loss, params))[-1]

  def sharpness(params):
    scales = jax.tree.map(jnp.abs, params)
    neighbourhood = analysis.ball(0.1, scales)
    return analysis.worst_case_sharpness(loss, params, neighbourhood, jax.random.key(0))

  def relative(params):
    def of_kernel(kernel):
      return loss({**params, "dense_01": {**params["dense_01"], "kernel": kernel}})

    return analysis.relative_flatness(
      of_kernel, params["dense_01"]["kernel"], jax.random.key(0)
    ).mean

  def noise(params):
    return analysis.expected_sharpness(loss, params, jax.random.key(0), 0.1, adaptive=True).mean

  def ball(params):
    return analysis.worst_case_sharpness(loss, params, unit_ball(0.1, params), jax.random.key(0))

  measures = {
      "loss": loss, "adaptive": sharpness, "relative": relative, "noise": noise,
      "path": lambda p: analysis.weight_norms(p, initial)["path"],
      "spectral": lambda p: analysis.weight_norms(p, initial)["spectral"],
      "frobenius": lambda p: analysis.weight_norms(p, initial)["frobenius"],
      "largest": largest, "ball": ball,
      "norm": lambda p: analysis.weight_norms(p, initial)["parameter_norm"],
  }  # fmt: skip
  audit = analysis.invariance_audit(
    {name: jax.jit(measure) for name, measure in measures.items()},
    params,
    analysis.rescale_layers,
    (0.25, 8.0),
  )
  for name in ("loss", "adaptive", "relative", "noise", "path", "spectral", "frobenius"):
    np.testing.assert_allclose(audit[name], 1, rtol=1e-8, err_msg=name)
  for name in ("largest", "ball", "norm"):
    assert np.abs(audit[name] - 1).min() > 0.2, name


def test_units_can_be_rescaled_one_by_one_and_the_path_norm_does_not_move():
  model, params, x, _ = network()
  rescale = jax.jit(lambda p: analysis.rescale_layers(p, jnp.linspace(0.1, 9, 6), layer=1))
  apply, norms = jax.jit(lambda p: models.apply(model, p, x)), jax.jit(analysis.weight_norms)
  scaled = rescale(params)
  np.testing.assert_allclose(apply(scaled), apply(params), rtol=1e-10, atol=1e-12)
  before, after = (norms(p, params) for p in (params, scaled))
  np.testing.assert_allclose(after["path"], before["path"], rtol=1e-12)
  assert abs(after["spectral"] - before["spectral"]) > 1e-2


def test_norms_by_hand():
  params = {
    "dense_00": {"bias": jnp.array([1.0, 0.0]), "kernel": jnp.array([[3.0, 0.0], [0.0, 4.0]])},
    "dense_01": {"bias": jnp.array([2.0]), "kernel": jnp.array([[1.0], [2.0]])},
  }
  found = analysis.weight_norms(params, jax.tree.map(jnp.zeros_like, params))
  np.testing.assert_allclose(found["parameter_norm"], 1 + 9 + 16 + 4 + 1 + 4)
  np.testing.assert_allclose(found["distance"], found["parameter_norm"])
  np.testing.assert_allclose(found["spectral"], np.log(16 * 5))
  np.testing.assert_allclose(found["frobenius"], np.log(25 * 5))
  np.testing.assert_allclose(found["path"], np.log((9 + 1) * 1 + 16 * 4 + 4))


def test_pac_bayes_bound_of_a_network_that_never_errs():
  errors = analysis.perturbed_errors(
    lambda p: 0.0 * p[0], jnp.full(10, 0.1), jax.random.key(0), (0.1, 1.0), num_samples=32
  )
  found = analysis.pac_bayes_bound(errors, 10 * 0.1**2, 10_000, (0.1, 1.0), num_samples=32)
  share = 0.05 / 4
  train = 1 - np.exp(-np.log(1 / share) / 32)
  budget = (0.1 / 2 + np.log(200 / share)) / 10_000
  np.testing.assert_allclose(found.train_error, train, rtol=1e-9)
  assert found.deviation == 1.0
  p, q = found.bound, train
  np.testing.assert_allclose(
    q * np.log(q / p) + (1 - q) * np.log((1 - q) / (1 - p)), budget, rtol=1e-6
  )


def test_perturbed_errors_are_means_over_the_noise():
  found = analysis.perturbed_errors(
    lambda p: (p[0] > 1).astype(p.dtype), jnp.zeros(1), jax.random.key(0), (0.1, 1.0, 100.0),
    num_samples=2000,
  )  # fmt: skip
  exact = [0.0, 0.158655, 0.49601]  # P(sigma e > 1)
  np.testing.assert_allclose(found, exact, atol=4 * 0.5 / 2000**0.5)


def test_pac_bayes_bound_is_vacuous_far_from_the_prior():
  assert analysis.pac_bayes_bound(np.full(11, 0.5), 1e9, 100).bound > 0.99


@pytest.mark.parametrize(
  ("call", "match"),
  [
    (lambda: analysis.rescale_layers(network()[1], 2.0, layer=2), "got 2, expected a hidden"),
    (
      lambda: analysis.expected_sharpness(jnp.sum, jnp.ones(2), jax.random.key(0), 1, num_pairs=1),
      "expected at least 2",
    ),
    (lambda: analysis.relative_flatness(jnp.sum, jnp.ones(2), jax.random.key(0)), "a matrix"),
    (lambda: analysis.kendall([1, 2], [1, 2]), "at least 3"),
    (lambda: analysis.conditional_independence([1, 2], [1, 2], np.ones(2)), "expected \\[2, h\\]"),
  ],
)
def test_bad_arguments_are_told(call, match):
  with pytest.raises(ValueError, match=match):
    call()


def test_kendalls_interval_covers_the_truth_about_as_often_as_it_says():
  rng = np.random.default_rng(0)
  exact = 2 / np.pi * np.arcsin(0.6)  # of a bivariate normal with correlation 0.6
  covered = 0
  for seed in range(60):
    x = rng.normal(size=40)
    y = 0.6 * x + 0.8 * rng.normal(size=40)
    found = analysis.kendall(x, y, num_samples=200, seed=seed)
    covered += found.low <= exact <= found.high
  assert 50 <= covered <= 60  # 57 expected of 60; 49 or less has probability 0.1 % at 92 %


def test_kendalls_interval_is_wider_for_grouped_networks():
  rng = np.random.default_rng(1)
  x = np.repeat(rng.normal(size=12), 5)
  y = x + np.repeat(rng.normal(size=12), 5)
  alone = analysis.kendall(x, y)
  grouped = analysis.kendall(x, y, groups=np.repeat(np.arange(12), 5))
  assert grouped.tau == alone.tau
  assert grouped.high - grouped.low > 1.3 * (alone.high - alone.low)


SETTINGS = np.array([[a, b] for a in range(4) for b in range(4)])


def test_granulated_tau_by_hand():
  gap = SETTINGS[:, 0] * 1.0 + 10 * SETTINGS[:, 1]
  measure = SETTINGS[:, 0] * 1.0 - 10 * SETTINGS[:, 1]
  np.testing.assert_allclose(analysis.granulated(measure, gap, SETTINGS), [1, -1])


def test_conditional_independence_tells_a_cause_from_a_common_cause():
  rng = np.random.default_rng(2)
  noise = rng.normal(size=16)
  gap = 3.0 * SETTINGS[:, 0] + noise
  told = analysis.conditional_independence(gap, gap, SETTINGS, most=1)
  np.testing.assert_allclose(told.score, 1)
  through = analysis.conditional_independence(SETTINGS[:, 0], gap, SETTINGS, most=1)
  assert through.by_set[()] > 0.5  # it follows the gap ...
  np.testing.assert_allclose(through.by_set[(0,)], 0, atol=1e-12)  # ... but only by the setting
  assert through.settings == (0,)
  assert 0 < analysis.null_score(gap, SETTINGS, most=1) < 0.1
