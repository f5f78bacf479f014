"""The main path on real data: MNIST's original files, one epoch, at least 95 % test accuracy."""

import numpy as np

from hw1_jax import data, models, rng, training
from hw1_jax.loops import Monitor
from hw1_jax.training import optimizers


def test_one_epoch_on_real_mnist(mnist_dir):
  images = data.load_images("mnist", manual_dir=mnist_dir)
  task = training.ImageTraining(
    models.MLP((500, 10)), optimizers.adam(1e-3), batch_size=64, num_epochs=1
  )
  result = training.train_images(Monitor(), "mnist", task, images, rng.member_keys(0, 1))
  assert result.history["test_accuracy"][0, 0] >= 0.95
  assert np.isfinite(result.history["train_loss"]).all()


def test_the_cnn_learns_real_mnist(mnist_dir):
  images = data.subset(data.load_images("mnist", manual_dir=mnist_dir), 12_000, 2_000)
  task = training.ImageTraining(
    models.parse_cnn("10k4p-20k4p/50d-100"), optimizers.adam(1e-3, 1e-4), 60, num_epochs=2
  )
  result = training.train_images(Monitor(), "mnist", task, images, rng.member_keys(0, 1))
  assert result.history["test_accuracy"][0, -1] >= 0.9
