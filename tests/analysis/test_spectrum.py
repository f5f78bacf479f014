"""Products, Lanczos, quadrature, traces: prescribed spectra, exact Hessians, exact counts.

What is under test runs inside `jit`, as the experiments run it; op by op it compiles a hundred
programs where one will do.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hw1_jax import analysis, data, models, pytrees
from hw1_jax.analysis import products
from hw1_jax.loops import Monitor, NonFiniteError
from hw1_jax.training import losses


@pytest.fixture(autouse=True)
def _x64():
  with jax.enable_x64(True):
    yield


def matrix_with(values, seed=0):
  """Returns a symmetric matrix of the prescribed eigenvalues in a random basis."""
  basis = np.linalg.qr(np.random.default_rng(seed).normal(size=(len(values), len(values))))[0]
  return jnp.asarray(basis @ np.diag(values) @ basis.T)


def lanczos(operator, starts, num_steps):
  return jax.jit(lambda starts: analysis.tridiagonalize(operator, starts, num_steps))(starts)


quadrature = jax.jit(analysis.quadrature)


def probed(operator, key, **options):
  return jax.jit(lambda key: analysis.spectral_quadrature(operator, key, **options))(key)


def extreme_pairs(operator, key, **options):
  found = jax.jit(lambda key: analysis.extreme_eigenpairs(operator, key, **options))(key)
  return analysis.lanczos.Eigenpairs(*map(np.asarray, found))


def function_loss(model):
  def loss(params, batch):
    return losses.mse(models.apply(model, params, batch[0]), batch[1])

  return loss


def function_net(widths, activation="tanh", seed=0):
  model = models.MLP((*widths, 1), activation)
  params = pytrees.cast(models.init(model, jax.random.key(seed), (1, 1)), jnp.float64)
  x, y = data.function_data("sinc", 300, dtype=np.float64)
  return model, params, (jnp.asarray(x), jnp.asarray(y))


@functools.cache
def image_net(widths=(6, 4), inputs=5, count=37):
  model = models.MLP(widths)
  params = pytrees.cast(models.init(model, jax.random.key(1), (1, inputs)), jnp.float64)
  rng = np.random.default_rng(2)
  batch = (
    jnp.asarray(rng.normal(size=(count, inputs))),
    jnp.asarray(rng.integers(0, widths[-1], count)),
  )
  return model, params, batch


def image_loss(params, batch):
  model, _, _ = image_net()
  return losses.cross_entropy(models.apply(model, params, batch[0]), batch[1])


@functools.cache
def exact_hessian():
  _, params, batch = image_net()
  return jax.jit(lambda p: analysis.hessian(lambda q: image_loss(q, batch), p))(params)


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("batch_size", [1, 10, 37, 1000])  # of 37 examples
def test_hessian_products_equal_the_exact_hessian_whatever_the_batches(batch_size, recompute):
  _, params, batch = image_net()
  probes = np.eye(len(exact_hessian()))

  @jax.jit
  def products(params, batch):
    operator = analysis.hessian_operator(
      image_loss, params, batch, batch_size=batch_size, recompute=recompute
    )
    assert operator.size == len(probes)
    return operator.product(jnp.asarray(probes)), operator.product(jnp.asarray(probes[3]))

  several, one = products(params, batch)
  np.testing.assert_allclose(several, exact_hessian(), atol=1e-13)
  np.testing.assert_allclose(one, exact_hessian()[3], atol=1e-13)


def test_long_vectors_are_multiplied_one_by_one_with_the_same_products(monkeypatch):
  model, params, batch = image_net()

  def product_of():
    def product(probes):
      return analysis.hessian_operator(
        lambda p, b: losses.cross_entropy(models.apply(model, p, b[0]), b[1]), params, batch
      ).product(probes)

    return jax.jit(product)

  together = product_of()
  probes = jnp.asarray(np.random.default_rng(0).normal(size=(3, 64)))
  assert "scan" not in str(jax.make_jaxpr(together)(probes))
  expected = together(probes)
  monkeypatch.setattr(products, "ONE_BY_ONE", 1)
  one_by_one = product_of()
  assert "scan" in str(jax.make_jaxpr(one_by_one)(probes))
  np.testing.assert_allclose(one_by_one(probes), expected, atol=1e-13)


@pytest.mark.parametrize("batch_size", [10, 37])
def test_gauss_newton_products_equal_the_matrix_written_out(batch_size):
  model, params, batch = image_net()
  theta, unravel = pytrees.ravel(params)

  def logits(vector):
    return models.apply(model, unravel(vector), batch[0])

  @jax.jit
  def product(params):
    operator = analysis.gauss_newton_operator(
      lambda p, x: models.apply(model, p, x), losses.cross_entropy, params, batch,
      batch_size=batch_size,
    )  # fmt: skip
    return operator.product(jnp.eye(operator.size))

  @jax.jit
  def written_out(theta):
    jacobian, p = jax.jacobian(logits)(theta), jax.nn.softmax(logits(theta))
    curvature = jax.vmap(jnp.diag)(p) - p[:, :, None] * p[:, None, :]
    return jnp.einsum("nap,nab,nbq->pq", jacobian, curvature, jacobian) / len(p)

  np.testing.assert_allclose(product(params), written_out(theta), atol=1e-13)


def test_a_product_makes_no_forward_pass_of_its_own():
  calls = []

  def loss(params, batch):
    calls.append(1)
    return jnp.mean(jnp.square(jnp.tanh(batch @ params)))

  operator = analysis.hessian_operator(loss, jnp.ones(3), jnp.ones((4, 3)))
  traced = len(calls)
  for _ in range(3):
    operator.product(jnp.ones(3))
  assert len(calls) == traced


@pytest.mark.parametrize(
  ("arrays", "batch_size", "match"),
  [((3, 4), 2, "lengths \\[3, 4\\]"), ((3, 3), 0, "got 0, expected at least 1")],
)
def test_bad_batches_are_told(arrays, batch_size, match):
  with pytest.raises(ValueError, match=match):
    analysis.hessian_operator(
      lambda p, batch: jnp.sum(p), jnp.ones(2), [jnp.ones(n) for n in arrays], batch_size=batch_size
    )


def test_lanczos_finds_a_prescribed_spectrum_and_its_basis_stays_orthonormal():
  values = np.concatenate([np.linspace(-1, 1, 180), [5.0, 20.0, 100.0]])
  operator = products.matrix_operator(matrix_with(values))
  starts = jax.random.normal(jax.random.key(0), (3, 183))
  run = lanczos(operator, starts, 183)
  np.testing.assert_allclose(
    quadrature(run).nodes, np.broadcast_to(np.sort(values), (3, 183)), atol=1e-10
  )
  for k in range(3):
    basis = np.asarray(run.basis[k])
    gram = basis @ basis.T
    np.testing.assert_allclose(gram, np.eye(183), atol=1e-11)


def test_lanczos_in_float32_keeps_its_basis_orthonormal():
  values = np.concatenate([np.linspace(0, 1, 400), [10.0, 1e3]])
  operator = products.matrix_operator(matrix_with(values).astype(jnp.float32))
  run = lanczos(operator, jax.random.normal(jax.random.key(0), (1, 402), jnp.float32), 100)
  basis = np.asarray(run.basis[0])
  # 100 products of unit vectors, each to about 400 eps in the worst case
  np.testing.assert_allclose(basis @ basis.T, np.eye(100), atol=1e-4)


def test_many_lanczos_runs_are_one_program_of_the_size_of_a_few():
  """Written out run by run, a thousand of them compiled for minutes."""
  operator = products.matrix_operator(jnp.eye(50))

  def equations(runs):
    run = jax.make_jaxpr(lambda starts: analysis.tridiagonalize(operator, starts, 45))
    return str(run(jnp.ones((runs, 50)))).count(" = ")

  assert equations(300) == equations(3)


def test_lanczos_stops_at_an_invariant_subspace():
  operator = products.matrix_operator(jnp.asarray(np.diag([2.0] * 5 + [3.0] * 5)))
  run = lanczos(operator, np.ones((1, 10)), 6)
  nodes, weights = quadrature(run)
  np.testing.assert_allclose(np.asarray(run.off)[0, 1:], 0)
  held = np.asarray(weights[0]) > 1e-12
  np.testing.assert_allclose(np.asarray(nodes[0])[held], [2, 3], rtol=1e-12)
  np.testing.assert_allclose(np.asarray(weights[0])[held], [0.5, 0.5], rtol=1e-12)


def test_quadrature_is_exact_for_polynomials():
  values = np.linspace(-2, 3, 60)
  matrix = np.asarray(matrix_with(values))
  start = np.random.default_rng(3).normal(size=(1, 60))
  unit = start[0] / np.linalg.norm(start)
  nodes, weights = map(
    np.asarray, quadrature(lanczos(products.matrix_operator(jnp.asarray(matrix)), start, 5))
  )
  for degree in range(10):  # 2 * 5 - 1
    moment = unit @ np.linalg.matrix_power(matrix, degree) @ unit
    np.testing.assert_allclose(np.sum(weights * nodes**degree), moment, rtol=1e-10, atol=1e-12)
  tenth = unit @ np.linalg.matrix_power(matrix, 10) @ unit
  assert abs(float(np.sum(weights * nodes**10) / tenth) - 1) > 1e-6


def test_density_agrees_with_the_exact_one_within_its_error_bars():
  values = np.sort(np.random.default_rng(5).normal(size=500))
  operator = products.matrix_operator(matrix_with(values))
  found = probed(operator, jax.random.key(1), num_probes=16, num_steps=60)
  grid = np.linspace(-3, 3, 25)
  density = jax.jit(analysis.density)
  estimate = density(found, grid, 0.3)
  bumps = np.exp(-(((grid[:, None] - values) / 0.3) ** 2) / 2) / (0.3 * np.sqrt(2 * np.pi))
  deviation = (np.asarray(estimate.mean) - bumps.mean(1)) / np.asarray(estimate.error)
  assert np.abs(deviation).max() < 5
  assert 0.3 < np.sqrt(np.mean(deviation**2)) < 2  # the bars are neither too wide nor too narrow
  wide = np.linspace(-8, 8, 400)
  area = np.sum(density(found, wide, 0.3).mean) * (wide[1] - wide[0])
  np.testing.assert_allclose(area, 1, rtol=1e-6)


@pytest.mark.parametrize("threshold", [-0.5, 0.2, 0.9])
def test_interval_of_the_positive_fraction_holds_the_exact_one(threshold):
  values = np.random.default_rng(6).uniform(-1, 1, 400)
  operator = products.matrix_operator(matrix_with(values))
  exact = np.mean(values > threshold)
  widths = []
  for steps in (10, 80):
    found = probed(operator, jax.random.key(2), num_probes=8, num_steps=steps)
    fraction, low, high = analysis.positive_fraction(found, threshold)
    assert low <= exact <= high
    assert low <= fraction <= high
    widths.append(high - low)
  assert widths[1] < widths[0]


def test_extreme_eigenpairs_of_a_quadratic_with_residuals():
  values = np.concatenate([np.linspace(-1, 1, 300), [-4.0, 6.0, 9.0]])
  matrix = np.asarray(matrix_with(values))
  operator = products.matrix_operator(jnp.asarray(matrix))
  pairs = extreme_pairs(operator, jax.random.key(0), num_largest=3, num_smallest=2, num_steps=40)
  np.testing.assert_allclose(pairs.values[[0, 1, 3]], [9, 6, -4], rtol=1e-10)
  exact = np.linalg.eigvalsh(matrix)
  for value, vector, residual in zip(*pairs):
    np.testing.assert_allclose(np.linalg.norm(vector), 1, rtol=1e-12)
    away = np.abs(exact - value).min()
    assert away <= residual + 1e-12
    exactly = np.linalg.norm(matrix @ vector - value * vector)
    np.testing.assert_allclose(residual, exactly, rtol=1e-7, atol=1e-12)
  assert pairs.residuals[2] > 1e-3  # in the bulk: not converged, and it says so


def test_pairs_beyond_the_distinct_eigenvalues_are_nan():
  operator = products.matrix_operator(jnp.asarray(np.diag([2.0] * 5 + [3.0] * 5)))
  pairs = extreme_pairs(operator, jax.random.key(0), num_largest=2, num_smallest=1, num_steps=5)
  np.testing.assert_allclose(pairs.values[:2], [3, 2], rtol=1e-9)
  assert np.isnan(pairs.values[2])


def test_trace_and_norm_agree_within_their_errors():
  values = np.concatenate([np.random.default_rng(7).normal(0, 0.1, 500), [3.0, 8.0, -5.0]])
  operator = products.matrix_operator(matrix_with(values))
  estimated = jax.jit(lambda key: analysis.trace_and_norm(operator, key, num_probes=10))
  deviations = []
  for seed in range(20):
    estimates = estimated(jax.random.key(seed))
    deviations.append(
      [
        float((estimate.mean - exact) / estimate.error)
        for estimate, exact in zip(estimates, (values.sum(), np.sum(values**2)))
      ]
    )
  assert np.sqrt(np.mean(np.square(deviations), axis=0)).max() < 2
  assert np.abs(np.mean(deviations, axis=0)).max() < 1  # 1 / sqrt(20) for an unbiased one


@pytest.mark.parametrize(
  ("call", "match"),
  [
    (lambda a: analysis.tridiagonalize(a, jnp.ones((1, 4))), "expected \\[K, 3\\]"),
    (lambda a: analysis.tridiagonalize(a, jnp.ones((1, 3)), 4), "expected 1 to 3"),
    (lambda a: analysis.extreme_eigenpairs(a, jax.random.key(0), num_steps=3), "= 11"),
    (lambda a: analysis.trace_and_norm(a, jax.random.key(0), num_probes=1), "expected 2 to 3"),
  ],
)
def test_bad_arguments_are_told(call, match):
  with pytest.raises(ValueError, match=match):
    call(products.matrix_operator(jnp.eye(3)))


def check_against_exact(model, params, batch, exact, num_steps=60):
  """Checks everything that Lanczos and probes say of a Hessian against its exact eigenvalues."""

  @jax.jit
  def estimate(params, batch):
    operator = analysis.hessian_operator(function_loss(model), params, batch)
    keys = jax.random.split(jax.random.key(0), 3)
    return (
      analysis.extreme_eigenpairs(operator, keys[0], num_largest=5, num_steps=num_steps),
      analysis.trace_and_norm(operator, keys[1]),
      analysis.spectral_quadrature(operator, keys[2], num_probes=8, num_steps=num_steps),
    )

  pairs, (trace, square), found = jax.device_get(estimate(params, batch))
  np.testing.assert_allclose(pairs.values[:3], exact[:-4:-1], rtol=1e-9)  # the isolated ones
  for value, residual in zip(pairs.values, pairs.residuals):
    assert np.abs(exact - value).min() <= residual + 1e-12 * exact[-1]
  assert pairs.residuals.max() < 2e-3 * exact[-1]
  assert abs(trace.mean - exact.sum()) <= 4 * trace.error + 1e-9 * abs(exact.sum())
  assert abs(square.mean - np.sum(exact**2)) <= 4 * square.error + 1e-9 * np.sum(exact**2)
  threshold = 1e-4 * exact[-1]
  _, low, high = analysis.positive_fraction(found, threshold)
  assert low <= np.mean(exact > threshold) <= high
  assert high - low < 0.05


def test_estimates_agree_with_the_exact_hessian_of_1501_parameters():
  model, params, batch = function_net((500,))
  matrix = jax.jit(lambda params: analysis.mlp_hessian(params, "tanh", *batch))(params)
  assert matrix.shape == (1501, 1501)
  check_against_exact(model, params, batch, np.linalg.eigvalsh(matrix))


@pytest.mark.slow
def test_estimates_agree_with_the_exact_hessian_of_8000_parameters():
  model, params, batch = function_net((87, 87))
  matrix = analysis.mlp_hessian(params, "tanh", *batch)
  assert len(matrix) == 7918
  check_against_exact(model, params, batch, np.linalg.eigvalsh(matrix), num_steps=400)


def test_sharpness_along_descent_of_a_quadratic():
  values = np.array([0.5, 1.0, 3.0])

  def loss(theta, batch):
    return jnp.mean(batch) * jnp.sum(values * theta**2) / 2

  found = analysis.sharpness_along_descent(
    Monitor(), "descent", loss, jnp.ones(3), jnp.ones(4), (0.1, 0.6), jax.random.key(0),
    num_points=4, num_steps=2,
  )  # fmt: skip
  np.testing.assert_allclose(found["sharpness"], 3, rtol=1e-12)
  steps = 2 * np.arange(4)
  for row, rate in zip(found["loss"], (0.1, 0.6)):
    exact = np.sum(values * (1 - rate * values) ** (2 * steps[:, None]), axis=1) / 2
    np.testing.assert_allclose(row, exact, rtol=1e-10)


def test_descent_that_diverges_is_told():
  with pytest.raises(NonFiniteError, match=r"rate 1e\+300: the loss is .* at step 1"):
    analysis.sharpness_along_descent(
      Monitor(), "descent", lambda w, batch: jnp.sum(w**2) * jnp.mean(batch), jnp.ones(2),
      jnp.ones(3), (1e300,), jax.random.key(0), num_points=3, num_steps=1,
    )  # fmt: skip
