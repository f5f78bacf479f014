"""Settings, result, and the computation."""

import dataclasses
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from hw1_jax import analysis, data, devices, models, pytrees, rng, training
from hw1_jax.loops import Monitor
from hw1_jax.runs.settings import setting

from .. import settings as shared
from .retraining import CURVES, RUNNING, make_task, padded, retrain


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(shared.ImageSettings):
  """Settings; the defaults are the long report's.

  Four trainings: pair A's two, then pair B's two. A flag of one value holds for all of them.
  """

  widths: str = shared.mlps("500")
  activation: str = shared.activation()
  loss: str = shared.loss("cross_entropy")
  batch_size: tuple[int, ...] = shared.batch_size(
    (64, 1000, 64, 64), "examples a step: of pair A's two trainings, then of pair B's"
  )
  learning_rate: tuple[float, ...] = shared.learning_rate(
    (1.5e-3, 1.5e-3, 1e-3, 1e-2), "step size, likewise"
  )
  weight_decay: tuple[float, ...] = shared.weight_decay(
    (1e-4, 1e-4, 0.0, 0.0), "L2 term added to the gradient, likewise"
  )
  num_epochs: tuple[int, ...] = shared.num_epochs((15, 15, 15, 15), "epochs, likewise")
  independent_start: bool = setting(
    False, "beside the pair, which shares its start: its second training from a start of its own"
  )
  alpha_min: float = setting(-2.0, "smallest alpha", minimum=-1000, maximum=1000)
  alpha_max: float = setting(2.0, "largest alpha", minimum=-1000, maximum=1000)
  num_alphas: int = setting(31, "evenly spaced values of alpha", minimum=2, maximum=100_000)
  retrain_epochs: int = setting(
    0, "also train each interpolated model on for so many epochs", minimum=0, maximum=1000
  )
  retrain_batch_size: tuple[int, ...] = shared.batch_size((100, 100), "for pair A and pair B")
  retrain_learning_rate: tuple[float, ...] = shared.learning_rate(
    (4e-4, 1e-3), "for pair A and pair B"
  )
  retrain_weight_decay: tuple[float, ...] = shared.weight_decay(
    (1e-4, 0.0), "for pair A and pair B"
  )
  num_runs: int = shared.num_runs(3)

  def __post_init__(self) -> None:
    super().__post_init__()
    self.require(self.alpha_min < self.alpha_max, "alpha_min", f"below {self.alpha_max:g}")
    for prefix, names, count in (
      ("", ("batch_size", "learning_rate", "weight_decay", "num_epochs"), 4),
      ("retrain_", ("batch_size", "learning_rate", "weight_decay"), 2),
    ):
      for name in names:
        length = len(getattr(self, prefix + name))
        self.require(length in (1, count), prefix + name, f"1 or {count} values")

  def value(self, name: str, index: int) -> Any:
    """Returns the value of a flag for a training or a pair, by index."""
    values = getattr(self, name)
    return values[index] if len(values) > 1 else values[0]


PAIRS = ("batch", "learning_rate")
INDEPENDENT = "_independent"  # behind a pair's name: its second training started on its own


class Result(NamedTuple):
  """Keys of the dicts: 'PAIR' or 'PAIR/CURVE'; M runs, P parameters, A alphas, E epochs.

  Losses in nats, or the unit of your own loss; accuracies in [0, 1], means over the whole set.
  """

  alphas: np.ndarray  # [A] float64
  num_test: np.ndarray  # [] int, test examples
  start_params: dict[str, np.ndarray]  # 'PAIR': [M, P] float32, theta_1, at alpha 0
  end_params: dict[str, np.ndarray]  # 'PAIR': [M, P] float32, theta_2, at alpha 1
  evaluated: dict[str, np.ndarray]  # 'PAIR/CURVE': [M, A] float32
  ends: dict[str, np.ndarray]  # 'PAIR/CURVE': [M, 2], the two models themselves
  pair_train_loss: dict[str, np.ndarray]  # 'PAIR': [M, 2, E] running means; NaN: not so long
  retrained: dict[str, np.ndarray] = {}  # 'PAIR/CURVE': [M, A]; absent without retraining  # noqa: RUF012


def run(config: Config, images: data.ImageData, monitor: Monitor) -> Result:
  """Returns the four trainings and the curves between the two of a pair."""
  model = models.make_mlp(
    config.widths, images.num_classes, images.train_images.shape[1:], activation=config.activation
  )
  alphas = np.linspace(config.alpha_min, config.alpha_max, config.num_alphas)
  keys = rng.member_keys(config.seed, config.num_runs)
  sets = {
    "train": (jnp.asarray(images.train_images), jnp.asarray(images.train_labels)),
    "test": (jnp.asarray(images.test_images), jnp.asarray(images.test_labels)),
  }
  along = devices.map_members(
    lambda images, labels, alphas, start, end: measure(images, labels, start, end, alphas),
    num_shared=3,
  )
  measure = analysis.make_interpolate(model, loss=config.make_loss())
  # The two models themselves are measured, too: the grid need not hold 0 and 1.
  points = jnp.asarray([*alphas, 0.0, 1.0], jnp.float32)

  def train(pair: str, index: int, *, alone: bool = False) -> tuple[Any, np.ndarray]:
    task = make_task(config, model, index, "", config.value("num_epochs", index))
    # One key for both: the members share initial weights and shuffles, as the author's seeds do.
    own = rng.streams(keys, f"{pair} {index % 2 + 1}") if alone else rng.streams(keys, pair)
    name = f"{pair} {index % 2 + 1}{', own start' if alone else ''}"
    trained = training.train_images(monitor, name, task, images, own)
    return trained.params, trained.history["train_loss"]

  result: dict[str, dict[str, np.ndarray]] = {name: {} for name in Result._fields[2:]}

  def evaluate(key: str, start: Any, end: Any) -> None:
    result["start_params"][key] = np.asarray(pytrees.ravel_members(start))
    result["end_params"][key] = np.asarray(pytrees.ravel_members(end))
    for name, (inputs, labels) in sets.items():
      for quantity, curve in along(inputs, labels, points, start, end).items():
        result["evaluated"][f"{key}/{name}_{quantity}"] = np.asarray(curve)[:, :-2]
        result["ends"][f"{key}/{name}_{quantity}"] = np.asarray(curve)[:, -2:]

  for i, pair in enumerate(PAIRS):
    (start, first_loss), (end, second_loss) = train(pair, 2 * i), train(pair, 2 * i + 1)
    result["pair_train_loss"][pair] = padded(first_loss, second_loss)
    evaluate(pair, start, end)
    if config.independent_start:
      evaluate(pair + INDEPENDENT, start, train(pair, 2 * i + 1, alone=True)[0])
    if config.retrain_epochs:
      # A map keeps the curves only; the state of a loop over all of these models would be 1 GB.
      task = make_task(config, model, i, "retrain_", config.retrain_epochs)
      curves = monitor.map(
        f"{pair}: train on",
        lambda runs, task=task, start=start, end=end: retrain(  # type: ignore[misc]
          task, images, int(runs[0]), keys, alphas, start, end
        ),
        config.num_runs,
      )
      result["retrained"] |= {f"{pair}/{name}": curves[name] for name in (*CURVES, *RUNNING)}
  return Result(alphas, np.asarray(len(images.test_labels)), **result)
