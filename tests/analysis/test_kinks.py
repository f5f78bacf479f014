"""Minima on kinks: certificates by hand, searches that end there, and the spectrum within."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hw1_jax import analysis, models, pytrees
from hw1_jax.analysis import kink_search, kinks
from hw1_jax.analysis import levenberg_marquardt as lm


@pytest.fixture(autouse=True)
def _x64():
  with jax.enable_x64(True):
    yield


def network(inner, outer, bias):
  return kinks.to_params(
    kinks.Network(*(jnp.asarray(leaf, jnp.float64) for leaf in (inner, outer, bias)))
  )


def on_a_kink(pull):
  """Returns a two-unit ReLU network whose first unit has its kink at x = 0, and the data.

  f(x) = relu(x) + relu(1): the examples x = -1, 0, 1. With residual r at x = 0 and 0 elsewhere, the
  gradient of v_1 = (bias, weight) is 0 with the unit off at x = 0 and (2/3) r (1, 0) with it on.
  `pull` moves the targets at x = 1 so that the gradient with the unit off becomes
  (2/3) (-pull) (1, 1).
  """
  params = network([[0.0, 1.0], [1.0, 0.0]], [1.0, 1.0], 0.0)
  inputs = jnp.asarray([[-1.0], [0.0], [1.0]])
  targets = jnp.asarray([[1.0], [1.0 - 0.5], [2.0 + pull]])
  return params, inputs, targets


def test_multiplier_of_a_kink_by_hand():
  params, inputs, targets = on_a_kink(0.2)
  found = kinks.certify(params, inputs, targets)
  # unit 1: off (2/3)(-0.2, -0.2), jump (2/3)(0.5, 0): s = 0.4 leaves (0, -0.2).
  # unit 2: on everywhere, v: (2/3)(0.3, -0.2), w: (2/3) 0.3; w_1: (2/3)(-0.2); bias (2/3) 0.3.
  np.testing.assert_allclose(found.multipliers, [0.4], rtol=1e-12)
  squares = 0.2**2 + 0.3**2 + 0.2**2 + 0.3**2 + 0.2**2 + 0.3**2
  np.testing.assert_allclose(found.norm, 2 / 3 * squares**0.5, rtol=1e-12)
  assert (found.num_kinks, found.num_concave) == (1, 0)


def test_a_multiplier_stays_within_its_box():
  params, inputs, targets = on_a_kink(-0.2)  # both sides lead the same way
  found = kinks.certify(params, inputs, targets)
  np.testing.assert_array_equal(found.multipliers, [0.0])
  np.testing.assert_allclose(found.norm, found.gradient_norm, rtol=1e-12)


def test_two_kinks_of_one_unit_are_solved_together():
  # v = 0: on the kink at every example; two inputs, so 1 + D = 3 kinks in general position.
  params = network([[0.0, 0.0, 0.0]], [1.0], 0.0)
  inputs, targets = jnp.asarray([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), jnp.asarray([[1.0]] * 3)
  found = kinks.certify(params, inputs, targets)
  # r = -1 everywhere: the hull of the sums of -(2/3) x~ contains 0 (all off); the bias keeps 2.
  np.testing.assert_allclose(found.multipliers, 0.0, atol=1e-12)
  np.testing.assert_allclose(found.norm, 2.0, rtol=1e-12)
  more = kinks.certify(params, jnp.tile(inputs, (2, 1)), jnp.tile(targets, (2, 1)))
  assert more.norm > found.norm  # kinks beyond 1 + D only add to the bound


def test_the_certificate_is_the_smallest_of_random_elements_of_the_hull():
  rng = np.random.default_rng(0)
  params = network(rng.normal(size=(4, 2)), rng.normal(size=4), 0.1)
  inputs = jnp.asarray(rng.normal(size=(6, 1)))
  inner = np.asarray(kinks.from_params(params).inner).copy()
  inner[:, 0] = -inner[:, 1] * np.asarray(inputs)[:4, 0]  # unit j on the kink of example j
  params = network(inner, kinks.from_params(params).outer, 0.1)
  targets = jnp.asarray(rng.normal(size=(6, 1)))
  found = kinks.certify(params, inputs, targets)

  def gradient(on):  # with unit j's gate at example j as given
    def loss(p):
      z = inputs @ p["dense_00"]["kernel"] + p["dense_00"]["bias"]
      gates = jnp.where(jnp.eye(6, 4, dtype=bool), jnp.asarray(on), z > 1e-12)
      f = (gates * z) @ p["dense_01"]["kernel"] + p["dense_01"]["bias"]
      return jnp.mean((f - targets) ** 2)

    return pytrees.ravel(jax.grad(loss)(params))[0]

  corners = jnp.stack([gradient([k >> j & 1 for j in range(4)]) for k in range(16)])
  weights = rng.dirichlet(np.ones(16) * 0.3, size=2000)
  norms = np.linalg.norm(weights @ np.asarray(corners), axis=1)
  assert found.num_kinks == 4
  assert found.norm <= norms.min() + 1e-12
  assert found.norm > 0.5 * norms.min()


search = jax.jit(kink_search.minimize, static_argnames=("slope", "tolerance", "max_iterations"))


def sine_fit(width=6, points=40, seed=0, activation="relu"):
  model = models.MLP((width, 1), activation)
  params = pytrees.cast(models.init(model, jax.random.key(seed), (1, 1)), jnp.float64)
  inputs = jnp.linspace(-1, 1, points)[:, None]
  return model, params, inputs, jnp.sin(4 * inputs)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("activation", "slope"), [("relu", 0.0), ("leaky_relu", 0.01)])
def test_searches_end_at_certified_points(seed, activation, slope):
  model, params, inputs, targets = sine_fit(seed=seed, activation=activation)
  found = search(params, inputs, targets, slope=slope, tolerance=1e-9)
  assert int(found.end) == lm.REACHED
  proof = kinks.certify(found.params, inputs, targets, slope=slope)
  assert proof.norm <= 1.1e-9
  assert proof.num_concave == 0
  assert proof.num_kinks >= int((found.held >= 0).sum())
  loss = np.mean((np.asarray(models.apply(model, found.params, inputs)) - targets) ** 2)
  np.testing.assert_allclose(found.loss, loss, rtol=1e-9)
  assert float(found.loss) < float(found.loss_before)


def test_no_direction_is_downhill_at_a_minimum_on_kinks():
  _, params, inputs, targets = sine_fit(width=10, points=12, seed=1)
  found = search(params, inputs, targets, tolerance=1e-10)
  assert int((found.held >= 0).sum()) > 0  # else this tests nothing
  theta, unravel = pytrees.ravel(found.params)
  model = models.MLP((10, 1))

  def loss(theta):
    return jnp.mean((models.apply(model, unravel(theta), inputs) - targets) ** 2)

  directions = np.random.default_rng(0).normal(size=(400, theta.size))
  directions /= np.linalg.norm(directions, axis=1, keepdims=True)
  change = np.asarray(
    jax.jit(lambda moved: jax.vmap(loss)(moved) - loss(theta))(
      np.asarray(theta) + 1e-6 * directions
    )
  )
  assert float(change.min()) > -1e-6 * 1e-8  # the slope bound, and rounding
  assert float(change.max()) > 1e-9  # across kinks the loss rises at first order


def test_levenberg_marquardt_alone_sticks_where_kinks_are_respected():
  model, params, inputs, targets = sine_fit(width=6, points=15, seed=3)
  plain = jax.jit(
    lambda p: lm.minimize(lambda p: models.apply(model, p, inputs) - targets, p, tolerance=1e-9)
  )(params)
  assert int(plain.end) == lm.STUCK
  assert float(plain.gradient_norm) > 1e-6


@pytest.mark.parametrize("slope", [0.0, 0.01])
@pytest.mark.parametrize("columns", [1, 2])  # on a line the matrix is summed another way
def test_the_gram_matrix_is_that_of_the_projected_jacobian(columns, slope):
  rng = np.random.default_rng(columns)
  inputs, targets = 5 + rng.normal(size=(30, columns)), rng.normal(size=(30, 1))  # in any order
  inner = rng.normal(size=(8, 1 + columns))
  inner[:, 0] -= 5 * inner[:, 1:].sum(1)  # kinks among the examples
  held = np.full(8, -1)
  for unit, example in ((0, 3), (3, 7), (5, int(inputs[:, 0].argmax()))):
    held[unit] = example
    inner[unit, 0] = -inner[unit, 1:] @ inputs[example]
  params = network(inner, rng.normal(size=8), 0.2)

  @jax.jit
  def both(params, held, inputs, targets):
    problem = kink_search._make_problem(inputs, targets, slope)
    point = kink_search._evaluate(problem, kinks.from_params(params), held)

    def outputs(p):
      z = inputs @ p["dense_00"]["kernel"] + p["dense_00"]["bias"]
      values = jnp.where(point.slopes == 1, z, slope * z)
      return (values @ p["dense_01"]["kernel"] + p["dense_01"]["bias"])[:, 0]

    rows = jax.tree.leaves(jax.jacrev(outputs)(params))
    jacobian = jnp.concatenate([leaf.reshape(30, -1) for leaf in rows], axis=1)
    normals = kinks.held_normals(held, kinks.extend(inputs)).T
    projected = kinks.project_normals(jacobian.T, normals)
    return kink_search._gram(problem, point)[0], projected.T @ projected

  gram, expected = both(params, held, inputs, targets)
  np.testing.assert_allclose(gram, expected, rtol=0, atol=1e-14 * np.abs(expected).max())


def test_held_units_stay_on_their_kinks_through_ill_conditioned_steps():
  # More examples than parameters: the multipliers grow as the damping falls, and rounding leaves
  # what is not small of a normal.
  total = 0
  for seed in (5, 6, 7, 8):  # where a search ends depends on the processor's rounding
    _, params, inputs, targets = sine_fit(seed=seed, activation="leaky_relu")
    found = search(params, inputs, targets, slope=0.01, tolerance=1e-14, max_iterations=60)
    held = np.asarray(found.held)
    units = np.flatnonzero(held >= 0)
    inner = np.asarray(kinks.from_params(found.params).inner)[units]
    z = np.sum(inner * np.asarray(kinks.extend(inputs))[held[units]], axis=1)
    if units.size:
      assert np.abs(z).max() < 1e-14 * np.linalg.norm(inner, axis=1).max()
    total += units.size
  assert total > 0


def test_the_hessian_within_kinks_is_that_of_the_reduced_problem():
  _, params, inputs, targets = sine_fit(width=10, points=12, seed=1)
  found = search(params, inputs, targets, tolerance=1e-10)
  num_held = int((found.held >= 0).sum())
  assert num_held > 0
  matrix = jax.jit(lambda p: analysis.mlp_hessian(p, jax.nn.relu, inputs, targets))(found.params)
  within = jax.jit(kinks.hold)(matrix, found.held, inputs)
  normals = kinks.held_normals(found.held, kinks.extend(inputs))
  basis = np.zeros((num_held, matrix.shape[0]))
  for row, unit in enumerate(np.flatnonzero(np.asarray(found.held) >= 0)):
    basis[row, [unit, 10 + unit]] = normals[unit]
  tangent = np.linalg.svd(basis)[2][num_held:]  # orthonormal, the rest
  expected = np.linalg.eigvalsh(tangent @ np.asarray(matrix) @ tangent.T)
  values = kinks.held_eigenvalues(np.linalg.eigvalsh(np.asarray(within)), num_held)
  assert np.isnan(values[-num_held:]).all()
  np.testing.assert_allclose(values[:-num_held], expected, atol=1e-12)


def test_other_networks_are_refused():
  deep = models.init(models.MLP((3, 3, 1)), jax.random.key(0), (1, 1))
  with pytest.raises(ValueError, match=r"params: got layers .*, expected one hidden layer and one"):
    kinks.certify(deep, jnp.zeros((2, 1)), jnp.zeros((2, 1)))
  _, params, inputs, targets = sine_fit()
  with pytest.raises(TypeError, match="params: got float32, expected float64"):
    kink_search.minimize(pytrees.cast(params, jnp.float32), inputs, targets)
  with pytest.raises(ValueError, match="slope: got 1, expected less than 1"):
    kink_search.minimize(params, inputs, targets, slope=1)
