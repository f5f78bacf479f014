"""Where the search of 1.2.3 ends."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import experiment

from experiments.minimal_ratio import points
from hw1_jax import data
from hw1_jax.analysis import levenberg_marquardt as lm
from hw1_jax.loops import Monitor
from hw1_jax.training import full_batch


@pytest.fixture(autouse=True)
def _x64():
  with jax.enable_x64(True):
    yield


def trained(config):
  start, loss = points.make_training(config, config.widths, config.num_runs)
  batches = [
    jnp.stack([values] * config.num_runs)
    for values in data.function_data(config.target, config.num_points)
  ]
  optimizer = config.make_optimizer(config.learning_rate, config.weight_decay)
  return full_batch.fit(Monitor(), "train", loss, start, batches, optimizer,
                        num_epochs=config.num_epochs).params  # fmt: skip


def test_searches_keep_their_order_and_do_not_depend_on_what_fills_up_a_batch():
  config = experiment("minimal_ratio").config(
    widths="4", num_points=20, num_runs=3, max_iterations=30
  )
  starts = np.asarray(points.make_training(config, config.widths, 3)[0], np.float64)
  search, limits = points.make_tools(config).search, np.asarray([1e-2, np.inf, 1e-3])
  found = search(starts, limits)
  np.testing.assert_array_equal(found["params"][1], starts[1])
  assert found["iterations"][1] == 0
  assert (found["stationarity"] <= limits).all()
  order = np.asarray([2, 0, 1, 2])  # two batches of two, each filled up to three
  again = search(starts[order], limits[order])
  for name, values in found.items():
    np.testing.assert_array_equal(again[name], values[order], err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("activation", ["tanh", "softplus"])
def test_smooth_networks_get_to_a_zero_gradient_or_to_a_loss_at_rounding(activation):
  config = experiment("minimal_ratio").config(
    widths="20", activation=activation, num_runs=10, grad_tolerance=1e-10
  )
  starts = trained(config).astype(np.float64)
  found = points.make_tools(config).search(starts, np.full(10, config.grad_tolerance))
  done = (found["stationarity"] <= 1e-10) | (found["loss"] <= 1e-14)
  assert done.sum() >= 9, (found["stationarity"], found["loss"])
  assert np.isin(found["end"][done], (lm.REACHED, lm.LOW_LOSS)).all()
