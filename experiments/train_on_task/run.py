"""Settings, result, and the computation."""

import dataclasses
from typing import NamedTuple

import numpy as np

from hw1_jax import data, models, rng, training
from hw1_jax.loops import Monitor
from hw1_jax.runs.settings import setting

from .. import settings as shared


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(shared.ImageSettings):
  """Settings; the defaults are the long report's."""

  architectures: tuple[str, ...] = shared.architectures(
    ("10k4p-20k4p/50d-100", "10k4p-20k4p/50-50-40-30", "18k4p-22k4p/52"),
    "the CNNs; 10k4p is 10 channels, kernel 4, pooling; 50d is 50 units, dropout",
  )
  dropout_rate: float = setting(0.25, "of the layers marked d", minimum=0, below=1)
  loss: str = shared.loss("cross_entropy")
  learning_rate: float = shared.learning_rate(1e-4, "as reported; notebook 1e-3")
  weight_decay: float = shared.weight_decay(1e-4)
  batch_size: int = shared.batch_size(600, "examples a step; notebook")
  num_epochs: int = shared.num_epochs(15)
  num_runs: int = shared.num_runs(3)
  convolution: str = shared.convolution()
  split_batches: bool = shared.split_batches()


class Result(NamedTuple):
  """K models, M runs, E epochs; losses in nats, accuracies in [0, 1]."""

  num_parameters: np.ndarray  # [K] int
  train_loss: np.ndarray  # [K, M, E] running mean over the epoch, with dropout
  train_accuracy: np.ndarray  # [K, M, E] running mean over the epoch, with dropout
  test_loss: np.ndarray  # [K, M, E] exact, after the epoch
  test_accuracy: np.ndarray  # [K, M, E] exact, after the epoch
  exact_train_loss: np.ndarray  # [K, M] after the last epoch, without dropout
  exact_train_accuracy: np.ndarray  # [K, M] after the last epoch, without dropout
  minibatch_loss: np.ndarray  # [K, M, E] of the last minibatch of the epoch, before its update
  num_test: np.ndarray  # [K] int, test examples


def run(config: Config, images: data.ImageData, monitor: Monitor) -> Result:
  """Returns all trainings; run m of every model has the same random streams."""
  keys = rng.member_keys(config.seed, config.num_runs)
  optimizer = config.make_optimizer(config.learning_rate, config.weight_decay)
  family = {
    f"model_{i + 1}": models.make_cnn(
      spec,
      images.num_classes,
      images.train_images.shape[1:],
      dropout_rate=config.dropout_rate,
      convolution=config.convolution,
    )
    for i, spec in enumerate(config.architectures)
  }
  found = training.train_family(
    monitor,
    family,
    optimizer,
    images,
    keys,
    batch_size=config.batch_size,
    num_epochs=config.num_epochs,
    loss=config.make_loss(),
    split_batches=config.split_batches,
    minibatch=training.LAST,
  )
  return Result(**found)
