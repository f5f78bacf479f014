"""Settings, result, and the computation."""

import dataclasses
from typing import Any, NamedTuple

import jax
import numpy as np

from hw1_jax import analysis, data, devices, models, pytrees, rng, training
from hw1_jax.loops import Monitor
from hw1_jax.runs.settings import setting

from .. import settings as shared
from . import plane


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(shared.ImageSettings):
  """Settings; the defaults are the long report's."""

  widths: str = shared.mlps("500")
  activation: str = shared.activation()
  loss: str = shared.loss("cross_entropy")
  learning_rate: float = shared.learning_rate(4e-4)
  weight_decay: float = shared.weight_decay(1e-4)
  batch_size: int = shared.batch_size(100, "examples a step; published file")
  num_epochs: int = shared.num_epochs(45)
  snapshot_epochs: int | None = setting(3, "keep the weights after every that many epochs",
                                        minimum=1)  # fmt: skip
  snapshot_steps: int | None = setting(
    None, "keep them after every that many steps of an epoch and at its end instead", minimum=1
  )
  num_runs: int = shared.num_runs(8)
  split_batches: bool = shared.split_batches()

  def __post_init__(self) -> None:
    super().__post_init__()
    given = (self.snapshot_epochs is not None) + (self.snapshot_steps is not None)
    self.require(given == 1, "snapshot_steps", "either this or snapshot_epochs; none is none")
    if self.snapshot_epochs is not None:
      most = self.num_epochs
      self.require(self.snapshot_epochs <= most, "snapshot_epochs", f"at most {most} epochs")


NUM_WEIGHTS = 8  # single weights to follow; our choice: as many lines as can be distinguished


class Result(NamedTuple):
  """M runs, S snapshots a run, E epochs, L layers; projections unit: the weights'."""

  snapshot_epoch: np.ndarray  # [S] int, the epoch that the snapshot ends or lies in, from 1
  snapshot_step: np.ndarray  # [S] int, steps done at the snapshot
  coordinates_model: np.ndarray  # [M, S, 2] float64, PCA of all weights
  coordinates_layer1: np.ndarray  # [M, S, 2] float64, PCA of the first layer's weights and biases
  explained_model: np.ndarray  # [2] fractions of the variance
  explained_layer1: np.ndarray  # [2]
  coordinates_last: np.ndarray  # [M, S, 2] float64, PCA of the last layer's weights, no biases
  explained_last: np.ndarray  # [2]
  last_weights: np.ndarray  # [M, S, 14] float32: of these weights the first 10, and 4 from -10 on
  start_distance: np.ndarray  # [M, M] float64 between the runs' initial weights, 2-norm
  end_distance: np.ndarray  # [M, M] float64 between their last weights
  travelled: np.ndarray  # [M] float64 from initial to last weights
  weight_index: np.ndarray  # [8] int, places in the ravelled parameter vector
  weights: np.ndarray  # [M, S + 1, 8] float32 at the start and at the snapshots
  layer_norm: np.ndarray  # [M, S + 1, L] float64 2-norm of a layer's weights and biases
  train_loss: np.ndarray  # [M, E] nats, running mean over the epoch
  train_accuracy: np.ndarray  # [M, E] in [0, 1], running mean over the epoch
  test_loss: np.ndarray  # [M, E] nats, after the epoch
  test_accuracy: np.ndarray  # [M, E] in [0, 1]
  starts: dict[str, np.ndarray] = {}  # [M, 2] float64, the initial weights in that plane  # noqa: RUF012
  aligned: dict[str, np.ndarray] = {}  # see `plane.Aligned`: units in one order  # noqa: RUF012


HISTORY = ("train_loss", "train_accuracy", "test_loss", "test_accuracy")


def snapshot_times(config: Config, num_examples: int) -> tuple[np.ndarray, np.ndarray]:
  """Returns (epoch [S], steps done [S]) of the snapshots that `training.train_images` keeps."""
  num_steps = -(-num_examples // config.batch_size)  # an epoch
  within = np.array([num_steps])
  epochs = np.arange(1, config.num_epochs + 1)
  if config.snapshot_steps:
    within = np.union1d(np.arange(config.snapshot_steps, num_steps, config.snapshot_steps), within)
  else:
    epochs = epochs[epochs % (config.snapshot_epochs or 1) == 0]
  steps = (epochs[:, None] - 1) * num_steps + within
  return np.repeat(epochs, len(within)), steps.ravel()


def run(config: Config, images: data.ImageData, monitor: Monitor) -> Result:
  """Returns all runs and the projections of their snapshots."""
  model = models.make_mlp(
    config.widths, images.num_classes, images.train_images.shape[1:], activation=config.activation
  )
  task = training.ImageTraining(
    model,
    config.make_optimizer(config.learning_rate, config.weight_decay),
    config.batch_size, config.num_epochs, config.make_loss(),
    snapshot_epochs=config.snapshot_epochs,
    snapshot_steps=config.snapshot_steps,
    split_batches=config.split_batches,
  )  # fmt: skip
  keys = rng.member_keys(config.seed, config.num_runs)
  trained = training.train_images(monitor, "train", task, images, keys)
  start, end = (
    np.asarray(pytrees.ravel_members(tree), np.float64)
    for tree in (trained.initial_params, trained.params)
  )
  snapshots = trained.snapshots
  assert snapshots is not None  # Config sees to it
  epochs, steps = snapshot_times(config, len(images.train_labels))

  sizes = [pytrees.size(layer) // config.num_runs for layer in trained.params.values()]
  borders = np.cumsum([0, *sizes])  # the vector holds layer after layer
  num_runs, num_parameters = start.shape
  choose = devices.jit_draws(
    lambda key: jax.random.choice(
      key, num_parameters, (min(NUM_WEIGHTS, num_parameters),), replace=False
    )
  )
  index = np.sort(choose(rng.stream(jax.random.key(config.seed), "followed weights")))
  flat = snapshots.reshape(-1, num_parameters)
  last = flat[:, borders[-2] + images.num_classes :]  # a layer's biases come first
  cuts = {"model": slice(0, None), "layer1": slice(0, borders[1]),
          "last": slice(borders[-2] + images.num_classes, None)}  # fmt: skip
  planes = {name: analysis.pca(flat[:, cut]) for name, cut in cuts.items()}
  whole, layer1, top = planes.values()
  told: dict[str, Any] = {name: trained.history[name] for name in HISTORY}
  told |= plane.starts_and_order(trained.params, start, snapshots, cuts, planes)
  shown = np.concatenate([last[:, :10], last[:, -10:-6]], axis=1, dtype=np.float32)
  shape = (num_runs, len(steps), 2)
  return Result(
    epochs,
    steps,
    whole.coordinates.reshape(shape),
    layer1.coordinates.reshape(shape),
    whole.explained,
    layer1.explained,
    top.coordinates.reshape(shape),
    top.explained,
    shown.reshape(num_runs, len(steps), -1),
    plane.distances(start),
    plane.distances(end),
    np.linalg.norm(end - start, axis=1),
    index,
    np.concatenate([start[:, None, index], snapshots[:, :, index]], axis=1, dtype=np.float32),
    plane.layer_norms(start, snapshots, borders),
    **told,
  )
