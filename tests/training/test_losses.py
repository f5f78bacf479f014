"""Losses against values worked out by hand."""

import numpy as np
import pytest

from hw1_jax.training import losses


def test_mse_is_a_mean_over_examples_and_outputs():
  outputs, targets = np.array([[1.0, 2.0], [3.0, 5.0]]), np.array([[0.0, 2.0], [3.0, 1.0]])
  assert float(losses.mse(outputs, targets)) == pytest.approx((1 + 0 + 0 + 16) / 4)
  weights = np.array([1.0, 0.0])
  assert float(losses.mse(outputs, targets, weights)) == pytest.approx(0.5)


def test_cross_entropy_in_nats():
  logits = np.log(np.array([[0.25, 0.75], [0.5, 0.5]], np.float32))
  labels = np.array([1, 0])
  expected = -(np.log(0.75) + np.log(0.5)) / 2
  assert float(losses.cross_entropy(logits, labels)) == pytest.approx(expected, rel=1e-6)
  only_first = losses.cross_entropy(logits, labels, np.array([1.0, 0.0]))
  assert float(only_first) == pytest.approx(-np.log(0.75), rel=1e-6)


def test_accuracy_counts_largest_logits():
  logits = np.array([[1.0, 2.0], [3.0, 0.0], [0.0, 1.0]])
  labels = np.array([1, 1, 1])
  assert float(losses.accuracy(logits, labels)) == pytest.approx(2 / 3)
  assert float(losses.accuracy(logits, labels, np.array([0.0, 1.0, 1.0]))) == pytest.approx(0.5)
