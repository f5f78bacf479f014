"""Settings, result, and the computation."""

import dataclasses
from typing import Any, NamedTuple

import jax
import numpy as np

from hw1_jax import data, models, pytrees, rng, training
from hw1_jax.loops import Monitor
from hw1_jax.runs.settings import setting

from .. import settings as shared


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(shared.ImageSettings):
  """Settings; all are our choice."""

  widths: tuple[int, ...] = setting(
    (1, 2, 4, 6, 8, 10, 12, 16, 24, 32, 64, 128), "units of the hidden layer, rising", minimum=1,
    maximum=100_000, unique=True,
  )  # fmt: skip
  noise: float = setting(0.2, "fraction of random training labels", minimum=0, maximum=1)
  learning_rate: float = shared.learning_rate(2e-3)
  weight_decay: float = shared.weight_decay(0.0)
  batch_size: int = shared.batch_size(100)
  num_epochs: int = shared.num_epochs(600)
  num_runs: int = shared.num_runs(3, "repetitions, each with its own labels and initial weights")

  def __post_init__(self) -> None:
    super().__post_init__()
    rising = list(self.widths) == sorted(self.widths) and len(self.widths) >= 3
    self.require(rising, "widths", "at least three rising values")


class Result(NamedTuple):
  """W widths, M runs, E epochs; everything exact over the whole sets, after the epoch."""

  widths: np.ndarray  # [W] int
  num_parameters: np.ndarray  # [W] int
  num_outputs: np.ndarray  # [] int: training examples times classes
  train_loss: np.ndarray  # [W, M, E] nats, on the labels trained on
  train_error: np.ndarray  # [W, M, E] in [0, 1], on the labels trained on
  test_loss: np.ndarray  # [W, M, E] nats, on the true labels
  test_error: np.ndarray  # [W, M, E] in [0, 1], on the true labels


def widened(params: Any, width: int) -> Any:
  """Returns one-hidden-layer MLPs, leaves [M, ...], with units added up to `width`, all zero.

  The function is the same and stays so in training: behind a ReLU, whose derivative at 0 is 0, all
  gradients of an added unit are 0. One program can then train networks of every width.
  """
  first, last = params["dense_00"], params["dense_01"]
  more = width - first["bias"].shape[1]
  return {
    "dense_00": {
      "bias": np.pad(first["bias"], ((0, 0), (0, more))),
      "kernel": np.pad(first["kernel"], ((0, 0), (0, 0), (0, more))),
    },
    "dense_01": {**last, "kernel": np.pad(last["kernel"], ((0, 0), (0, more), (0, 0)))},
  }


def run(config: Config, images: data.ImageData, monitor: Monitor) -> Result:
  """Returns all trainings."""
  keys = rng.member_keys(config.seed, config.num_runs)
  labels = data.corrupt_labels_each(
    rng.streams(keys, "labels"), images.train_labels, images.num_classes, config.noise
  )
  shape = (1, *images.train_images.shape[1:])
  networks = [models.MLP((width, images.num_classes)) for width in config.widths]
  starts = [
    widened(
      jax.device_get(models.init_members(model, rng.streams(keys, "init"), shape)),
      config.widths[-1],
    )
    for model in networks
  ]
  task = training.ImageTraining(
    networks[-1],
    config.make_optimizer(config.learning_rate, config.weight_decay),
    config.batch_size,
    config.num_epochs,
    evaluate_train=True,
  )
  sizes = len(config.widths), config.num_runs
  trained = training.train_images(
    monitor, "widths", task, images, pytrees.take(keys, np.tile(np.arange(sizes[1]), sizes[0])),
    train_labels=np.tile(labels, (sizes[0], 1)),
    initial_params=jax.tree.map(lambda *leaves: np.concatenate(leaves), *starts),
  )  # fmt: skip
  return Result(
    widths=np.array(config.widths),
    num_parameters=np.array([models.count_parameters(model, shape) for model in networks]),
    num_outputs=np.asarray(len(images.train_labels) * images.num_classes),
    **training.evaluation.exact_curves(trained.history, *sizes),
  )
