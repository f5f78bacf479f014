"""Settings, result, and the computation."""

import dataclasses
import functools
import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from hw1_jax import analysis, data, models, pytrees, rng, training
from hw1_jax.loops import Monitor
from hw1_jax.runs.settings import setting

from .. import settings as shared
from .equal_loss import train_to
from .measures import BOUND_SAMPLES, NAMES, map_measure


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(shared.ImageSettings):
  """Settings; all are our choice."""

  activation: str = setting("relu", "between layers; the audit needs relu", choices=("relu",))
  widths: tuple[int, ...] = setting((50, 200), "units of a hidden layer", minimum=2, unique=True)
  depths: tuple[int, ...] = setting((1, 2), "hidden layers", minimum=1, maximum=8, unique=True)
  batch_sizes: tuple[int, ...] = setting((32, 256), "examples a step", minimum=1, unique=True)
  learning_rates: tuple[float, ...] = setting((5e-4, 2e-3), "Adam's", above=0, unique=True)
  noises: tuple[float, ...] = setting(
    (0.0, 0.1, 0.2), "fractions of random training labels", minimum=0, maximum=1, unique=True
  )
  target_loss: float = setting(0.1, "training loss at which every training ends, nats", above=0)
  max_epochs: int = shared.num_epochs(200, "a training that needs more is left out")
  factors: tuple[float, ...] = setting(
    (0.25, 4.0, 16.0), "of the first layer in the audit", above=0, unique=True
  )
  num_runs: int = shared.num_runs(1)


class Result(NamedTuple):
  """n networks, h = 5 settings, A audited ones (of the first architecture), F factors."""

  settings: np.ndarray  # [n, h] float64: batch size, learning rate, width, depth, label noise
  run: np.ndarray  # [n] int: which repetition, from 0
  epochs: np.ndarray  # [n] float64: epochs trained, the last one in part
  reached: np.ndarray  # [n] bool: the target loss was reached
  train_loss: np.ndarray  # [n] float32 nats, on the labels trained on
  train_error: np.ndarray  # [n] float32 in [0, 1], on the labels trained on
  test_loss: np.ndarray  # [n] float32 nats, true labels
  test_error: np.ndarray  # [n] float32 in [0, 1], true labels
  measures: dict[str, np.ndarray]  # each [n] float32, see measures.py
  audit: dict[str, np.ndarray]  # each [A, F] float32: over the value before rescaling
  factors: np.ndarray  # [F] float64


def settings_of(config: Config) -> list[tuple[float, float, int]]:
  """Returns (learning rate, label noise, repetition) of the members that train side by side."""
  return list(itertools.product(config.learning_rates, config.noises, range(config.num_runs)))


def run(config: Config, images: data.ImageData, monitor: Monitor) -> Result:
  """Returns all networks, their gaps and measures, and the audit."""
  keys = rng.member_keys(config.seed, config.num_runs)
  members = settings_of(config)
  repetition = np.array([run for _, _, run in members])
  own_keys = pytrees.take(keys, repetition)
  streams = rng.streams(keys, "labels")
  drawn = {
    noise: data.corrupt_labels_each(streams, images.train_labels, images.num_classes, noise)
    for noise in config.noises
  }
  labels = np.stack([drawn[noise][run] for _, noise, run in members])
  train_set = jax.device_put((images.train_images, labels))
  test_set = (images.test_images, np.tile(images.test_labels, (len(members), 1)))
  shape = (1, *images.train_images.shape[1:])
  parts: list[dict[str, np.ndarray]] = []
  audit: dict[str, np.ndarray] = {}
  for width, depth in itertools.product(config.widths, config.depths):
    model = models.MLP((width,) * depth + (images.num_classes,), config.activation)
    initial = models.init_members(model, rng.streams(own_keys, "init"), shape)
    measure, evaluate = map_measure(model), training.map_evaluate(model)
    for batch_size in config.batch_sizes:
      name = f"width {width}, depth {depth}, batch {batch_size}"
      trained = train_to(
        monitor, name, model, batch_size, train_set, np.array([m[0] for m in members]),
        own_keys, initial, target=config.target_loss, max_epochs=config.max_epochs,
      )  # fmt: skip

      def measure_all(_: np.ndarray, params: Any = trained.params, measure: Any = measure,
                      initial: Any = initial) -> dict[str, np.ndarray]:  # fmt: skip
        return with_bound(config, measure(*train_set, params, initial, own_keys), images)

      count = len(members)
      found = monitor.map(f"measures, {name}", measure_all, count, batch_size=count)
      if not parts:
        audit = make_audit(config, monitor, measure_all, trained.params, found)
      train, test = evaluate(*train_set, trained.params), evaluate(*test_set, trained.params)
      table = [(batch_size, rate, width, depth, noise) for rate, noise, _ in members]
      parts.append(
        {"settings": np.array(table, float), "run": repetition, "epochs": trained.epochs,
         "reached": trained.reached, "train_loss": np.asarray(train["loss"]),
         "train_error": 1 - np.asarray(train["accuracy"]), "test_loss": np.asarray(test["loss"]),
         "test_error": 1 - np.asarray(test["accuracy"]), **found}
      )  # fmt: skip
  joined = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
  measures = {name: joined.pop(name) for name in NAMES}
  return Result(**joined, measures=measures, audit=audit, factors=np.array(config.factors))


def with_bound(config: Config, found: Any, images: data.ImageData) -> dict[str, np.ndarray]:
  """Returns the measures with the PAC-Bayes bound in the place of what makes it."""
  found = {key: np.asarray(value) for key, value in found.items()}
  errors = found.pop("errors")
  bounds = [
    analysis.pac_bayes_bound(
      row, float(distance), len(images.train_labels), num_samples=BOUND_SAMPLES
    ).bound
    for row, distance in zip(errors, found["distance"])
  ]
  return {**{name: found[name] for name in NAMES if name != "pac_bayes"},
          "pac_bayes": np.array(bounds, np.float32)}  # fmt: skip


rescale = jax.jit(jax.vmap(analysis.rescale_layers, in_axes=(0, None)))


def make_audit(
  config: Config, monitor: Monitor, measure_all: Callable[..., dict[str, np.ndarray]], params: Any,
  before: dict[str, np.ndarray],
) -> dict[str, np.ndarray]:  # fmt: skip
  """Returns each measure after rescaling layer 1 over (for logarithms: less) before, [A, F]."""
  columns = []
  for factor in config.factors:
    scaled = rescale(params, factor)
    again = functools.partial(measure_all, params=scaled)
    count = len(before["trace"])
    found = monitor.map(f"audit, factor {factor:g}", again, count, batch_size=count)
    with np.errstate(invalid="ignore", divide="ignore"):  # a dead network's 0 / 0 is not a number
      columns.append(
        {k: np.exp(found[k] - before[k]) if NAMES[k].startswith("log") else found[k] / before[k]
         for k in NAMES}  # not in the order of `found`, which a resumed run has otherwise
      )  # fmt: skip
  return {key: np.stack([column[key] for column in columns], axis=1) for key in columns[0]}
