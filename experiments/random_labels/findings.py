"""Our numbers beside the reported ones, the judged claims, the sentences."""

import numpy as np

from hw1_jax import data, statistics
from hw1_jax.report import reported
from hw1_jax.report.assignment import topic_of
from hw1_jax.summary import Claim, Number, Summary, compared, rank_correlation, spread

from .run import MINIBATCH, Config, Result

TOPIC = topic_of("random_labels")

FITTED = 0.99  # our reading of "can fit": exact accuracy on the random labels at the end
HALF_EPOCHS = 10  # our reading of "slowly": true labels are half learned within the first epoch
LEVELS = (0.5, 0.9, 0.99)  # training accuracies whose first epoch is stated
FALLING = -0.9  # our reading of "as ... falls, ... rises": rank correlation over the epochs


def epochs_to(result: Result, accuracy: float) -> np.ndarray:
  """Returns each run's first epoch of at least this running training accuracy, [M]; or inf."""
  reached = result.train_accuracy >= accuracy
  return np.where(reached.any(axis=1), reached.argmax(axis=1) + 1.0, np.inf)


def percent(values: np.ndarray) -> str:
  """Returns the spread of accuracies in [0, 1], in %."""
  return spread(100 * np.asarray(values, float), 4)


def last_reported(config: Config) -> dict[str, float]:
  """Returns what the long report's script printed after its 1000th epoch on MNIST.

  Nothing for the short report, and none of another data set's numbers beside ours.
  """
  if config.report != "long" or not config.as_reported:
    return {}
  return {
    name: float(column[-1]) for name, column in reported.read("random_labels").columns.items()
  }


def numbers_of(config: Config, result: Result) -> list[Number]:
  """Returns losses and accuracies at the end beside the reported ones of the same quantity."""
  told = last_reported(config)
  nats = config.words("nats")
  numbers = [
    Number("parameters", (int(result.num_parameters),)),
    Number("labels that agree with the true ones", tuple(100 * result.agreement), "%"),
    Number(
      "training loss on the random labels, running mean of the last epoch",
      tuple(result.train_loss[:, -1]), nats,
    ),
    Number(
      f"training loss of minibatch {MINIBATCH} of the last epoch (of the last one if fewer)",
      tuple(result.minibatch_loss[:, -1]), nats, told.get("minibatch_501_loss"),
    ),
    Number("training loss on the random labels, exact", tuple(result.exact_train_loss), nats),
    Number(
      "training accuracy on the random labels, exact",
      tuple(100.0 * result.exact_train_accuracy), "%",
    ),
    Number("test loss", tuple(result.test_loss[:, -1]), nats, told.get("test_loss")),
    Number("test accuracy", tuple(100.0 * result.test_accuracy[:, -1]), "%",
           told.get("test_accuracy")),
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
  return numbers


def summarize(config: Config, result: Result) -> Summary:
  """Returns our numbers, what they say, and the claims."""
  after = f"after epoch {config.num_epochs} on {data.title(config.dataset)}"
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
    "loss": f"The training loss on random labels ends at {spread(result.exact_train_loss)}, while "
    f"the test loss goes from {spread(result.test_loss[:, 0])} to "
    f"{spread(result.test_loss[:, -1])}{config.words(' nats')}.",
    "accuracy": f"{accuracy[0].upper()}{accuracy[1:]}.",
  }
  shown = np.unique(np.geomspace(1, config.num_epochs, 20).round().astype(int))
  rows = [
    {"run": m + 1, "epoch": int(e), **{field: float(getattr(result, field)[m, e - 1])
                                   for field in Result._fields[3:7]}}
    for m in range(config.num_runs)
    for e in shown
  ]  # fmt: skip
  claims = tuple(judge_claims(config, result))
  numbers = tuple(numbers_of(config, result))
  return Summary(numbers, claims, findings, captions, {"epochs": rows}, answer(config, result))


def answer(config: Config, result: Result) -> str:
  """Returns whether the labels are fitted, how far and how fast, and what the test loss does."""
  fitted = bool(np.median(result.exact_train_accuracy) >= FITTED)
  half = epochs_to(result, 0.5)
  speed = "less than half of them are within that length"
  if np.isfinite(np.median(half)):
    speed = f"half of them are by epoch {spread(half[np.isfinite(half)])}"
  return (
    f"{'It can' if fitted else 'Not fully'}: after {config.num_epochs} epochs "
    f"{percent(result.exact_train_accuracy)} % of the random labels are fitted, and {speed}. "
    f"Meanwhile the test loss goes from {spread(result.test_loss[:, 0])} to "
    f"{spread(result.test_loss[:, -1])}{config.words(' nats')}."
  )


def length_of(config: Config, result: Result) -> str:
  """Returns how many steps were made, and whether the training loss was still falling."""
  steps = config.num_epochs * -(-result.random_labels.shape[1] // config.batch_size)
  tenth = max(config.num_epochs // 10, 1)
  before = result.train_loss[:, max(config.num_epochs - 1 - tenth, 0)]
  fall = 100 * (1 - result.train_loss[:, -1] / before)
  return (
    f"These are {steps:,} steps at batch size {config.batch_size}; in the last {tenth} epochs the "
    f"training loss fell by {spread(fall)} %"
  )


def judge_claims(config: Config, result: Result) -> list[Claim]:
  """Returns the long report's claims, each part alone; none unless all labels are random."""
  if config.report != "long" or config.fraction < 1:
    return []
  fitted, half = 100.0 * np.asarray(result.exact_train_accuracy, float), epochs_to(result, 0.5)
  never = int(np.isinf(half).sum())
  bounded = np.where(np.isinf(half), config.num_epochs, half)  # a lower bound, which suffices
  correlation = np.array(
    [rank_correlation(train, test) for train, test in zip(result.train_loss, result.test_loss)]
  )
  both = {"train": result.train_loss, "test": result.test_loss}
  loss = {name: np.log(values[:, -1] / values[:, 0]) for name, values in both.items()}
  reached = "; ".join(
    f"{100 * level:g} % in {np.isfinite(epochs).sum()} of {len(epochs)} runs, by epoch "
    f"{spread(epochs)}"
    for level, epochs in ((level, epochs_to(result, level)) for level in LEVELS)
  )
  first, last = result.test_loss[:, 0], result.test_loss[:, -1]
  parts = [
    ("L-1.3.1a.1", fitted - 100 * FITTED, "points", 0.0,
     f"Fitted at the end: {percent(result.exact_train_accuracy)} %. {length_of(config, result)}."),
    ("L-1.3.1a.2", np.log(bounded / HALF_EPOCHS), "log ratio of epochs", 0.0,
     f"{reached}. {never} runs never fitted half; their length counts."),
    ("L-1.3.1b.1", -loss["train"], "log ratio", statistics.LOSS_REGION,
     f"Running training loss {spread(result.train_loss[:, 0])} in epoch 1, "
     f"{spread(result.train_loss[:, -1])} in the last one."),
    ("L-1.3.1b.2", loss["test"], "log ratio", statistics.LOSS_REGION,
     f"Test loss {spread(first)} after epoch 1, {spread(last)} at the end."),
    ("L-1.3.1b.3", FALLING - correlation, "of a rank correlation", 0.0,
     f"Rank correlation of the two losses over the epochs: {spread(correlation)}."),
  ]  # fmt: skip
  words = {"fitted": 100 * FITTED, "half_epochs": HALF_EPOCHS, "falling": FALLING}
  return [
    compared(id, TOPIC.claims[id].format(**words), effects, said, region=region, unit=unit)
    for id, effects, unit, region, said in parts
  ]
