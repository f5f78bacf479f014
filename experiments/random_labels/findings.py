"""Our numbers beside the reported ones, the judged claims, the sentences."""

import numpy as np

from hw1_jax.report.assignment import topic_of
from hw1_jax.summary import Claim, Number, Summary, claim, rank_correlation, spread

from .run import Config, Result

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


def summarize(config: Config, result: Result) -> Summary:
  """Returns losses and accuracies at the end beside the reported ones, and the claims."""
  told = TOPIC.reported.get(config.report, {})
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
      TOPIC.claims["L-1.3.1a"].format(fitted=100 * FITTED, half_epochs=HALF_EPOCHS),
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
      TOPIC.claims["L-1.3.1b"].format(falling=FALLING),
      (correlation < FALLING) & (last > first),
      f"Rank correlation (Spearman): {spread(correlation)}. Test loss after epoch 1: "
      f"{spread(first)}; at the end: {spread(last)}.",
      correlation=correlation.tolist(),
    ),
  ]
