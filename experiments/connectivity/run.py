"""Settings, result, and the computation."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hw1_jax import analysis, data, models, pytrees, rng, training
from hw1_jax.analysis import alignment
from hw1_jax.loops import Monitor
from hw1_jax.runs.settings import setting
from hw1_jax.training import optimizers

from .. import settings as shared
from .curve import train_curves
from .measuring import distances, make_measure, moved_units
from .projection import project


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(shared.ImageSettings):
  """Settings; the defaults are our choice."""

  widths: str = shared.widths("500")
  activation: str = shared.activation()
  learning_rate: float = shared.learning_rate(1e-3)
  batch_size: int = shared.batch_size(200)
  num_epochs: int = shared.num_epochs(10, "epochs of each network, the common ones included")
  common_epochs: tuple[int, ...] = setting(
    (0, 1, 2, 4), "epochs in common before two trainings part, rising", minimum=0, maximum=100_000,
    unique=True,
  )  # fmt: skip
  curve_epochs: int = shared.num_epochs(10, "epochs of training a curve")
  num_alphas: int = setting(25, "points of a path, from 0 to 1", minimum=3, maximum=10_000)
  num_runs: int = shared.num_runs(5, "pairs")

  def __post_init__(self) -> None:
    super().__post_init__()
    common = list(self.common_epochs)
    allowed = common == sorted(common) and common[-1] < self.num_epochs
    self.require(allowed, "common_epochs", f"rising values below num_epochs, {self.num_epochs}")


WAYS = ("straight", "aligned", "curve")
CURVES = ("train_loss", "train_accuracy", "test_loss", "test_accuracy")


class Result(NamedTuple):
  """M pairs, A points of a path, C numbers of common epochs, S snapshots of a training.

  Losses in nats, accuracies in [0, 1], over the whole sets.
  """

  alphas: np.ndarray  # [A] from 0 to 1; the curve's parameter, too
  between: dict[str, np.ndarray]  # 'WAY/CURVE': [M, A]
  parted: dict[str, np.ndarray]  # 'CURVE': [M, C, A] on the line between two that parted
  common_epochs: np.ndarray  # [C] int
  distance: np.ndarray  # [M, 3] 2-norm between a pair's networks: initial, final, final aligned
  parted_distance: np.ndarray  # [M, C] 2-norm between the two that parted, at the end
  moved_units: np.ndarray  # [M] share of the hidden units that alignment moves
  paths: dict[str, np.ndarray]  # 'before', 'after' alignment: [2, S, 2] PCA of pair 1's trainings
  explained: dict[str, np.ndarray]  # 'before', 'after': [2] fractions of the variance


def run(config: Config, images: data.ImageData, monitor: Monitor) -> Result:
  """Returns the three ways between each pair, and the lines between trainings that parted."""
  model = models.MLP((*models.parse_widths(config.widths), images.num_classes), config.activation)
  optimizer = optimizers.make_optimizer(config.optimizer, config.learning_rate)
  keys = rng.member_keys(config.seed, config.num_runs)

  def train(name: str, num_epochs: int, own: jax.Array, start: Any = None) -> Any:
    task = training.ImageTraining(
      model, optimizer, config.batch_size, num_epochs, snapshot_epochs=1
    )
    return training.train_images(monitor, name, task, images, own, initial_params=start)

  one, other = (train(name, config.num_epochs, rng.streams(keys, name)) for name in ("a", "b"))
  pair = jax.device_get((one.params, other.params))
  found = [alignment.match_weights(*pytrees.member(pair, m)) for m in range(config.num_runs)]
  aligned = analysis.surface.stack(*(each.params for each in found))
  control = train_curves(
    monitor, model, optimizer, images, one.params, other.params, rng.streams(keys, "curve"),
    batch_size=config.batch_size, num_epochs=config.curve_epochs,
  )  # fmt: skip

  alphas = np.linspace(0, 1, config.num_alphas)
  measure = make_measure(model, images)
  line = jnp.asarray(alphas, jnp.float32)[:, None]
  curve = analysis.connectivity.bezier_coordinates(line[:, 0])
  between: dict[str, np.ndarray] = {}
  for way, corners, coordinates in (
    ("straight", (one.params, other.params), line),
    ("aligned", (one.params, aligned), line),
    ("curve", (one.params, control, other.params), curve),
  ):
    between |= {f"{way}/{k}": v for k, v in measure(corners, coordinates).items()}

  parted: dict[str, list[np.ndarray]] = {name: [] for name in CURVES}
  apart = []
  unravel = pytrees.unravel_like(pytrees.member(pair[0], 0))
  for count in config.common_epochs:
    start = one.initial_params
    if count:
      start = analysis.surface.stack(*map(unravel, one.snapshots[:, count - 1]))
    children = [
      train(f"{name} after {count}", config.num_epochs - count,
            rng.streams(keys, f"{name} after {count}"), start).params
      for name in ("c", "d")
    ]  # fmt: skip
    for name, values in measure(tuple(children), line).items():
      parted[name].append(values)
    apart.append(distances(*children))
  apart_by_kind = [distances(one.initial_params, other.initial_params),
                   *(distances(one.params, each) for each in (other.params, aligned))]  # fmt: skip
  paths, explained = project(one, other, found[0].permutations)
  return Result(
    alphas,
    between,
    {name: np.stack(values, axis=1) for name, values in parted.items()},
    np.array(config.common_epochs),
    np.stack(apart_by_kind, axis=1),
    np.stack(apart, axis=1),
    np.array([moved_units(each.permutations) for each in found]),
    paths,
    explained,
  )  # fmt: skip
