"""1.3.2 Number of parameters vs. generalization: what do more parameters do to train and test?

Ten networks of one family and growing width are trained alike on MNIST, or on another image set.

    F=experiments/flags/long_report
    python -m experiments.parameter_count --flagfile=$F/parameter_count.flags

Source: assignment 1-3, "number of parameters vs. generalization"; long report 1.3.2, short report.
Cost: 4 minutes on 2 CPU cores with the long report's settings and 3 runs.
"""

import dataclasses
from typing import NamedTuple

import numpy as np
from flax import linen as nn
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from hw1_jax import data, models, rng, training
from hw1_jax.loops import Monitor
from hw1_jax.report import figures
from hw1_jax.runs.experiment import Experiment
from hw1_jax.runs.main import main
from hw1_jax.runs.settings import REPORT, SPLIT_BATCHES, Settings, setting
from hw1_jax.summary import Claim, Number, Summary, at_end, claim, rank_correlation, spread
from hw1_jax.training import optimizers


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
  """Settings; the defaults are the long report's."""

  dataset: str = setting("mnist", "the image set", choices=data.IMAGE_SETS)
  train_examples: int | None = setting(None, "train on the first so many; none: all", minimum=1)
  test_examples: int | None = setting(None, "test on the first so many; none: all", minimum=1)
  family: str = setting("mlp", "--widths or --architectures", choices=("mlp", "cnn"))
  widths: tuple[str, ...] = setting(
    ("50", "100", "250", "500", "550", "750", "1000", "1050", "1500", "2000"),
    "the MLPs",
    pattern=models.WIDTHS,
    unique=True,
  )
  # Channels c and 2 c, dense layer 5 c: 926 to 78,290 parameters. Our choice, as the short report
  # gives no sizes; the range of 1.1.2's CNNs and around it.
  architectures: tuple[str, ...] = setting(
    tuple(f"{c}k4p-{2 * c}k4p/{5 * c}" for c in (2, 3, 4, 5, 6, 8, 10, 12, 16, 20)),
    "the CNNs",
    pattern=models.CONVOLUTIONS,
    unique=True,
  )
  optimizer: str = setting("adam", "PyTorch's", choices=optimizers.NAMES)
  learning_rate: float = setting(1e-4, "as reported; notebook 1e-3", above=0, maximum=100)
  weight_decay: float = setting(0.0, "L2 term added to the gradient", minimum=0, maximum=100)
  batch_size: int = setting(600, "notebook", minimum=1, maximum=1_000_000)
  num_epochs: int = setting(10, "epochs; notebook", minimum=1, maximum=1_000_000)
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

  @property
  def specs(self) -> tuple[str, ...]:
    """The models of the chosen family, as their flag writes them."""
    return self.widths if self.family == "mlp" else self.architectures


# By width, on MNIST: running training accuracy of the last epoch in %, test accuracy in %, test
# loss. Source: the notebook of the long report's section 1.3.2.
REPORTED = {
  "50": (95.585, 95.23, 0.1608),
  "100": (96.748, 96.44, 0.1240),
  "250": (98.023, 97.25, 0.0886),
  "500": (98.773, 97.62, 0.0744),
  "550": (98.838, 97.72, 0.0708),
  "750": (99.045, 97.98, 0.0663),
  "1000": (99.293, 97.97, 0.0630),
  "1050": (99.358, 97.82, 0.0650),
  "1500": (99.523, 98.13, 0.0600),
  "2000": (99.658, 98.16, 0.0583),
}
REPORTED_FIELDS = ("train_accuracy", "test_accuracy", "test_loss")

# What is measured at the end of training: words and unit, by field of Result.
MEASURED = {
  "train_accuracy": ("training accuracy, running", "%"),
  "exact_train_accuracy": ("training accuracy, exact", "%"),
  "test_accuracy": ("test accuracy", "%"),
  "train_loss": ("training loss, running", "nats"),
  "exact_train_loss": ("training loss, exact", "nats"),
  "test_loss": ("test loss", "nats"),
}

RANKED = 0.9  # our reading of "more gives more": rank correlation over the models, at least
MOST = 0.9  # our reading of "levels off": this part of the whole improvement has been made


class Result(NamedTuple):
  """W models, M runs, E epochs; losses in nats, accuracies in [0, 1]."""

  num_parameters: np.ndarray  # [W] int
  train_loss: np.ndarray  # [W, M, E] running mean over the epoch
  train_accuracy: np.ndarray  # [W, M, E] running mean over the epoch
  test_loss: np.ndarray  # [W, M, E] exact, after the epoch
  test_accuracy: np.ndarray  # [W, M, E] exact, after the epoch
  exact_train_loss: np.ndarray  # [W, M] after the last epoch
  exact_train_accuracy: np.ndarray  # [W, M] after the last epoch


def make_model(config: Config, spec: str, num_classes: int) -> nn.Module:
  """Returns a model of the chosen family."""
  if config.family == "cnn":
    return models.parse_cnn(spec, num_classes=num_classes, convolution=config.convolution)
  return models.MLP((*models.parse_widths(spec), num_classes))


def run(config: Config, images: data.ImageData, monitor: Monitor) -> Result:
  """Returns all trainings; run m of every model has the same random streams."""
  keys = rng.member_keys(config.seed, config.num_runs)
  optimizer = optimizers.make_optimizer(config.optimizer, config.learning_rate, config.weight_decay)
  family = {
    f"{config.family} {spec}": make_model(config, spec, images.num_classes) for spec in config.specs
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


def reported(config: Config, field: str, spec: str) -> float | None:
  """Returns the report's number for a model; None where it prints none."""
  if config.report != "long" or config.family != "mlp" or field not in REPORTED_FIELDS:
    return None
  return REPORTED[spec][REPORTED_FIELDS.index(field)] if spec in REPORTED else None


def summarize(config: Config, result: Result) -> Summary:
  """Returns losses and accuracies at the end beside the reported ones, and the claims."""
  elsewhere = "" if config.dataset == "mnist" else "reported on MNIST"
  numbers, rows = [], []
  for i, (spec, count) in enumerate(zip(config.specs, result.num_parameters)):
    for field, (words, unit) in MEASURED.items():
      told = reported(config, field, spec)
      note = "" if told is None else elsewhere
      name = f"{config.family} {spec}, {int(count):,} parameters: {words}"
      numbers.append(Number(name, tuple(at_end(result, field)[i]), unit, told, note))
    rows += [
      {"family": config.family, "model": spec, "parameters": int(count), "run": m,
       **{field: float(at_end(result, field)[i, m]) for field in MEASURED}}
      for m in range(config.num_runs)
    ]  # fmt: skip
  few, many = np.argmin(result.num_parameters), np.argmax(result.num_parameters)
  sizes = f"from {result.num_parameters[few]:,} to {result.num_parameters[many]:,} parameters"

  def change(kind: str) -> str:
    digits = 4 if kind == "accuracy" else 3
    parts = []
    for field, words in ((f"exact_train_{kind}", "training"), (f"test_{kind}", "test")):
      values = at_end(result, field)
      parts.append(
        f"{words} {kind} goes from {spread(values[few], digits)} to {spread(values[many], digits)}"
      )
    return ", ".join(parts)

  after = f"after epoch {config.num_epochs} on {config.dataset}"
  findings = [
    f"{after[0].upper()}{after[1:]}, {sizes}, {change(kind)}{unit}."
    for kind, unit in (("loss", " nats"), ("accuracy", " %"))
  ]
  tested = at_end(result, "test_accuracy")
  gap = at_end(result, "test_loss") - at_end(result, "exact_train_loss")
  ranks = [rank_correlation(result.num_parameters, run) for run in tested.T]
  best = result.num_parameters[tested.argmax(axis=0)]
  findings += [
    f"The gap between test and training loss goes from {spread(gap[few])} to {spread(gap[many])} "
    "nats.",
    f"Rank correlation of the number of parameters with the test accuracy over "
    f"{len(config.specs)} models: {spread(ranks)}; the best model of a run has {spread(best)} "
    "parameters.",
  ]
  printed = [reported(config, "test_accuracy", spec) for spec in config.specs]
  if config.dataset == "mnist" and None not in printed:
    off = np.median(tested, axis=1) - np.array(printed, float)
    findings.append(
      f"Our median test accuracy is off the reported one by {off.min():+.2f} to {off.max():+.2f} "
      "points."
    )
  captions = {
    "loss": f"Training and test loss {after}, median and range over runs: {sizes}, "
    f"{change('loss')}.",
    "accuracy": f"Training and test accuracy {after}, median and range over runs: {sizes}, "
    f"{change('accuracy')} %.",
  }
  claims = tuple(judge_claims(config, result))
  return Summary(tuple(numbers), claims, tuple(findings), captions, {"models": rows})


def level_off(counts: np.ndarray, values: np.ndarray) -> np.ndarray:
  """Returns [M]: the fewest parameters with which a curve has made MOST of its improvement.

  `values` [W, M] is better when larger; rows in the order of growing `counts` [W]. The whole
  improvement of a run is that from the smallest model to its best one.
  """
  gained = values - values[0]
  return counts[(gained >= MOST * gained.max(axis=0)).argmax(axis=0)]


def judge_claims(config: Config, result: Result) -> list[Claim]:
  """Returns the report's claims, judged run by run; none for fewer than five models."""
  if len(config.specs) < 5:  # a rank correlation of three models says nothing
    return []
  order = np.argsort(result.num_parameters)
  counts = result.num_parameters[order]
  fields = ("exact_train_loss", "test_loss", "exact_train_accuracy", "test_accuracy")
  words = ("training loss", "test loss", "training accuracy", "test accuracy")
  better = {
    field: at_end(result, field)[order] * (-1 if field.endswith("loss") else 1) for field in fields
  }  # [W, M], larger is better
  ranks = {
    field: np.array([rank_correlation(counts, run) for run in values.T])
    for field, values in better.items()
  }
  lowest = np.min(list(ranks.values()), axis=0)
  levels = {field: level_off(counts, values) for field, values in better.items()}
  sooner = np.all(
    [levels[f"test_{kind}"] < levels[f"exact_train_{kind}"] for kind in ("loss", "accuracy")],
    axis=0,
  )
  letter = config.report[0].upper()
  return [
    claim(
      f"{letter}-1.3.2a",
      "More parameters give lower loss and higher accuracy (our reading: over the models the rank "
      f"correlation of size and quality is at least {RANKED:g} in all four curves, training and "
      "test).",
      lowest >= RANKED - 1e-9,
      "Rank correlations (Spearman) with falling loss and rising accuracy: "
      + "; ".join(f"{word} {spread(ranks[field])}" for word, field in zip(words, fields))
      + ".",
      **{f"rank_{field}": values.tolist() for field, values in ranks.items()},
    ),
    claim(
      f"{letter}-1.3.2b",
      "Test loss and accuracy level off well before the training ones (our reading: they make "
      f"{100 * MOST:g} % of their whole improvement with fewer parameters than training does).",
      sooner,
      f"Parameters for {100 * MOST:g} % of the improvement: "
      + "; ".join(
        f"{word} {np.median(levels[field]):,.0f} "
        f"({levels[field].min():,} to {levels[field].max():,})"
        for word, field in zip(words, fields)
      )
      + ".",
      **{f"parameters_{field}": values.tolist() for field, values in levels.items()},
    ),
  ]


def draw(config: Config, result: Result) -> dict[str, Figure]:
  """Returns loss and accuracy, training and test, against the number of parameters."""
  drawn = {}
  order = np.argsort(result.num_parameters)
  elsewhere = "reported" if config.dataset == "mnist" else "reported on MNIST"
  for kind, axis in (("loss", "cross-entropy (nats)"), ("accuracy", "accuracy (%)")):
    figure, (ax,) = figures.canvas()
    shown = (
      (f"exact_train_{kind}", "training, exact"),
      (f"test_{kind}", "test"),
      (f"train_{kind}", "training, running mean of the last epoch"),
    )
    for i, (field, words) in enumerate(shown):
      values = at_end(result, field)[order].T
      figures.curves(ax, result.num_parameters[order], values, words, i, points=True)
    for i, (field, words) in enumerate(shown):
      told = {
        int(count): value
        for spec, count in zip(config.specs, result.num_parameters)
        if (value := reported(config, field, spec)) is not None
      }
      if told:
        label = f"{words.removesuffix(' mean of the last epoch')}: {elsewhere}"
        figures.reported(ax, list(told), list(told.values()), label, i)
    yscale = "log" if kind == "loss" else "linear"
    title = f"{config.dataset}, {config.family.upper()}s"
    figures.label(ax, "parameters", axis, title, xscale="log", yscale=yscale)
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    ax.xaxis.set_minor_formatter(NullFormatter())
    drawn[kind] = figures.legend(figure, columns=2)
  return drawn


EXPERIMENT = Experiment("parameter_count", __doc__, Config, Result, run, summarize, draw)

if __name__ == "__main__":
  main(EXPERIMENT)
