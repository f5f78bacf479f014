"""1.3.1 Can the network fit random labels, and what happens to the test loss meanwhile?

A network is trained on images whose labels are drawn at random; the test labels are the true ones.

    F=experiments/flags/long_report
    python -m experiments.random_labels --flagfile=$F/random_labels.flags

Source: assignment 1-3, "can network fit random labels?"; long report 1.3.1, short report.
Cost: 26 minutes on 2 CPU cores with the long report's settings, 1000 epochs and 3 runs.
"""

import dataclasses
from typing import NamedTuple

import jax
import numpy as np
from flax import linen as nn
from matplotlib.figure import Figure

from hw1_jax import data, devices, models, rng, training
from hw1_jax.loops import Monitor
from hw1_jax.report import figures
from hw1_jax.runs.experiment import Experiment
from hw1_jax.runs.main import main
from hw1_jax.runs.settings import REPORT, SPLIT_BATCHES, Settings, setting
from hw1_jax.summary import Claim, Number, Summary, claim, rank_correlation, spread
from hw1_jax.training import evaluation, optimizers


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
  """Settings; the defaults are the long report's."""

  dataset: str = setting("mnist", "the image set", choices=data.IMAGE_SETS)
  train_examples: int | None = setting(None, "train on the first so many; none: all", minimum=1)
  test_examples: int | None = setting(None, "test on the first so many; none: all", minimum=1)
  fraction: float = setting(1.0, "of the training labels drawn at random", minimum=0, maximum=1)
  model: str = setting("mlp", "--widths or --architecture", choices=("mlp", "cnn"))
  widths: str = setting("500", "the MLP", pattern=models.WIDTHS)
  architecture: str = setting("16k4p-32k4p/500", "the CNN", pattern=models.CONVOLUTIONS)
  optimizer: str = setting("adam", "PyTorch's", choices=optimizers.NAMES)
  learning_rate: float = setting(1e-4, "of the optimizer", above=0, maximum=100)
  weight_decay: float = setting(0.0, "L2 term added to the gradient", minimum=0, maximum=100)
  batch_size: int = setting(600, "our choice: 1.1.2's", minimum=1, maximum=1_000_000)
  num_epochs: int = setting(1000, "epochs", minimum=1, maximum=1_000_000)
  num_runs: int = setting(3, "repetitions, each with its own labels", minimum=1, maximum=10_000)
  convolution: str = setting(
    "auto", "their form; auto: matmul on CPU, lax elsewhere", choices=models.CONVOLUTION_FORMS
  )
  split_batches: bool = SPLIT_BATCHES
  report: str = REPORT

  def __post_init__(self) -> None:
    super().__post_init__()
    size = models.smallest_image(models.parse_cnn(self.architecture))
    self.require(
      size <= data.IMAGE_SIZE,
      "architecture",
      f"convolutions for images of {data.IMAGE_SIZE} x {data.IMAGE_SIZE}; this needs at least "
      f"{size} x {size}, so use fewer layers, smaller kernels or less pooling",
    )


# Losses after the last epoch, on MNIST. Source: the long report's section 1.3.1.
REPORTED = {"long": {"train_loss": 0.0588, "test_loss": 10.6979}, "short": {}}

FITTED = 0.99  # our reading of "can fit": exact accuracy on the random labels at the end
HALF_EPOCHS = 10  # our reading of "slowly": true labels are half learned within the first epoch
LEVELS = (0.5, 0.9, 0.99)  # training accuracies whose first epoch is told
FALLING = -0.9  # our reading of "as ... falls, ... rises": rank correlation over the epochs


class Result(NamedTuple):
  """M runs, N training examples, E epochs; losses in nats, accuracies in [0, 1]."""

  num_parameters: np.ndarray  # [] int
  random_labels: np.ndarray  # [M, N] uint8, what each run trained on
  agreement: np.ndarray  # [M] fraction of the random labels that are the true ones
  train_loss: np.ndarray  # [M, E] on the random labels, running mean over the epoch
  train_accuracy: np.ndarray  # [M, E] on the random labels, running mean over the epoch
  test_loss: np.ndarray  # [M, E] on the true labels, exact, after the epoch
  test_accuracy: np.ndarray  # [M, E] on the true labels, exact, after the epoch
  exact_train_loss: np.ndarray  # [M] on the random labels, after the last epoch
  exact_train_accuracy: np.ndarray  # [M] on the random labels, after the last epoch


def make_model(config: Config, num_classes: int) -> nn.Module:
  """Returns the network that --model chooses."""
  if config.model == "cnn":
    return models.parse_cnn(
      config.architecture, num_classes=num_classes, convolution=config.convolution
    )
  return models.MLP((*models.parse_widths(config.widths), num_classes))


def run(config: Config, images: data.ImageData, monitor: Monitor) -> Result:
  """Returns all trainings, each on its own random labels."""
  keys = rng.member_keys(config.seed, config.num_runs)
  labels = jax.vmap(
    lambda key: data.corrupt_labels(
      rng.stream(key, "labels"), images.train_labels, images.num_classes, config.fraction
    )
  )(keys)
  model = make_model(config, images.num_classes)
  optimizer = optimizers.make_optimizer(config.optimizer, config.learning_rate, config.weight_decay)
  task = training.ImageTraining(
    model,
    optimizer,
    config.batch_size,
    config.num_epochs,
    split_batches=config.split_batches,
  )
  trained = training.train_images(
    monitor, "random labels", task, images, keys, train_labels=np.asarray(labels)
  )
  evaluate = devices.map_members(evaluation.make_evaluate(model), num_shared=1)
  exact = evaluate(images.train_images, labels, trained.params)
  shape = (1, *images.train_images.shape[1:])
  return Result(
    num_parameters=np.asarray(models.count_parameters(model, shape)),
    random_labels=np.asarray(labels, np.uint8),
    agreement=np.mean(np.asarray(labels) == images.train_labels, axis=1),
    exact_train_loss=np.asarray(exact["loss"]),
    exact_train_accuracy=np.asarray(exact["accuracy"]),
    **trained.history,
  )


def epochs_to(result: Result, accuracy: float) -> np.ndarray:
  """Returns each run's first epoch of at least this running training accuracy, [M]; or inf."""
  reached = result.train_accuracy >= accuracy
  return np.where(reached.any(axis=1), reached.argmax(axis=1) + 1.0, np.inf)


def percent(values: np.ndarray) -> str:
  """Returns the spread of accuracies in [0, 1], in %."""
  return spread(100 * np.asarray(values, float), 4)


def summarize(config: Config, result: Result) -> Summary:
  """Returns losses and accuracies at the end beside the reported ones, and the claims."""
  told = REPORTED[config.report]
  note = "" if config.dataset == "mnist" or not told else "reported on MNIST"
  numbers = [
    Number("parameters", (int(result.num_parameters),)),
    Number("labels that agree with the true ones", tuple(100 * result.agreement), "%"),
    Number(
      "training loss on the random labels, running mean of the last epoch",
      tuple(result.train_loss[:, -1]), "nats", told.get("train_loss"), note,
    ),
    Number("training loss on the random labels, exact", tuple(result.exact_train_loss), "nats"),
    Number(
      "training accuracy on the random labels, exact",
      tuple(100.0 * result.exact_train_accuracy), "%",
    ),
    Number("test loss", tuple(result.test_loss[:, -1]), "nats", told.get("test_loss"), note),
    Number("test accuracy", tuple(100.0 * result.test_accuracy[:, -1]), "%"),
  ]  # fmt: skip
  for level in LEVELS:
    epochs = epochs_to(result, level)
    numbers.append(
      Number(
        f"first epoch with a training accuracy of {100 * level:g} %",
        tuple(np.where(np.isfinite(epochs), epochs, np.nan)),
        "epochs",
        note=f"reached by {int(np.isfinite(epochs).sum())} of {len(epochs)} runs",
      )
    )
  after = f"after epoch {config.num_epochs} on {config.dataset}"
  loss = (
    f"{after} the training loss is {spread(result.exact_train_loss)} on the random labels, "
    f"and the test loss {spread(result.test_loss[:, -1])} (epoch 1: "
    f"{spread(result.test_loss[:, 0])})"
  )
  accuracy = (
    f"{after} {percent(result.exact_train_accuracy)} % of the random labels are fitted, "
    f"and {percent(result.test_accuracy[:, -1])} % of the test images classified correctly"
  )
  findings = (
    f"{percent(result.agreement)} % of the training labels agree with the true ones.",
    f"{accuracy[0].upper()}{accuracy[1:]}.",
    f"{loss[0].upper()}{loss[1:]}.",
    length_of(config, result) + ".",
  )
  captions = {
    "loss": f"Training and test loss, median and range over runs; {loss}.",
    "accuracy": f"Training and test accuracy, median and range over runs; {accuracy}.",
  }
  shown = np.unique(np.geomspace(1, config.num_epochs, 20).round().astype(int))
  rows = [
    {"run": m, "epoch": int(e), **{field: float(getattr(result, field)[m, e - 1])
                                   for field in Result._fields[3:7]}}
    for m in range(config.num_runs)
    for e in shown
  ]  # fmt: skip
  claims = tuple(judge_claims(config, result))
  return Summary(tuple(numbers), claims, findings, captions, {"epochs": rows})


def length_of(config: Config, result: Result) -> str:
  """Returns how many steps were made, and whether the training loss was still falling."""
  steps = config.num_epochs * -(-result.random_labels.shape[1] // config.batch_size)
  tenth = max(config.num_epochs // 10, 1)
  before = result.train_loss[:, max(config.num_epochs - 1 - tenth, 0)]
  fall = 100 * (1 - result.train_loss[:, -1] / before)
  return (
    f"These are {steps:,} steps at batch size {config.batch_size}, our choice because neither "
    f"report states one; in the last {tenth} epochs the training loss fell by {spread(fall)} %"
  )


def judge_claims(config: Config, result: Result) -> list[Claim]:
  """Returns the long report's claims, judged run by run; none unless all labels are random."""
  if config.report != "long" or config.fraction < 1:
    return []
  half, final = epochs_to(result, 0.5), result.exact_train_accuracy
  correlation = np.array(
    [rank_correlation(train, test) for train, test in zip(result.train_loss, result.test_loss)]
  )
  first, last = result.test_loss[:, 0], result.test_loss[:, -1]
  return [
    claim(
      "L-1.3.1a",
      "The network can fit random labels, slowly (our reading: at the end it fits at least "
      f"{100 * FITTED:g} % of them, and it takes more than {HALF_EPOCHS} epochs to fit half).",
      (final >= FITTED) & (half > HALF_EPOCHS),
      f"Fitted at the end: {percent(final)} %. "
      + "; ".join(
        f"{100 * level:g} % in {np.isfinite(epochs).sum()} of {len(epochs)} runs, by epoch "
        f"{spread(epochs)}"
        for level, epochs in ((level, epochs_to(result, level)) for level in LEVELS)
      )
      + f". {length_of(config, result)}.",
      fitted=final.tolist(),
      half_epochs=half.tolist(),
    ),
    claim(
      "L-1.3.1b",
      "As the training loss falls, the test loss rises (our reading: over the epochs their rank "
      f"correlation is below {FALLING:g}, and the test loss ends higher than after epoch 1).",
      (correlation < FALLING) & (last > first),
      f"Rank correlation (Spearman): {spread(correlation)}. Test loss after epoch 1: "
      f"{spread(first)}; at the end: {spread(last)}.",
      correlation=correlation.tolist(),
    ),
  ]


def draw(config: Config, result: Result) -> dict[str, Figure]:
  """Returns training and test loss, and training and test accuracy, over the epochs."""
  drawn = {}
  epochs = np.arange(1, config.num_epochs + 1)
  told = REPORTED[config.report]
  elsewhere = "reported" if config.dataset == "mnist" else "reported on MNIST"
  title = f"{config.dataset}, {100 * config.fraction:g} % of the training labels at random"
  sets = (("train", "training, random labels"), ("test", "test, true labels"))

  figure, (ax,) = figures.canvas()
  for i, (name, words) in enumerate(sets):
    figures.curves(ax, epochs, getattr(result, f"{name}_loss"), words, i)
  for i, (name, words) in enumerate(sets):  # after the curves: the second column of the legend
    if f"{name}_loss" in told:
      label = f"{words.split(',')[0]}: {elsewhere}, at the end"
      figures.reported_line(ax, told[f"{name}_loss"], label, i)
  ax.axhline(np.log(data.NUM_CLASSES), color="black", linewidth=0.8, label="guessing: ln 10")
  figures.label(ax, "epoch", "cross-entropy (nats)", title, yscale="log")
  drawn["loss"] = figures.legend(figure, columns=3)

  figure, (ax,) = figures.canvas()
  for i, (name, words) in enumerate(sets):
    figures.curves(ax, epochs, 100 * getattr(result, f"{name}_accuracy"), words, i)
  chance = 100 / data.NUM_CLASSES
  ax.axhline(chance, color="black", linewidth=0.8, label=f"guessing: {chance:g} %")
  figures.label(ax, "epoch", "accuracy (%)", title)
  ax.set_ylim(0, 102)
  drawn["accuracy"] = figures.legend(figure)
  return drawn


EXPERIMENT = Experiment("random_labels", __doc__, Config, Result, run, summarize, draw)

if __name__ == "__main__":
  main(EXPERIMENT)
