"""Certificates of deep networks: hulls by hand and by enumeration, and agreement with one layer."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hw1_jax import models, pytrees
from hw1_jax.analysis import kink_search, kinks, pieces


@pytest.fixture(autouse=True)
def _x64():
  with jax.enable_x64(True):
    yield


def start(features, seed=0):
  model = models.MLP(features)
  return model, pytrees.cast(models.init(model, jax.random.key(seed), (1, 1)), jnp.float64)


def put_on_kink(params, inputs, layer, unit, example):
  """Returns params with the bias of a unit such that its z is zero at one example."""
  values = inputs
  for index in range(layer):
    name = f"dense_{index:02d}"
    values = jnp.maximum(values @ params[name]["kernel"] + params[name]["bias"], 0.0)
  name = f"dense_{layer:02d}"
  z = values[example] @ params[name]["kernel"][:, unit]
  return params | {name: params[name] | {"bias": params[name]["bias"].at[unit].set(-z)}}


@pytest.mark.parametrize(("slope", "seed"), [(0.0, 1), (0.01, 4)])
def test_one_hidden_layer_is_certified_as_by_kinks(slope, seed):
  _, params = start((4, 1), seed)
  inputs = jnp.linspace(-1, 1, 12)[:, None]
  targets = jnp.sin(4 * inputs)
  found = kink_search.minimize(params, inputs, targets, slope=slope, tolerance=1e-9)
  assert int((found.held >= 0).sum()) > 0
  one = kinks.certify(found.params, inputs, targets, slope=slope)
  deep = pieces.certify(found.params, inputs, targets, slope=slope)
  assert deep.norm <= 1e-8 < 0.1 * deep.gradient_norm
  np.testing.assert_allclose(deep.norm, one.norm, rtol=1e-4, atol=1e-14)
  np.testing.assert_allclose(deep.gradient_norm, one.gradient_norm, rtol=1e-10)
  assert (deep.num_kinks, deep.num_concave) == (one.num_kinks, one.num_concave)


def piece_gradient(params, inputs, targets, sides):
  """Returns the gradient by JAX with the kinks {(layer, unit, example): on} on the given sides."""

  def loss(p):
    values = inputs
    for index, name in enumerate(sorted(p)):
      z = values @ p[name]["kernel"] + p[name]["bias"]
      gates = np.asarray(z > 1e-12) if not isinstance(z, jax.core.Tracer) else z > 1e-12
      for (layer, unit, example), on in sides.items():
        if layer == index:
          gates = gates.at[example, unit].set(on)
      values = z if index + 1 == len(p) else jnp.where(gates, z, 0.0)
    return jnp.mean((values - targets) ** 2)

  return np.asarray(pytrees.ravel(jax.grad(loss)(params))[0])


def three_kinks(seed=1):
  """Returns a 1-5-4-1 network with kinks in both layers, two of them at the same example."""
  _, params = start((5, 4, 1), seed)
  inputs = jnp.linspace(-1, 1, 9)[:, None]
  places = [(0, 1, 2), (0, 3, 6), (1, 2, 2)]
  for place in places:
    params = put_on_kink(params, inputs, *place)
  return params, inputs, jnp.cos(3 * inputs), places


@pytest.mark.parametrize("seed", [1, 2])
def test_the_bound_of_a_deep_network_lies_in_the_hull_of_its_pieces(seed):
  params, inputs, targets, places = three_kinks(seed)
  found = pieces.certify(params, inputs, targets)
  corners = np.stack([
    piece_gradient(params, inputs, targets, dict(zip(places, sides)))
    for sides in itertools.product((False, True), repeat=3)
  ])  # fmt: skip
  # The smallest norm in the hull by Frank-Wolfe, from the best corner.
  point = corners[np.argmin(np.linalg.norm(corners, axis=1))]
  for _ in range(20_000):
    target = corners[np.argmin(corners @ point)]
    way = target - point
    if way @ way < 1e-30:
      break
    point = point + np.clip(-(point @ way) / (way @ way), 0, 1) * way
  smallest, least = np.linalg.norm(point), np.linalg.norm(corners, axis=1).min()
  assert found.num_kinks == 3
  assert smallest * (1 - 1e-6) <= found.norm <= least * (1 + 1e-9)


def test_shares_between_pieces_are_means_of_their_gradients():
  params, inputs, targets, places = three_kinks()
  layers, residuals = pieces._forward(params, inputs, targets, 0.0)
  slopes = [np.where(layer.z > 1e-12, 1.0, 0.0) for layer in layers[:-1]]
  shares = np.asarray([0.3, 0.9, 0.6])
  named = [pieces._Kink(layer, unit, np.asarray([example])) for layer, unit, example in places]
  value = pieces._gradient(layers, pieces._with_shares(slopes, named, shares, 0.0), residuals)
  expected = 0
  for sides in itertools.product((False, True), repeat=3):
    chance = np.prod(np.where(sides, shares, 1 - shares))
    expected += chance * piece_gradient(params, inputs, targets, dict(zip(places, sides)))
  np.testing.assert_allclose(value, expected, atol=1e-14)


def test_kinks_that_depend_on_others_only_add_to_the_bound():
  params = kinks.to_params(kinks.Network(jnp.zeros((1, 2)), jnp.ones(1), jnp.asarray(0.0)))
  inputs = jnp.asarray([[0.0], [1.0], [2.0]])  # v = 0: on the kink at all three, two independent
  found = pieces.certify(params, inputs, -jnp.ones((3, 1)))
  assert found.num_kinks == 2
  assert found.norm >= 2.0  # the bias's
  same = pieces.certify(params, jnp.ones((3, 1)), -jnp.ones((3, 1)))
  assert same.num_kinks == 1  # equal inputs lie on one side together
  np.testing.assert_allclose(same.norm, 2.0)


def test_several_outputs_are_refused():
  _, params = start((3, 2))
  with pytest.raises(ValueError, match="params: got 2 outputs, expected 1"):
    pieces.certify(params, jnp.zeros((4, 1)), jnp.zeros((4, 1)))
