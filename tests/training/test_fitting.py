"""Full-batch training: against a plain loop, exact stops, independence of chunks and members."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from hw1_jax.loops import Monitor, NonFiniteError
from hw1_jax.training import full_batch, optimizers

X = np.linspace(-1, 1, 20, dtype=np.float32)


def loss(params, x, y):
  return jnp.mean((params[0] * x + params[1] - y) ** 2)


def data(*slopes):
  x = jnp.stack([X] * len(slopes))
  return [x, jnp.stack([s * X + 0.3 for s in slopes])]


def start(members):
  return jnp.zeros((members, 2), jnp.float32)


def train(slopes=(1.0, -2.0), *, rule=None, num_epochs=100, chunk_size=1000, rate=0.05, **options):
  return full_batch.fit(
    Monitor(),
    "test",
    loss,
    start(len(slopes)),
    data(*slopes),
    optimizers.adam(rate),
    num_epochs=num_epochs,
    rule=rule,
    chunk_size=chunk_size,
    **options,
  )


def plain_losses(slope, epochs, rate=0.05):
  """The same training as a Python loop: the losses before each update, the final parameters."""
  params, optimizer = jnp.zeros(2), optimizers.adam(rate)
  state, values = optimizer.init(params), []
  for _ in range(epochs):
    value, gradient = jax.value_and_grad(loss)(params, X, slope * X + 0.3)
    updates, state = optimizer.update(gradient, state, params)
    params = optax.apply_updates(params, updates)
    values.append(float(value))
  return np.array(values), params


def test_equals_a_plain_loop():
  result = train(num_epochs=60)
  for m, slope in enumerate((1.0, -2.0)):
    values, params = plain_losses(slope, 60)
    np.testing.assert_allclose(result.history["loss"][m], values, rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(result.params[m], params, rtol=1e-4, atol=1e-6)
  assert list(result.epochs) == [60, 60]
  assert not result.converged.any()


def test_stops_at_the_very_epoch_where_the_rule_holds():
  rule = full_batch.StopRule(loss_below=1e-2, change_below=1e-3)
  result = train(rule=rule, num_epochs=500)
  for m, slope in enumerate((1.0, -2.0)):
    values, _ = plain_losses(slope, 500)
    changes = np.abs(np.diff(values))
    first = next(
      k
      for k in range(6, 501)
      if values[k - 1] < 1e-2 and changes[k - 2] < 1e-3 and changes[k - 3] < 1e-3
    )
    assert result.epochs[m] == first
    assert result.converged[m]
    _, params = plain_losses(slope, first)
    np.testing.assert_allclose(result.params[m], params, rtol=1e-4, atol=1e-6)
    assert np.isfinite(result.history["loss"][m, :first]).all()
    assert np.isnan(result.history["loss"][m, first:]).all()
  assert result.epochs[0] != result.epochs[1]


def test_the_rule_waits_for_its_first_epochs():
  always = full_batch.StopRule(loss_below=np.inf, change_below=np.inf)
  assert list(train(rule=always).epochs) == [6, 6]


@pytest.mark.parametrize("chunk_size", [1, 7, 64])
def test_bits_do_not_depend_on_the_chunk(chunk_size):
  rule = full_batch.StopRule(loss_below=1e-2, change_below=1e-3)
  whole = train(rule=rule, num_epochs=200)
  parts = train(rule=rule, num_epochs=200, chunk_size=chunk_size)
  np.testing.assert_array_equal(whole.params, parts.params)
  np.testing.assert_array_equal(whole.history["loss"], parts.history["loss"])
  np.testing.assert_array_equal(whole.epochs, parts.epochs)


def test_bits_do_not_depend_on_the_company():
  alone = train((1.0,), num_epochs=50)
  among = train((-2.0, 0.5, 1.0, 3.0, 2.0), num_epochs=50)
  np.testing.assert_array_equal(alone.params[0], among.params[2])
  np.testing.assert_array_equal(alone.history["loss"][0], among.history["loss"][2])


def test_gradient_norm_is_that_of_the_loss():
  result = train((1.0,), num_epochs=3, measure=full_batch.loss_and_gradient_norm)
  gradient = jax.grad(loss)(jnp.zeros(2), X, X + 0.3)
  assert result.history["gradient_norm"][0, 0] == pytest.approx(
    float(np.linalg.norm(gradient)), rel=1e-6
  )


def test_a_loss_that_is_not_finite_ends_the_run_with_epoch_and_value():
  with pytest.raises(NonFiniteError, match=r"test, run 1: the loss is (inf|nan) at epoch \d+"):
    full_batch.fit(
      Monitor(),
      "test",
      loss,
      start(1) + 1e18,
      data(1.0),
      optimizers.sgd(1e3),
      num_epochs=100,
    )


def test_traced_once():
  traces = []

  def counted(params, x, y):
    traces.append(1)
    return loss(params, x, y)

  full_batch.fit(
    Monitor(), "t", counted, start(2), data(1.0, 2.0), optimizers.adam(0.1), num_epochs=50,
    chunk_size=10,
  )  # fmt: skip
  first = len(traces)
  assert first <= 3  # shapes of the measures, then the loop's body
