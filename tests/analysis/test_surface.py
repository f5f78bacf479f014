"""Planes of the loss: quadratics are exact, the fast form equals the plain one, paths are found."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hw1_jax import devices, models, pytrees
from hw1_jax.analysis import directions, surface
from hw1_jax.training import evaluation, losses

MODELS = [
  models.MLP((3,)),  # no hidden layer
  models.MLP((8, 3)),
  models.MLP((8, 5, 3), "tanh"),
]
POINTS = surface.grid(np.linspace(-1, 1, 5), np.linspace(-0.5, 2, 4)).astype(np.float32)


def networks(model, count=3):
  return [
    jax.tree.map(
      lambda leaf: jnp.asarray(2 * np.asarray(leaf)),
      models.init(model, jax.random.key(i), (1, 6, 4, 1)),
    )
    for i in range(count)
  ]


def image_set(num_examples=97):
  generator = np.random.default_rng(0)
  images = generator.integers(0, 256, (num_examples, 6, 4, 1), dtype=np.uint8)
  return jnp.asarray(images), jnp.asarray(generator.integers(0, 3, num_examples, dtype=np.int32))


def test_a_quadratic_on_a_plane_is_exact():
  """theta' A theta at o + a u + b v, by hand in float64; float32 rounds to 6e-8 of sums of 40."""
  generator = np.random.default_rng(1)
  matrix = generator.normal(size=(6, 6))
  corners = generator.normal(size=(3, 6))
  measured = surface.measure_on(
    lambda p: p["w"] @ jnp.asarray(matrix, jnp.float32) @ p["w"],
    {"w": jnp.asarray(corners, jnp.float32)},
    POINTS,
  )
  origin, u, v = corners[0], corners[1] - corners[0], corners[2] - corners[0]
  thetas = origin + POINTS[:, :1] * u + POINTS[:, 1:] * v
  exact = np.einsum("ki,ij,kj->k", thetas, matrix, thetas)
  np.testing.assert_allclose(measured, exact, rtol=1e-5, atol=1e-4)


def test_corners_are_met_to_the_last_bit():
  corners = surface.stack(*networks(MODELS[1]))
  units = jnp.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
  points = jax.jit(lambda c: surface.measure_on(lambda params: params, corners, c))(units)
  jax.tree.map(np.testing.assert_array_equal, points, corners)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("batch_size", [1, 13, 500])
def test_the_fast_form_equals_the_plain_form(model, batch_size):
  """Pre-activations are mixed instead of weights: equal up to float32's rounding."""
  images, labels = image_set()
  corners = surface.stack(*networks(model))
  fast = jax.jit(surface.make_surface_mlp(model, batch_size=batch_size))(
    images, labels, corners, POINTS
  )
  evaluate = evaluation.make_evaluate(model)
  plain = jax.jit(
    lambda points: surface.measure_on(lambda p: evaluate(images, labels, p), corners, points)
  )(POINTS)
  np.testing.assert_allclose(fast["loss"], plain["loss"], rtol=2e-5)
  np.testing.assert_allclose(fast["accuracy"], plain["accuracy"], atol=1e-6)


def test_the_fast_form_measures_what_it_is_given():
  model = models.MLP((4, 2), "tanh")
  images, _ = image_set()
  targets = jnp.asarray(np.random.default_rng(2).normal(size=(97, 2)), jnp.float32)
  corners = surface.stack(*networks(model))
  measure = surface.make_surface_mlp(
    model, per_example=lambda outputs, y: {"mse": losses.squared_errors(outputs, y)}
  )
  fast = jax.jit(measure)(images, targets, corners, POINTS)
  x = np.asarray(images).reshape(97, -1) / np.float32(255)
  plain = jax.jit(
    lambda points: surface.measure_on(
      lambda p: losses.mse(models.apply(model, p, x), targets), corners, points
    )
  )(POINTS)
  np.testing.assert_allclose(fast["mse"], plain, rtol=2e-5)


def test_parts_of_the_points_on_two_devices_are_the_same_points():
  images, labels = image_set()
  corners = surface.stack(*networks(MODELS[1]))
  measure = surface.make_surface_mlp(MODELS[1])
  whole = jax.jit(measure)(images, labels, corners, POINTS)
  parts = devices.map_members(measure, num_shared=3)(
    images, labels, corners, POINTS.reshape(2, -1, 2)
  )
  np.testing.assert_allclose(np.ravel(parts["loss"]), whole["loss"], rtol=1e-6)


def test_coordinates_of_another_dimension_are_refused():
  corners = surface.stack(*networks(MODELS[1]))
  with pytest.raises(ValueError, match=r"coordinates: got shape \(5, 1\), expected \[K, 2\]"):
    surface.measure_on(pytrees.norm, corners, jnp.zeros((5, 1)))


def test_the_frame_gives_distances_in_weight_space():
  corners = surface.stack(*networks(MODELS[2], 4))
  triangle = surface.frame(corners)
  vectors = np.asarray(jax.vmap(lambda p: pytrees.ravel(p)[0])(corners), np.float64)
  assert np.all(np.tril(triangle, -1) == 0)
  generator = np.random.default_rng(3)
  for one, other in generator.normal(size=(5, 2, 3)):
    apart = (one - other) @ (vectors[1:] - vectors[0])
    assert np.linalg.norm(triangle @ (one - other)) == pytest.approx(np.linalg.norm(apart))
  with pytest.raises(ValueError, match="general position"):
    surface.frame({"w": jnp.array([[0.0, 0.0], [1.0, 2.0], [2.0, 4.0]])})


@pytest.mark.parametrize("normalization", directions.NORMALIZATIONS)
def test_random_directions_are_as_long_as_the_weights(normalization):
  rng = np.random.default_rng(0)
  shapes = {"conv_00": (5, 5, 1, 3), "dense_00": (12, 6)}
  params = {
    name: {
      "bias": np.float32(rng.normal(size=shape[-1:])),
      "kernel": np.float32(rng.normal(size=shape)),
    }
    for name, shape in shapes.items()
  }
  draw = jax.jit(directions.random_direction, static_argnames="normalization")
  direction = draw(jax.random.key(1), params, normalization=normalization)
  for name, layer in params.items():
    kernels = [
      np.asarray(tree["kernel"]).reshape(-1, tree["kernel"].shape[-1])
      for tree in (layer, direction[name])
    ]
    biases = [np.asarray(tree["bias"]) for tree in (layer, direction[name])]
    want, have = (np.linalg.norm(kernel, axis=0) for kernel in kernels)
    if normalization == "neuron":
      want, have = (np.hypot(kernel, bias) for kernel, bias in zip((want, have), biases))
    if normalization == "filter":
      assert not biases[1].any()
    if normalization != "none":
      np.testing.assert_allclose(have, want, rtol=1e-5)
  if normalization != "filter":
    assert float(pytrees.norm(direction)) == pytest.approx(float(pytrees.norm(params)), rel=1e-5)


def test_a_filter_normalized_plane_does_not_see_the_scale_of_a_relu_unit():
  """Li et al.'s reason: incoming weights times s, outgoing by 1/s is the same net, same slice.

  Outgoing weights of a unit are a row of the next kernel; scaled rows keep the plane where all rows
  are scaled alike, so all units here are.
  """
  model = models.MLP((8, 3))
  params = networks(model, 1)[0]
  images, labels = image_set()
  scaled = {
    "dense_00": jax.tree.map(lambda leaf: 4 * leaf, params["dense_00"]),
    "dense_01": {"kernel": params["dense_01"]["kernel"] / 4, "bias": params["dense_01"]["bias"]},
  }
  measure = jax.jit(surface.make_surface_mlp(model))

  @functools.partial(jax.jit, static_argnums=1)
  def plane(net, normalization):
    keys = (jax.random.fold_in(jax.random.key(5), i) for i in (0, 1))
    moves = (directions.random_direction(k, net, normalization=normalization) for k in keys)
    return directions.along(net, *moves)

  values = {}
  for normalization in ("filter", "none"):
    for name, net in (("own", params), ("scaled", scaled)):
      corners = plane(net, normalization)
      values[normalization, name] = np.asarray(measure(images, labels, corners, POINTS)["loss"])
  np.testing.assert_allclose(values["filter", "own"], values["filter", "scaled"], rtol=1e-4)
  assert np.abs(values["none", "own"] - values["none", "scaled"]).max() > 0.1


def test_an_unknown_normalization_is_refused():
  with pytest.raises(ValueError, match="normalization: got 'layer', expected one of filter"):
    directions.random_direction(jax.random.key(0), {"w": jnp.ones((2, 2))}, normalization="layer")


def test_the_plane_of_a_path_in_a_plane_is_that_plane():
  generator = np.random.default_rng(4)
  basis = np.linalg.qr(generator.normal(size=(40, 2)))[0].T
  positions = np.array([[9.0, 0], [6, 2], [3, 3], [1, 1], [0, 0]])
  origin = generator.normal(size=40)
  found = directions.path_plane(origin + positions @ basis, block=7)
  assert found.explained.sum() == pytest.approx(1)
  np.testing.assert_allclose(found.outside, 0, atol=1e-12)
  corners = np.asarray(found.corners)
  moved = corners[0] + found.coordinates @ (corners[1:] - corners[0])
  np.testing.assert_allclose(moved, origin + positions @ basis, atol=1e-5)  # corners: float32
  assert np.abs(found.coordinates).max(axis=0) == pytest.approx([1, 1])
  np.testing.assert_allclose(np.linalg.norm(corners[1:] - corners[0], axis=1), found.lengths,
                             rtol=1e-5)  # fmt: skip


def test_the_share_outside_the_plane_is_that_of_the_distance():
  path = np.zeros((4, 5))
  path[0, :3] = 10, 1, 0
  path[1, :3] = 5, 5, 0
  path[2, 4] = 0.5  # perpendicular to the plane of the others
  found = directions.path_plane(path)
  np.testing.assert_allclose(found.outside, [0, 0, 1, 0], atol=1e-6)


def test_path_plane_gives_networks_and_refuses_lines():
  model = MODELS[1]
  vectors = np.stack([np.asarray(pytrees.ravel(net)[0]) for net in networks(model, 4)])
  unravel = pytrees.ravel(networks(model, 1)[0])[1]
  found = directions.path_plane(vectors, unravel)
  jax.tree.map(
    np.testing.assert_array_equal, pytrees.member(found.corners, 0), networks(model, 4)[-1]
  )
  with pytest.raises(ValueError, match="on one line"):
    directions.path_plane(np.outer([3.0, 2, 1, 0], np.ones(5)))
  with pytest.raises(ValueError, match=r"expected \[S, P\] with S at least 3"):
    directions.path_plane(np.ones((2, 5)))


def test_a_random_walk_lies_almost_in_a_plane():
  """The known limit 8/pi^2 and a ninth of it, and a walk in 20,000 dimensions."""
  shares = directions.random_walk_shares(np.ones(1000))
  np.testing.assert_allclose(shares, [8 / math.pi**2, 8 / math.pi**2 / 9], rtol=2e-3)
  lengths = np.array([3.0, 1, 2, 1, 1, 0.5, 0.5, 1])
  generator = np.random.default_rng(6)
  steps = generator.normal(size=(8, 20_000)) / math.sqrt(20_000) * lengths[:, None]
  walk = np.concatenate([np.zeros((1, 20_000)), np.cumsum(steps, axis=0)])
  np.testing.assert_allclose(directions.snapshot_steps(walk), lengths, rtol=0.02)
  found = directions.path_plane(walk)
  expected = directions.random_walk_shares(directions.snapshot_steps(walk))
  np.testing.assert_allclose(found.explained, expected, atol=0.01)  # 1/sqrt(20,000) = 0.007
