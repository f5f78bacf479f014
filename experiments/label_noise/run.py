"""Settings, result, and the computation."""

import dataclasses
from typing import NamedTuple

import numpy as np

from hw1_jax import data, models, pytrees, rng, training
from hw1_jax.loops import Monitor
from hw1_jax.runs.settings import setting

from .. import settings as shared


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(shared.ImageSettings):
  """Settings; the defaults are our choice, the network the long report's."""

  fractions: tuple[float, ...] = setting(
    (0.0, 0.2, 0.4, 0.6, 0.8, 1.0), "of the training labels drawn at random, rising", minimum=0,
    maximum=1, unique=True,
  )  # fmt: skip
  widths: str = shared.mlps("500")
  learning_rate: float = shared.learning_rate(1e-3)
  weight_decay: float = shared.weight_decay(0.0)
  batch_size: int = shared.batch_size(100)
  num_epochs: int = shared.num_epochs(100)
  num_runs: int = shared.num_runs(3, "repetitions, each with its own labels and initial weights")

  def __post_init__(self) -> None:
    super().__post_init__()
    rising = list(self.fractions) == sorted(self.fractions) and len(self.fractions) > 1
    self.require(rising, "fractions", "at least two rising values")


class Result(NamedTuple):
  """F fractions, M runs, E epochs; everything exact over the whole sets, after the epoch."""

  fractions: np.ndarray  # [F] float64
  num_parameters: np.ndarray  # [] int
  num_classes: np.ndarray  # [] int
  wrong: np.ndarray  # [F, M] fraction of the training labels that are not the true ones
  train_loss: np.ndarray  # [F, M, E] nats, on the labels trained on
  train_error: np.ndarray  # [F, M, E] in [0, 1], on the labels trained on
  test_loss: np.ndarray  # [F, M, E] nats, on the true labels
  test_error: np.ndarray  # [F, M, E] in [0, 1], on the true labels


def run(config: Config, images: data.ImageData, monitor: Monitor) -> Result:
  """Returns all trainings; run m starts from the same weights at every fraction."""
  keys = rng.member_keys(config.seed, config.num_runs)
  streams = rng.streams(keys, "labels")
  labels = np.stack(
    [
      data.corrupt_labels_each(streams, images.train_labels, images.num_classes, fraction)
      for fraction in config.fractions
    ]
  )  # [F, M, N]
  model = models.make_mlp(config.widths, images.num_classes, images.train_images.shape[1:])
  task = training.ImageTraining(
    model,
    config.make_optimizer(config.learning_rate, config.weight_decay),
    config.batch_size,
    config.num_epochs,
    evaluate_train=True,
  )
  sizes = len(config.fractions), config.num_runs
  trained = training.train_images(
    monitor, "fractions", task, images, pytrees.take(keys, np.tile(np.arange(sizes[1]), sizes[0])),
    train_labels=labels.reshape(sizes[0] * sizes[1], -1),
  )  # fmt: skip
  return Result(
    fractions=np.array(config.fractions),
    num_parameters=np.asarray(models.count_parameters(model, (1, *images.train_images.shape[1:]))),
    num_classes=np.asarray(images.num_classes),
    wrong=np.mean(labels != images.train_labels, axis=2),
    **training.evaluation.exact_curves(trained.history, *sizes),
  )
