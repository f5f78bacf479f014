"""Batches without columns of zeros hold every number of the data, and few zeros."""

import gzip
import math

import numpy as np
import pytest

from hw1_jax.analysis import packing


def unpacked(packed, width):
  """Returns the inputs [N, D] and the targets [N] that were packed, in the order of the targets."""
  inputs, targets = [], []
  for part, aims in packed.batches:
    whole = np.zeros((len(part), width), part.dtype)
    whole[:, : part.shape[1]] = part
    if packed.columns is not None:
      whole[:, packed.columns] = whole.copy()
    inputs.append(whole)
    targets.append(aims)
  targets = np.concatenate(targets)
  return np.concatenate(inputs)[np.argsort(targets)], np.sort(targets)


@pytest.mark.parametrize("batch_size", [1, 7, 50, 64])
@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.99, 1])
def test_nothing_is_lost(share, batch_size):
  rng = np.random.default_rng(0)
  inputs = rng.normal(size=(50, 4, 5)).astype(np.float32)
  inputs[rng.random(inputs.shape) < share] = 0
  inputs[3, 2, 1] = np.nan
  packed = packing.pack((inputs, np.arange(50)), batch_size, small=0)
  found, targets = unpacked(packed, 20)
  np.testing.assert_array_equal(found, inputs.reshape(50, 20))
  assert targets.tolist() == list(range(50))
  assert len(packed.batches) == math.ceil(50 / batch_size)


def test_each_batch_has_only_columns_that_it_or_one_before_uses():
  rng = np.random.default_rng(1)
  inputs = (rng.random((60, 30)) < np.linspace(0, 0.5, 30)).astype(np.float32)
  packed = packing.pack((inputs, np.arange(60)), 10, small=0)
  widths = [part.shape[1] for part, _ in packed.batches]
  assert widths == sorted(widths)
  assert widths[-1] == np.sum(inputs.any(0)) < 30
  assert all(part[:, -1].any() for part, _ in packed.batches)


def test_a_staircase_is_found():
  """Example n uses the first n + 1 columns: shuffled, its half of zeros is found again."""
  rng = np.random.default_rng(2)
  inputs = np.tril(np.ones((40, 40), np.float32))
  shuffled = inputs[rng.permutation(40)][:, rng.permutation(40)]
  packed = packing.pack((shuffled, np.arange(40)), 10, small=0)
  assert [part.shape[1] for part, _ in packed.batches] == [10, 20, 30, 40]


def test_what_has_hardly_zeros_or_is_small_stays_as_it_is():
  rng = np.random.default_rng(3)
  inputs = rng.normal(size=(50, 20))
  for small, zeros in ((0, 0.02), (1001, 0.9)):
    some = np.where(rng.random(inputs.shape) < zeros, 0, inputs)
    packed = packing.pack((some, np.arange(50)), 20, small=small)
    assert packed.columns is None
    np.testing.assert_array_equal(np.concatenate([part for part, _ in packed.batches]), some)


def test_mnist_needs_little_more_than_half_of_its_pixels(mnist_dir):
  """The numbers of the module's docstring, counted."""
  raw = gzip.decompress((mnist_dir / "train-images-idx3-ubyte.gz").read_bytes())
  images = np.frombuffer(raw, np.uint8, offset=16).reshape(-1, 784)
  packed = packing.pack((images, np.arange(len(images))))
  assert np.mean([part.shape[1] for part, _ in packed.batches]) == pytest.approx(430, abs=0.5)


@pytest.mark.parametrize(
  ("targets", "batch_size", "match"),
  [(8, 2, "lengths \\[8, 9\\]"), (9, 0, "got 0, expected at least 1")],
)
@pytest.mark.parametrize("small", [0, 100])
def test_bad_batches_are_told(targets, batch_size, match, small):
  with pytest.raises(ValueError, match=match):
    packing.pack((np.eye(9), np.ones(targets)), batch_size, small=small)
