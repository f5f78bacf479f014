"""Searches of deep ReLU networks that end on kinks, and the Hessian within curved kinks."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hw1_jax import models, pytrees
from hw1_jax.analysis import held_kinks, piece_search, pieces
from hw1_jax.analysis import levenberg_marquardt as lm

MODEL = models.MLP((4, 3, 1))
IN_SECOND_LAYER, IN_FIRST_LAYER, PLAIN_STICKS = 4, 8, 9  # seeds


@pytest.fixture(autouse=True)
def _x64():
  with jax.enable_x64(True):
    yield


def data():
  inputs = jnp.linspace(-1, 1, 12)[:, None]
  return inputs, jnp.sin(4 * inputs)


def start(seed):
  return pytrees.cast(models.init(MODEL, jax.random.key(seed), (1, 1)), jnp.float64)


@functools.cache
def search():
  return jax.jit(lambda params: piece_search.minimize(params, *data(), tolerance=1e-9))


def loss_at(params):
  inputs, targets = data()
  return jnp.mean((models.apply(MODEL, params, inputs) - targets) ** 2)


@pytest.mark.parametrize("seed", [IN_SECOND_LAYER, IN_FIRST_LAYER])
def test_deep_searches_end_on_certified_kinks(seed):
  found = search()(start(seed))
  proof = pieces.certify(found.params, *data())
  assert int(found.end) == lm.REACHED
  assert proof.norm <= 1.1e-9 < 1e-3 < proof.gradient_norm
  layer = np.flatnonzero(np.asarray(found.held) >= 0)
  assert ((layer >= 4) == (seed == IN_SECOND_LAYER)).all()
  np.testing.assert_allclose(found.loss, loss_at(found.params), rtol=1e-9)


def test_no_direction_is_downhill_there():
  found = search()(start(IN_SECOND_LAYER))
  theta, unravel = pytrees.ravel(found.params)
  directions = jax.random.normal(jax.random.key(0), (400, theta.size), jnp.float64)
  directions /= jnp.linalg.norm(directions, axis=1, keepdims=True)
  change = jax.vmap(lambda d: loss_at(unravel(theta + 1e-6 * d)))(directions) - found.loss
  assert float(change.min()) > -1e-6 * 1e-8
  assert float(change.max()) > 1e-8  # across the kink the loss rises at first order


def test_deep_searches_go_on_where_levenberg_marquardt_sticks():
  inputs, targets = data()
  params = start(PLAIN_STICKS)
  plain = lm.minimize(lambda p: models.apply(MODEL, p, inputs) - targets, params, tolerance=1e-9)
  found = search()(params)
  assert int(plain.end) == lm.STUCK
  assert int(found.end) == lm.REACHED
  assert float(found.loss) < float(plain.loss)


def test_the_hessian_within_curved_kinks_is_that_along_them():
  inputs, targets = data()
  found = search()(start(IN_SECOND_LAYER))
  theta, unravel = pytrees.ravel(found.params)
  network = held_kinks.make_network(found.params, inputs, targets)
  within = jax.jit(lambda t: held_kinks.within(network, t, found.held))
  matrix, jacobian = map(np.asarray, within(theta))
  normals = np.asarray(jax.jit(lambda t: held_kinks.normals(network, t, found.held))(theta))
  np.testing.assert_allclose(matrix @ normals.T, 0, atol=1e-10)
  np.testing.assert_allclose(jacobian @ normals.T, 0, atol=1e-10)
  normal = normals[found.held >= 0]
  tangents = np.linalg.svd(normal)[2][len(normal) :]
  nothing, h = jnp.zeros(found.held.size), 1e-4

  @jax.jit
  def on_kinks(theta):
    return loss_at(unravel(held_kinks.put(network, theta, found.held, nothing)))

  plain = jax.jit(jax.hessian(lambda t: loss_at(unravel(t))))(theta)
  differs = 0.0
  for direction in np.random.default_rng(0).normal(size=(5, len(tangents))) @ tangents:
    along = [on_kinks(theta + s * h * direction) for s in (-1, 0, 1)]
    expected = (along[0] - 2 * along[1] + along[2]) / h**2
    np.testing.assert_allclose(direction @ matrix @ direction, expected, rtol=2e-4)
    differs = max(differs, abs(direction @ plain @ direction / expected - 1))
  assert differs > 1e-2  # without the kinks' curvature it would be another


def test_other_networks_are_refused():
  params = pytrees.cast(models.init(models.MLP((3, 2)), jax.random.key(0), (1, 1)), jnp.float64)
  with pytest.raises(ValueError, match="expected a hidden layer and one output"):
    piece_search.minimize(params, *data())
