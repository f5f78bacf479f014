"""Two solutions: permutations are found again, curves keep their ends, barriers are known."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from hw1_jax import models, pytrees
from hw1_jax.analysis import alignment, connectivity, surface
from hw1_jax.training import evaluation

NETS = {
  "one hidden layer": (models.MLP((16, 4)), (1, 6, 6, 1)),
  "three hidden layers": (models.MLP((16, 12, 9, 4), "tanh"), (1, 6, 6, 1)),
  "convolutions": (models.parse_cnn("5k3p-6k3/8-7"), (1, 12, 12, 1)),
}


def shuffled(params, seed=0):
  spec = alignment.layer_spec(params)
  generator = np.random.default_rng(seed)
  sizes = {name: np.shape(layer["bias"])[0] for name, layer in params.items()}
  groups = {group for axes in spec.values() for group in axes.groups if group}
  permutations = {group: generator.permutation(sizes[group]) for group in sorted(groups)}
  return alignment.permute(params, spec, permutations), permutations


def outputs(name, params):
  model, shape = NETS[name]
  return models.apply(model, params, jax.random.normal(jax.random.key(9), (20, *shape[1:])))


@pytest.mark.parametrize("name", NETS)
def test_permuted_units_are_the_same_function(name):
  model, shape = NETS[name]
  params = models.init(model, jax.random.key(0), shape)
  moved, _ = shuffled(params)
  np.testing.assert_allclose(outputs(name, params), outputs(name, moved), rtol=1e-4, atol=1e-6)
  kernels = [tree[min(params)]["kernel"] for tree in (params, moved)]
  assert np.abs(np.asarray(kernels[0]) - kernels[1]).max() > 0.01


@pytest.mark.parametrize("name", NETS)
def test_alignment_finds_the_permutation_of_a_copy(name):
  model, shape = NETS[name]
  params = models.init(model, jax.random.key(0), shape)
  moved, permutations = shuffled(params)
  found = alignment.match_weights(params, moved)
  assert found.distance == 0
  jax.tree.map(np.testing.assert_array_equal, found.params, params)
  for group, permutation in permutations.items():
    np.testing.assert_array_equal(found.permutations[group], np.argsort(permutation))


def test_the_barrier_to_a_permuted_copy_is_zero_after_alignment():
  model, shape = NETS["one hidden layer"]
  params = jax.tree.map(lambda leaf: 4 * leaf, models.init(model, jax.random.key(0), shape))
  moved, _ = shuffled(params)
  generator = np.random.default_rng(1)
  images = jnp.asarray(generator.integers(0, 256, (200, *shape[1:]), dtype=np.uint8))
  labels = jnp.argmax(models.apply(model, params, images / 255.0), axis=1)
  evaluate = evaluation.make_evaluate(model)
  t = np.linspace(0, 1, 11)

  def height(end):
    values = surface.measure_on(
      lambda p: evaluate(images, labels, p)["loss"],
      surface.stack(params, end),
      jnp.asarray(t, jnp.float32)[:, None],
    )
    return connectivity.barrier(t, values)

  assert height(moved) > 0.05
  assert height(alignment.match_weights(params, moved).params) == 0


def test_one_hidden_layer_is_aligned_to_the_global_minimum():
  """All 120 orders of five units, tried."""
  import itertools

  model = models.MLP((5, 3))
  one, other = (models.init(model, jax.random.key(i), (1, 4, 4, 1)) for i in (0, 1))
  spec = alignment.layer_spec(one)
  far = [
    float(
      pytrees.norm(
        jax.tree.map(
          jnp.subtract, one, alignment.permute(other, spec, {"dense_00": np.array(order)})
        )
      )
    )
    for order in itertools.permutations(range(5))
  ]
  assert alignment.match_weights(one, other).distance == pytest.approx(min(far), rel=1e-6)
  assert min(far) < 0.95 * max(far)


def test_alignment_never_moves_networks_apart():
  model, shape = NETS["three hidden layers"]
  one, other = (models.init(model, jax.random.key(i), shape) for i in (3, 4))
  before = float(pytrees.norm(jax.tree.map(jnp.subtract, one, other)))
  found = alignment.match_weights(one, other)
  assert found.distance < before
  assert found.sweeps > 1


def test_wrong_specs_are_refused():
  params = models.init(models.MLP((5, 3)), jax.random.key(0), (1, 4, 4, 1))
  spec = {"['nowhere']": alignment.Axes((5,), ("a",))}
  with pytest.raises(ValueError, match="spec: got a leaf"):
    alignment.match_weights(params, params, spec)
  spec = {
    "['dense_00']['bias']": alignment.Axes((5,), ("a",)),
    "['dense_01']['bias']": alignment.Axes((3,), ("a",)),
  }
  with pytest.raises(ValueError, match="got 3 units of group 'a'"):
    alignment.match_weights(params, params, spec)
  broken = {"a": {"kernel": np.ones((3, 5)), "bias": np.ones(5)},
            "b": {"kernel": np.ones((7, 2)), "bias": np.ones(2)}}  # fmt: skip
  with pytest.raises(ValueError, match="b: got 7 inputs"):
    alignment.layer_spec(broken)


def quadratic(params, *batch):
  return jnp.sum((params["w"] - 3.0) ** 2)


def test_curves_keep_their_ends_to_the_last_bit():
  start, control, end = ({"w": jax.random.normal(jax.random.key(i), (50,))} for i in range(3))
  for t, params in ((0.0, start), (1.0, end)):
    np.testing.assert_array_equal(connectivity.bezier(start, control, end, t)["w"], params["w"])
    on_plane = surface.mix(
      surface.stack(start, control, end),
      surface.weights_of(connectivity.bezier_coordinates(jnp.float32(t))),
    )
    np.testing.assert_array_equal(on_plane["w"], params["w"])


def test_the_best_control_point_of_a_quadratic_is_found():
  """Ends a and b, loss (w - 3)^2: with x = c - 3 the mean over t is least where
  E[2t(1-t) ((1-t)^2 (a-3) + 2t(1-t) x + t^2 (b-3))] = 0, that is
  (a-3)/10 + (2/15) x + (b-3)/10 = 0."""
  start, end = {"w": jnp.array([0.0])}, {"w": jnp.array([1.0])}
  optimizer = optax.sgd(optax.exponential_decay(0.5, 1000, 0.3))
  steps = jax.jit(connectivity.make_curve_steps(quadratic, optimizer), static_argnames="num_steps")
  state, values = steps(
    connectivity.start_curve(start, end, optimizer), start, end, (), jax.random.key(0),
    num_steps=6000,
  )  # fmt: skip
  best = 3 - 0.75 * (-3 - 2)
  assert values.shape == (6000,)
  assert float(state.control["w"][0]) == pytest.approx(best, abs=0.05)  # draws of t


def test_curve_steps_in_two_calls_are_those_in_one():
  start, end = {"w": jnp.array([0.0, 5.0])}, {"w": jnp.array([1.0, 1.0])}
  optimizer = optax.adam(0.1)
  steps = connectivity.make_curve_steps(lambda p, x: jnp.sum((p["w"] - x) ** 2), optimizer)
  batches = jax.random.normal(jax.random.key(1), (10, 2))
  key = jax.random.key(2)
  state = connectivity.start_curve(start, end, optimizer)
  np.testing.assert_array_equal(state.control["w"], [0.5, 3.0])  # the straight line
  whole, _ = steps(state, start, end, (batches,), key)
  first, _ = steps(state, start, end, (batches[:4],), key)
  both, _ = steps(first, start, end, (batches[4:],), key)
  np.testing.assert_array_equal(whole.control["w"], both.control["w"])


def test_barriers_are_heights_above_the_mix_of_the_ends():
  t = np.array([0.0, 0.25, 0.5, 1.0])
  values = np.array([[1.0, 1.0, 4.0, 3.0], [1.0, 1.5, 2.0, 3.0], [2.0, 1.0, 1.0, 2.0]])
  np.testing.assert_allclose(connectivity.barrier(t, values), [2.0, 0.0, 0.0])
  with pytest.raises(ValueError, match="from 0 to 1"):
    connectivity.barrier([0.1, 1.0], [1.0, 2.0])
