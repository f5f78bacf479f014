"""Minibatch training: every example once an epoch, exact masked batches, exact evaluation."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from hw1_jax import data, devices, models, pytrees, rng, training
from hw1_jax.loops import Monitor, NonFiniteError
from hw1_jax.training import evaluation, losses, optimizers, rounds

MODEL = models.MLP((8, 10))


@pytest.fixture(scope="module")
def images():
  return data.subset(data.load_images("digits"), 103, 57)


def task(**options):
  defaults = {"batch_size": 20, "num_epochs": 2}
  rate = options.pop("rate", 1e-2)
  return training.ImageTraining(MODEL, optimizers.adam(rate), **{**defaults, **options})


def test_an_epoch_has_every_example_once():
  indices, weights = training.epoch_batches(jax.random.key(0), 103, 20)
  assert indices.shape == weights.shape == (6, 20)
  assert sorted(np.asarray(indices)[np.asarray(weights) == 1]) == list(range(103))
  assert weights.sum() == 103
  assert weights[:5].all()
  other, _ = training.epoch_batches(jax.random.key(1), 103, 20)
  assert (indices != other).any()


def test_an_epoch_alone_draws_the_order_that_members_are_given(images):
  """make_epoch's own order, by default, and the one drawn by a program of its own before."""
  optimizer = optimizers.adam(1e-2)
  params = models.init(MODEL, jax.random.key(0), (1, 28, 28, 1))
  state = training.init_state(params, optimizer)._replace(epoch=np.int32(7))
  key, count = rng.member_keys(0, 1), len(images.train_images)
  epoch = training.make_epoch(training.make_gradients(MODEL), optimizer, 20)
  sets = images.train_images, images.train_labels
  alone, _ = jax.jit(epoch)(*sets, state, key[0])
  other, _ = jax.jit(epoch)(*sets, state, key[0], training.shuffle(key[0], 8, count))
  stacked = jax.tree.map(lambda leaf: np.asarray(leaf)[None], (sets[1], state))
  mapped, _ = training.map_epochs(MODEL, optimizer, 20)(sets[0], *stacked, key)
  for a, b, c in zip(*map(jax.tree.leaves, (alone.params, mapped.params, other.params))):
    np.testing.assert_array_equal(a, b[0])
    assert (a != c).any()


def test_the_short_last_batch_is_its_own_mean(images):
  """A masked batch gives the gradient of the mean over its own examples, as PyTorch has it."""
  params = models.init(MODEL, jax.random.key(0), (1, 28, 28, 1))
  batch, labels = images.train_images[:20], images.train_labels[:20]
  mask = (np.arange(20) < 3).astype(np.float32)
  gradients = jax.jit(training.make_gradients(MODEL))
  sums, masked = gradients(params, batch, labels, mask, jax.random.key(0))

  def mean_loss(p):
    return losses.cross_entropy(models.apply(MODEL, p, data.as_float(batch[:3])), labels[:3])

  value, expected = jax.jit(jax.value_and_grad(mean_loss))(params)
  assert sums["loss"] / 3 == pytest.approx(float(value), rel=1e-5)
  for a, b in zip(jax.tree.leaves(masked), jax.tree.leaves(expected)):
    np.testing.assert_allclose(a, b, atol=1e-6)


@pytest.mark.parametrize("count", [20, 100])
def test_a_seed_drops_out_the_same_units_in_either_form_of_convolution(images, count):
  """The GPU's form, lax, and the CPU's, which goes through a minibatch in parts of 60."""

  @functools.cache
  def gradient(form, seed=2):
    model = models.parse_cnn("1k2p/9d", dropout_rate=0.5, convolution=form)
    params = models.init(model, jax.random.key(1), (1, 28, 28, 1))
    batch = images.train_images[:count], images.train_labels[:count], np.ones(count, np.float32)
    found = jax.jit(training.make_gradients(model))(params, *batch, jax.random.key(seed))
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(found)])

  np.testing.assert_allclose(gradient("lax"), gradient("matmul"), rtol=1e-4, atol=1e-5)
  assert np.abs(gradient("lax") - gradient("lax", seed=3)).max() > 1e-2


def test_training_equals_a_plain_loop(images):
  keys = rng.member_keys(0, 2)
  result = training.train_images(Monitor(), "t", task(), images, keys)
  params = pytrees.member(result.initial_params, 1)
  optimizer = optimizers.adam(1e-2)
  state = optimizer.init(params)
  for epoch in range(2):
    key = rng.stream(jax.random.fold_in(keys[1], epoch), "shuffle")
    indices, weights = training.epoch_batches(key, 103, 20)
    total = 0.0
    for rows, mask in zip(np.asarray(indices), np.asarray(weights)):
      rows = rows[mask == 1]
      x, y = data.as_float(images.train_images[rows]), images.train_labels[rows]
      value, gradient = jax.value_and_grad(
        lambda p, x=x, y=y: losses.cross_entropy(models.apply(MODEL, p, x), y)
      )(params)
      updates, state = optimizer.update(gradient, state, params)
      params = optax.apply_updates(params, updates)
      total += float(value) * len(rows)
    assert result.history["train_loss"][1, epoch] == pytest.approx(total / 103, rel=1e-4)
  for a, b in zip(jax.tree.leaves(pytrees.member(result.params, 1)), jax.tree.leaves(params)):
    np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


def test_members_do_not_depend_on_their_company(images):
  keys = rng.member_keys(0, 3)
  together = training.train_images(Monitor(), "t", task(), images, keys)
  alone = training.train_images(Monitor(), "t", task(), images, keys[2:])
  for a, b in zip(jax.tree.leaves(together.params), jax.tree.leaves(alone.params)):
    np.testing.assert_array_equal(a[2], b[0])
  first, second = (pytrees.ravel(pytrees.member(together.params, m))[0] for m in (0, 1))
  assert (first != second).any()


class Halfway(Monitor):
  """Stops a loop after some chunks and keeps its state on the host, as a checkpoint does."""

  def __init__(self, chunks):
    self.chunks = chunks

  def loop(self, name, state, advance, *, total, unit="epochs"):
    for _ in range(self.chunks):
      state = advance(state)[0]
    self.state = jax.device_get(state)
    raise KeyboardInterrupt


class From(Monitor):
  """Starts a loop from a given state."""

  def __init__(self, state):
    self.state = state

  def loop(self, name, state, advance, *, total, unit="epochs"):
    return super().loop(name, self.state, advance, total=total, unit=unit)


@pytest.mark.parametrize("chunks", [1, 2])
def test_members_in_mid_round_go_on_with_another_number_of_devices(images, monkeypatch, chunks):
  keys = rng.member_keys(0, 3)
  straight = training.train_images(Monitor(), "t", task(snapshot_epochs=1), images, keys)
  halfway = Halfway(chunks)  # three members on two devices: after one round at epochs 1, 1, 0
  with pytest.raises(KeyboardInterrupt):
    training.train_images(halfway, "t", task(snapshot_epochs=1), images, keys)
  monkeypatch.setattr(devices, "round_size", lambda num_members: num_members)
  resumed = training.train_images(From(halfway.state), "t", task(snapshot_epochs=1), images, keys)
  for key, values in straight.history.items():
    np.testing.assert_array_equal(resumed.history[key], values)
  np.testing.assert_array_equal(resumed.snapshots, straight.snapshots)
  for a, b in zip(jax.tree.leaves(resumed.params), jax.tree.leaves(straight.params)):
    np.testing.assert_array_equal(a, b)


def test_own_labels_are_what_is_learned(images):
  wrong = (images.train_labels + 1) % 10
  options = task(num_epochs=120, evaluate_train=True)
  result = training.train_images(
    Monitor(), "t", options, images, rng.member_keys(0, 1), train_labels=wrong
  )
  assert result.history["exact_train_accuracy"][0, -1] > 0.9
  assert result.history["test_accuracy"][0, -1] < 0.2


def test_snapshots_are_the_parameters_on_the_way(images):
  keys = rng.member_keys(0, 2)
  by_step = training.train_images(Monitor(), "t", task(snapshot_steps=4), images, keys)
  assert by_step.snapshots.shape == (2, 4, 784 * 8 + 8 + 80 + 10)  # steps 4 and 6 of both epochs
  by_epoch = training.train_images(
    Monitor(), "t", task(num_epochs=3, snapshot_epochs=2), images, keys
  )
  assert by_epoch.snapshots.shape[1] == 1
  end = pytrees.ravel(pytrees.member(by_step.params, 0))[0]
  np.testing.assert_array_equal(by_step.snapshots[0, -1], end)
  np.testing.assert_allclose(by_epoch.snapshots[0, 0], end, atol=1e-6)


def test_gradient_norm_is_the_mean_over_steps(images):
  result = training.train_images(
    Monitor(), "t", task(batch_size=103, num_epochs=1, gradient_norm=True), images,
    rng.member_keys(0, 1),
  )  # fmt: skip
  params = pytrees.member(result.initial_params, 0)
  gradient = jax.grad(
    lambda p: losses.cross_entropy(
      models.apply(MODEL, p, data.as_float(images.train_images)), images.train_labels
    )
  )(params)
  assert result.history["gradient_norm"][0, 0] == pytest.approx(
    float(pytrees.norm(gradient)), rel=1e-4
  )


def test_a_loss_that_is_not_finite_names_run_epoch_and_value(images):
  with pytest.raises(NonFiniteError, match="t, run 1: the training loss is nan at epoch 1"):
    training.train_images(Monitor(), "t", task(rate=1e38), images, rng.member_keys(0, 1))


@pytest.mark.parametrize("batch_size", [1, 7, 57, 1000])
def test_evaluation_is_exact_for_every_batch_size(images, batch_size):
  params = models.init(MODEL, jax.random.key(0), (1, 28, 28, 1))
  measure = jax.jit(evaluation.make_evaluate(MODEL, batch_size=batch_size))
  means = measure(jnp.asarray(images.test_images), jnp.asarray(images.test_labels), params)
  logits = np.asarray(models.apply(MODEL, params, data.as_float(images.test_images)), np.float64)
  log_sum = np.log(np.exp(logits).sum(axis=1))
  expected = np.mean(log_sum - logits[np.arange(57), images.test_labels])
  assert float(means["loss"]) == pytest.approx(expected, rel=1e-5)
  hits = logits.argmax(axis=1) == images.test_labels
  assert float(means["accuracy"]) == pytest.approx(hits.mean(), abs=1e-6)


def test_a_test_loss_that_is_not_finite_ends_the_run_too():
  measured = {"test_loss": np.array([1.0, np.nan]), "train_loss": np.array([1.0, 1.0])}
  rows, epochs = np.array([3, 5]), np.array([0, 0, 0, 7, 0, 8])
  error = rounds.find_error("t", measured, rows, epochs)
  assert error == "t, run 6: the test loss is nan at epoch 9"
  assert rounds.find_error("t", {"test_loss": np.ones(2)}, rows, epochs) is None


def test_the_loss_of_one_minibatch_and_of_the_last_one_make_up_the_running_mean(images):
  found = {}
  for minibatch in (1, training.LAST):
    result = training.train_images(
      Monitor(), "t", task(batch_size=60, minibatch=minibatch), images, rng.member_keys(0, 2)
    )
    found[minibatch] = result.history["minibatch_loss"]
  # Two steps an epoch: 60 examples, then 43.
  mean = (60 * found[1] + 43 * found[training.LAST]) / 103
  np.testing.assert_allclose(mean, result.history["train_loss"], rtol=1e-6)
  assert (found[1] != found[training.LAST]).all()


def test_the_tensor_norm_is_the_mean_of_each_tensors_own_norm(images):
  chosen = task(batch_size=103, num_epochs=1, gradient_norm=True)
  result = training.train_images(Monitor(), "t", chosen, images, rng.member_keys(0, 1))
  gradient = jax.jit(
    jax.grad(
      lambda p: losses.cross_entropy(
        models.apply(MODEL, p, data.as_float(images.train_images)), images.train_labels
      )
    )
  )(pytrees.member(result.initial_params, 0))
  norms = [np.linalg.norm(np.asarray(leaf)) for leaf in jax.tree.leaves(gradient)]
  assert len(norms) == 4
  assert result.history["tensor_norm"][0, 0] == pytest.approx(np.mean(norms), rel=1e-4)


def test_a_minibatch_and_snapshots_within_an_epoch_exclude_each_other(images):
  with pytest.raises(ValueError, match="both given; record one of the two"):
    training.train_images(
      Monitor(), "t", task(minibatch=1, snapshot_steps=2), images, rng.member_keys(0, 1)
    )


def test_exact_curves_are_losses_and_errors_of_every_training_in_its_place():
  accuracies = np.arange(24.0).reshape(6, 4) / 100
  names = ("exact_train_loss", "test_loss", "exact_train_accuracy", "test_accuracy")
  history = dict(zip(names, (accuracies + 1, accuracies + 2, accuracies, accuracies + 0.5)))
  found = evaluation.exact_curves(history, 2, 3)
  assert {curve.shape for curve in found.values()} == {(2, 3, 4)}
  at = {name: curve[1, 0, 2] for name, curve in found.items()}  # training 3, epoch 2: 0.14
  expected = {"train_loss": 1.14, "train_error": 0.86, "test_loss": 2.14, "test_error": 0.36}
  assert at == pytest.approx(expected)
