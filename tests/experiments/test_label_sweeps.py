"""label_noise, double_descent: known curves, and networks made wider by units that do nothing."""

import types

import jax
import numpy as np

from experiments.double_descent.findings import Peak, threshold
from experiments.double_descent.run import widened
from experiments.label_noise.findings import epochs_to_fit, final_gap, gap_at_best
from hw1_jax import data, models, rng, training
from hw1_jax.loops import Monitor
from hw1_jax.training import optimizers


def test_a_network_made_wider_by_zero_units_trains_as_before():
  images = data.subset(data.load_images("digits"), 60, 30)
  keys, narrow, wide = rng.member_keys(0, 2), models.MLP((3, 10)), models.MLP((8, 10))
  start = jax.device_get(models.init_members(narrow, rng.streams(keys, "init"), (1, 28, 28, 1)))
  found = []
  for model, params in ((narrow, start), (wide, widened(start, 8))):
    task = training.ImageTraining(model, optimizers.make_optimizer("adam", 1e-2), 20, 5)
    found.append(
      training.train_images(Monitor(), "train", task, images, keys, initial_params=params)
    )
  for key in ("train_loss", "test_loss", "test_accuracy"):
    np.testing.assert_allclose(found[0].history[key], found[1].history[key], rtol=1e-4)
  kernel = np.asarray(found[1].params["dense_00"]["kernel"])
  assert kernel[..., :3].all()
  assert not kernel[..., 3:].any()


def result(**values):
  """Returns a result whose arrays [W or F, M] are those of the last epoch."""
  return types.SimpleNamespace(
    **{k: np.asarray(v, float)[..., None] if k != "widths" else np.array(v)
       for k, v in values.items()}
  )  # fmt: skip


def test_the_peak_is_the_largest_rise_above_all_narrower_networks():
  peak = Peak(
    result(widths=[1, 2, 4, 8, 16], test_error=[[9, 5], [4, 4], [6, 3], [8, 2], [5, 1]]),
    "test_error",
  )
  np.testing.assert_array_equal(peak.width, [8, np.nan])  # the second run only falls
  np.testing.assert_array_equal(peak.low, [4, 5])
  np.testing.assert_array_equal(peak.high, [8, 5])
  np.testing.assert_array_equal(peak.last, [5, 1])


def test_the_threshold_is_the_first_width_that_fits():
  found = threshold(result(widths=[1, 2, 4], train_error=[[0.5, 0.5], [0.01, 0.3], [0, 0.02]]))
  np.testing.assert_array_equal(found, [2, np.inf])


def test_epochs_and_gaps_of_known_curves():
  train = np.array([[[0.5, 0.01, 0.0]], [[0.6, 0.5, 0.4]]])
  test = np.array([[[0.3, 0.2, 0.1]], [[0.5, 0.4, 0.7]]])
  known = types.SimpleNamespace(train_error=train, test_error=test)
  np.testing.assert_array_equal(epochs_to_fit(known), [[2], [np.inf]])
  np.testing.assert_allclose(final_gap(known), [[0.1], [0.3]])
  np.testing.assert_allclose(gap_at_best(known), [[0.1], [-0.1]])
