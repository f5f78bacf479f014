"""1.1.2 Train on actual tasks: do CNNs of equal size and different depth learn images equally well?

Convolutional networks of about 25,550 parameters are trained on MNIST, or on another image set.

    F=experiments/flags/long_report
    python -m experiments.train_on_task --flagfile=$F/train_on_task.flags

Source: assignment 1-1, "train on actual tasks"; long report 1.1.2 and its notebook, short report.
Cost: 3.4 minutes on 2 CPU cores with the long report's settings and 3 runs.
"""

import dataclasses
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from hw1_jax import data, models, rng, training
from hw1_jax.loops import Monitor
from hw1_jax.report import figures
from hw1_jax.runs.experiment import Experiment
from hw1_jax.runs.main import main
from hw1_jax.runs.settings import REPORT, SPLIT_BATCHES, Settings, setting
from hw1_jax.summary import Claim, Number, Summary, at_end, claim, spread
from hw1_jax.training import optimizers


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
  """Settings; the defaults are the long report's."""

  dataset: str = setting("mnist", "the image set", choices=data.IMAGE_SETS)
  train_examples: int | None = setting(None, "train on the first so many; none: all", minimum=1)
  test_examples: int | None = setting(None, "test on the first so many; none: all", minimum=1)
  architectures: tuple[str, ...] = setting(
    ("10k4p-20k4p/50d-100", "10k4p-20k4p/50-50-40-30", "18k4p-22k4p/52"),
    "the CNNs; 10k4p is 10 channels, kernel 4, pooling; 50d is 50 units, dropout",
    pattern=models.CONVOLUTIONS,
    unique=True,
  )
  dropout_rate: float = setting(0.25, "of the layers marked d", minimum=0, below=1)
  optimizer: str = setting("adam", "PyTorch's", choices=optimizers.NAMES)
  learning_rate: float = setting(1e-4, "as reported; notebook 1e-3", above=0, maximum=100)
  weight_decay: float = setting(1e-4, "L2 term added to the gradient", minimum=0, maximum=100)
  batch_size: int = setting(600, "notebook", minimum=1, maximum=1_000_000)
  num_epochs: int = setting(15, "epochs", minimum=1, maximum=1_000_000)
  num_runs: int = setting(3, "repetitions, each with its own seed", minimum=1, maximum=10_000)
  convolution: str = setting(
    "auto", "their form; auto: matmul on CPU, lax elsewhere", choices=models.CONVOLUTION_FORMS
  )
  split_batches: bool = SPLIT_BATCHES
  report: str = REPORT

  def __post_init__(self) -> None:
    super().__post_init__()
    for spec in self.architectures:
      size = models.smallest_image(models.parse_cnn(spec))
      self.require(
        size <= data.IMAGE_SIZE,
        "architectures",
        f"convolutions for images of {data.IMAGE_SIZE} x {data.IMAGE_SIZE}; {spec} needs at least "
        f"{size} x {size}, so use fewer layers, smaller kernels or less pooling",
      )


# What is measured at the end of training: words and unit, by field of Result.
MEASURED = {
  "train_accuracy": ("training accuracy, running", "%"),
  "exact_train_accuracy": ("training accuracy, exact", "%"),
  "test_accuracy": ("test accuracy", "%"),
  "train_loss": ("training loss, running", "nats"),
  "exact_train_loss": ("training loss, exact", "nats"),
  "test_loss": ("test loss", "nats"),
}

# The same at the end of the reports' trainings on MNIST, one a model, and the parameter counts.
# Source: the reports' sections 1.1.2.
REPORTED: dict[str, dict[str, tuple[float, ...]]] = {
  "long": {
    "num_parameters": (25_550, 25_570, 25_550),
    "train_accuracy": (98.045, 97.825, 98.898),
    "train_loss": (0.0744, 0.0880, 0.0242),
    "test_accuracy": (98.66, 97.9, 98.8),
  },
  "short": {"test_accuracy": (98.71, 98.03, 98.81)},
}


class Result(NamedTuple):
  """K models, M runs, E epochs; losses in nats, accuracies in [0, 1]."""

  num_parameters: np.ndarray  # [K] int
  train_loss: np.ndarray  # [K, M, E] running mean over the epoch, with dropout
  train_accuracy: np.ndarray  # [K, M, E] running mean over the epoch, with dropout
  test_loss: np.ndarray  # [K, M, E] exact, after the epoch
  test_accuracy: np.ndarray  # [K, M, E] exact, after the epoch
  exact_train_loss: np.ndarray  # [K, M] after the last epoch, without dropout
  exact_train_accuracy: np.ndarray  # [K, M] after the last epoch, without dropout


def run(config: Config, images: data.ImageData, monitor: Monitor) -> Result:
  """Returns all trainings; run m of every model has the same random streams."""
  keys = rng.member_keys(config.seed, config.num_runs)
  optimizer = optimizers.make_optimizer(config.optimizer, config.learning_rate, config.weight_decay)
  family = {
    f"model_{i + 1}": models.parse_cnn(
      spec,
      num_classes=images.num_classes,
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
    split_batches=config.split_batches,
  )
  return Result(**found)


def names_of(config: Config) -> list[str]:
  """Returns the reports' names of the models: CNN-1, CNN-2, ..."""
  return [f"CNN-{i + 1}" for i in range(len(config.architectures))]


def reported(config: Config, field: str, i: int) -> float | None:
  """Returns the report's number for model i; None where it prints none."""
  values = REPORTED[config.report].get(field, ())
  return values[i] if i < len(values) else None


def said(config: Config, result: Result, field: str) -> str:
  """Returns 'CNN-1 98.6 (98.5 to 98.7); ...': a quantity at the end, of every model."""
  digits = 4 if field.endswith("accuracy") else 3
  parts = zip(names_of(config), at_end(result, field))
  return "; ".join(f"{name} {spread(values, digits)}" for name, values in parts)


def summarize(config: Config, result: Result) -> Summary:
  """Returns losses and accuracies at the end beside the reported ones, and the claims."""
  elsewhere = "" if config.dataset == "mnist" else "reported on MNIST"
  numbers, ends, epochs = [], [], []
  for i, (name, spec) in enumerate(zip(names_of(config), config.architectures)):
    count = int(result.num_parameters[i])
    numbers.append(
      Number(f"{name}: parameters", (count,), "", reported(config, "num_parameters", i), spec)
    )
    for field, (words, unit) in MEASURED.items():
      told = reported(config, field, i)
      note = "" if told is None else elsewhere
      numbers.append(Number(f"{name}: {words}", tuple(at_end(result, field)[i]), unit, told, note))
    for m in range(config.num_runs):
      who = {"model": name, "architecture": spec, "run": m}
      final = {field: float(at_end(result, field)[i, m]) for field in MEASURED}
      ends.append({**who, "parameters": count, **final})
      epochs += [
        {**who, "epoch": e + 1, **{field: float(getattr(result, field)[i, m, e])
                                   for field in Result._fields[1:5]}}
        for e in range(config.num_epochs)
      ]  # fmt: skip
  after = f"after epoch {config.num_epochs} on {config.dataset}"
  accuracy = said(config, result, "test_accuracy")
  findings = (
    f"Test accuracy {after}, in %: {accuracy}.",
    f"Training loss {after}, exact and without dropout: "
    f"{said(config, result, 'exact_train_loss')}.",
    rank_models(config, result),
    compare_means(config, result),
    *compare_reported(config, result),
  )
  captions = {
    "training_loss": "Running training loss, median and range over runs; "
    f"{after}: {said(config, result, 'train_loss')}.",
    "training_accuracy": "Running training accuracy, median and range over runs; "
    f"{after}, in %: {said(config, result, 'train_accuracy')}.",
    "test_accuracy": f"Test accuracy {after}, in %, one point a run: {accuracy}.",
  }
  claims = tuple(judge_claims(config, result))
  return Summary(
    tuple(numbers), claims, findings, captions, {"test_accuracy": ends, "epochs": epochs}
  )


def rank_models(config: Config, result: Result) -> str:
  """Returns how often each model has the highest test accuracy, and how far medians lie apart."""
  test = at_end(result, "test_accuracy")
  wins = np.bincount(test.argmax(axis=0), minlength=len(test))
  medians = np.median(test, axis=1)
  won = ", ".join(f"{name} in {count}" for name, count in zip(names_of(config), wins))
  return (
    f"The highest test accuracy of {test.shape[1]} runs is that of {won}; the models' medians lie "
    f"within {np.ptp(medians):.2f} points."
  )


def compare_means(config: Config, result: Result) -> str:
  """Returns by how much the running training loss exceeds the exact one."""
  excess = at_end(result, "train_loss") / at_end(result, "exact_train_loss") - 1
  parts = (f"{name} {spread(100 * e)} %" for name, e in zip(names_of(config), excess))
  return (
    "The running training loss, the mean over an epoch in which the weights move and dropout is "
    f"on, exceeds the exact one by: {'; '.join(parts)}."
  )


def compare_reported(config: Config, result: Result) -> list[str]:
  """Returns how far our median test accuracies are from the reported ones; [] without these."""
  if config.dataset != "mnist":
    return []
  medians = np.median(at_end(result, "test_accuracy"), axis=1)
  told = [reported(config, "test_accuracy", i) for i in range(len(medians))]
  parts = [
    f"{name} {ours - theirs:+.2f}"
    for name, ours, theirs in zip(names_of(config), medians, told)
    if theirs is not None
  ]
  if not parts:
    return []
  return [f"Our median test accuracy minus the reported one, in points: {', '.join(parts)}."]


def judge_claims(config: Config, result: Result) -> list[Claim]:
  """Returns the report's claim, judged run by run; none unless there are three models."""
  if len(config.architectures) != 3:
    return []
  test = at_end(result, "test_accuracy")
  tested = f"Test accuracy in %: {said(config, result, 'test_accuracy')}."
  if config.report == "short":
    return [
      claim(
        "S-1.1.2",
        "CNN-3 has the highest, CNN-2 the lowest accuracy (our reading: on the test set).",
        (test[2] > test[0]) & (test[0] > test[1]),
        tested,
      )
    ]

  def third_best(prefix: str) -> np.ndarray:  # [M] bool
    loss, accuracy = (at_end(result, f"{prefix}_{name}") for name in ("loss", "accuracy"))
    best_loss = loss[2] < loss[:2].min(axis=0)
    return best_loss & (accuracy[2] > accuracy[:2].max(axis=0)) & (test[2] > test[:2].max(axis=0))

  return [
    claim(
      "L-1.1.2",
      "CNN-3, with a single dense layer, has the lowest training loss and the highest training "
      "and test accuracy (our reading: measured after the last epoch, without dropout).",
      third_best("exact_train"),
      f"Training loss: {said(config, result, 'exact_train_loss')}. "
      f"Training accuracy in %: {said(config, result, 'exact_train_accuracy')}. {tested} "
      "With the running means of the last epoch, which dropout raises and which the report "
      f"prints, it is true in {int(third_best('train').sum())} of {config.num_runs} runs.",
    )
  ]


def draw(config: Config, result: Result) -> dict[str, Figure]:
  """Returns training loss and accuracy over epochs, and the test accuracies."""
  drawn = {}
  names = names_of(config)
  elsewhere = "reported" if config.dataset == "mnist" else "reported on MNIST"
  epochs = np.arange(1, config.num_epochs + 1)
  for figure_name, field, factor, axis in (
    ("training_loss", "train_loss", 1, "training loss, running mean (nats)"),
    ("training_accuracy", "train_accuracy", 100, "training accuracy, running mean (%)"),
  ):
    figure, (ax,) = figures.canvas()
    for i, spec in enumerate(config.architectures):
      values = factor * getattr(result, field)[i]
      figures.curves(ax, epochs, values, f"{names[i]} ({spec})", i, points=True)
    for i, name in enumerate(names):  # after the curves: the second column of the legend
      told = reported(config, field, i)
      if told is not None:
        figures.reported_line(ax, told, f"{name}: {elsewhere}, at the end", i)
    figures.label(ax, "epoch", axis, config.dataset, yscale="log" if factor == 1 else "linear")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    drawn[figure_name] = figures.legend(figure, columns=2)

  figure, (ax,) = figures.canvas()
  for i, values in enumerate(at_end(result, "test_accuracy")):
    x = i + np.linspace(-0.15, 0.15, len(values) + 2)[1:-1]  # in order, so that none hides another
    ax.plot(x, values, linestyle="none", markersize=6, alpha=0.8, **figures.marker(i))
    told = reported(config, "test_accuracy", i)
    if told is not None:
      figures.reported(ax, i + 0.3, told, elsewhere)
  figures.label(ax, "", "test accuracy (%)", f"{config.dataset}: a filled point is a run")
  labels = zip(names, config.architectures, result.num_parameters)
  ticks = [f"{name}\n{spec}\n{int(count):,} parameters" for name, spec, count in labels]
  ax.set_xticks(range(len(names)), ticks, fontsize=8)
  ax.set_xlim(-0.5, len(names) - 0.5)
  drawn["test_accuracy"] = figures.legend(figure)
  return drawn


EXPERIMENT = Experiment("train_on_task", __doc__, Config, Result, run, summarize, draw)

if __name__ == "__main__":
  main(EXPERIMENT)
