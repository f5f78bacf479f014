"""Settings, result, and the computation."""

import dataclasses
from typing import NamedTuple

import numpy as np
from flax import linen as nn

from hw1_jax import data, models, own, rng, training
from hw1_jax.loops import Monitor
from hw1_jax.runs.settings import setting

from .. import settings as shared


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(shared.ImageSettings):
  """Settings; the defaults are the long report's."""

  fraction: float = setting(1.0, "of the training labels drawn at random", minimum=0, maximum=1)
  model: str = setting(
    "mlp", "of widths, or of architecture", choices=("mlp", "cnn"), pattern=own.NAME
  )
  widths: str = shared.widths("500", "hidden widths, of the MLP")
  architecture: str = shared.architectures("16k4p-32k4p/500")
  loss: str = shared.loss("cross_entropy")
  learning_rate: float = shared.learning_rate(1e-4)
  weight_decay: float = shared.weight_decay(0.0)
  batch_size: int = shared.batch_size(100, "examples a step; published file")
  num_epochs: int = shared.num_epochs(1000)
  num_runs: int = shared.num_runs(3, "repetitions, each with its own labels and initial weights")
  convolution: str = shared.convolution()
  split_batches: bool = shared.split_batches()


MINIBATCH = 501  # whose loss is recorded alone: the one whose loss the report prints at epoch 1000


class Result(NamedTuple):
  """M runs, N training examples, E epochs; losses in nats, accuracies in [0, 1]."""

  num_parameters: np.ndarray  # [] int
  random_labels: np.ndarray  # [M, N] uint8 (uint16 from 257 classes on), what each run trained on
  agreement: np.ndarray  # [M] fraction of the random labels that are the true ones
  train_loss: np.ndarray  # [M, E] on the random labels, running mean over the epoch
  train_accuracy: np.ndarray  # [M, E] on the random labels, running mean over the epoch
  test_loss: np.ndarray  # [M, E] on the true labels, exact, after the epoch
  test_accuracy: np.ndarray  # [M, E] on the true labels, exact, after the epoch
  exact_train_loss: np.ndarray  # [M] on the random labels, after the last epoch
  exact_train_accuracy: np.ndarray  # [M] on the random labels, after the last epoch
  minibatch_loss: (
    np.ndarray
  )  # [M, E] of minibatch MINIBATCH alone, or the last one; before its update
  num_classes: np.ndarray  # [] int


def make_model(config: Config, images: data.ImageData) -> nn.Module:
  """Returns the network that `model` chooses."""
  sizes = images.num_classes, images.train_images.shape[1:]
  if config.model == "cnn":
    return models.make_cnn(config.architecture, *sizes, convolution=config.convolution)
  return models.make_mlp(config.widths if config.model == "mlp" else config.model, *sizes)


def run(config: Config, images: data.ImageData, monitor: Monitor) -> Result:
  """Returns all trainings, each on its own random labels."""
  keys = rng.member_keys(config.seed, config.num_runs)
  labels = data.corrupt_labels_each(
    rng.streams(keys, "labels"), images.train_labels, images.num_classes, config.fraction
  )
  model = make_model(config, images)
  optimizer = config.make_optimizer(config.learning_rate, config.weight_decay)
  task = training.ImageTraining(
    model,
    optimizer,
    config.batch_size,
    config.num_epochs,
    config.make_loss(),
    split_batches=config.split_batches,
    minibatch=MINIBATCH,
  )
  trained = training.train_images(monitor, "random labels", task, images, keys, train_labels=labels)
  evaluate = training.map_evaluate(model, task.loss)
  exact = evaluate(images.train_images, labels, trained.params)
  shape = (1, *images.train_images.shape[1:])
  return Result(
    num_parameters=np.asarray(models.count_parameters(model, shape)),
    num_classes=np.asarray(images.num_classes),
    random_labels=labels.astype(np.min_scalar_type(images.num_classes - 1)),
    agreement=np.mean(labels == images.train_labels, axis=1),
    exact_train_loss=np.asarray(exact["loss"]),
    exact_train_accuracy=np.asarray(exact["accuracy"]),
    **trained.history,
  )
