"""Our numbers beside the reported ones, the judged claims, the sentences."""

import numpy as np

from hw1_jax import data, statistics
from hw1_jax.report import reported
from hw1_jax.report.assignment import topic_of
from hw1_jax.summary import (
  AT_END,
  Claim,
  Number,
  Summary,
  at_end,
  compared,
  rank_correlation,
  spread,
)

from .run import Config, Result

TOPIC = topic_of("parameter_count")

# Our quantity -> the report's column that is the same quantity.
PRINTED = {
  "minibatch_loss": "last_minibatch_loss",
  "train_accuracy": "running_train_accuracy",
  "lowest_train_loss": "lowest_train_loss",
  "test_accuracy": "test_accuracy",
  "test_loss": "test_loss",
}

MEASURED = AT_END | {
  "lowest_train_loss": ("training loss, lowest running mean of an epoch", "nats")
}

RANKED = 0.9  # a run is called monotone from this rank correlation over the models on; our choice
MOST = 0.9  # our reading of "levels off": this part of the whole improvement has been made
FIELDS = {
  "exact_train_loss": "training loss",
  "exact_train_accuracy": "training accuracy",
  "test_loss": "test loss",
  "test_accuracy": "test accuracy",
}


def told(config: Config, field: str, spec: str) -> float | None:
  """Returns what the report prints of the same quantity for a model, on MNIST; None: nothing."""
  if (
    not config.as_reported
    or config.report != "long"
    or config.family != "mlp"
    or field not in PRINTED
  ):
    return None
  if not spec.isdecimal():
    return None
  values = reported.read("parameter_count").where(width=int(spec)).columns[PRINTED[field]]
  return float(values[0]) if len(values) else None


def measured(result: Result, field: str) -> np.ndarray:
  """Returns a quantity at the end of training, [W, M]; accuracies in %."""
  if field == "lowest_train_loss":
    return np.asarray(result.train_loss, float).min(axis=2)
  return at_end(result, field)


def summarize(config: Config, result: Result) -> Summary:
  """Returns losses and accuracies at the end beside the reported ones, and the claims."""
  numbers, rows = [], []
  for i, (spec, count) in enumerate(zip(config.specs, result.num_parameters)):
    for field, (words, unit) in MEASURED.items():
      value = told(config, field, spec)
      name = f"{config.family} {spec}, {int(count):,} parameters: {words}"
      numbers.append(Number(name, tuple(measured(result, field)[i]), config.words(unit), value))
    rows += [
      {"family": config.family, "model": spec, "parameters": int(count), "run": m + 1,
       **{field: float(measured(result, field)[i, m]) for field in MEASURED}}
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

  after = f"after epoch {config.num_epochs} on {data.title(config.dataset)}"
  findings = [
    f"{after[0].upper()}{after[1:]}, {sizes}, {change(kind)}{config.words(unit)}."
    for kind, unit in (("loss", " nats"), ("accuracy", " %"))
  ]
  tested = at_end(result, "test_accuracy")
  gap = at_end(result, "test_loss") - at_end(result, "exact_train_loss")
  ranks = [rank_correlation(result.num_parameters, run) for run in tested.T]
  best = result.num_parameters[tested.argmax(axis=0)]
  findings += [
    f"The gap between test and training loss goes from {spread(gap[few])} to {spread(gap[many])} "
    f"{config.words('nats')}.",
    f"Rank correlation of the number of parameters with the test accuracy over "
    f"{len(config.specs)} models: {spread(ranks)}; the best model of a run has {spread(best)} "
    "parameters.",
  ]
  printed = [told(config, "test_accuracy", spec) for spec in config.specs]
  if config.as_reported and None not in printed:
    off = np.median(tested, axis=1) - np.array(printed, float)
    findings.append(
      f"Our median test accuracy is off the reported one by {off.min():+.2f} to {off.max():+.2f} "
      "points."
    )
  captions = {
    kind: f"{sizes[0].upper()}{sizes[1:]}, {change(kind)}{config.words(unit)}."
    for kind, unit in (("loss", " nats"), ("accuracy", " %"))
  }
  claims = tuple(judge_claims(config, result))
  return Summary(tuple(numbers), claims, tuple(findings), captions, {"models": rows},
                 answer(config, result))  # fmt: skip


def answer(config: Config, result: Result) -> str:
  """Returns how test loss, test error and gap change from the smallest to the largest model."""
  few, many = np.argmin(result.num_parameters), np.argmax(result.num_parameters)
  test, error = at_end(result, "test_loss"), 100 - at_end(result, "test_accuracy")
  gap = test - at_end(result, "exact_train_loss")
  parts = [f"from {spread(v[few])} to {spread(v[many])}" for v in (test, error, gap)]
  return (
    f"From {result.num_parameters[few]:,} to {result.num_parameters[many]:,} parameters the test "
    f"loss goes {parts[0]}{config.words(' nats')} and the test error {parts[1]} %. The gap between "
    f"test and training loss goes {parts[2]}."
  )


def level_off(counts: np.ndarray, values: np.ndarray) -> np.ndarray:
  """Returns [M]: the log2 of the parameters with which a curve has made MOST of its improvement.

  `values` [W, M] is better when larger; rows in the order of growing `counts` [W]. The whole
  improvement of a run is that from the smallest model to its best one; between two models it is
  taken to be linear in the log of the number of parameters, so that curves do not tie on the grid.
  """
  x, gained = np.log2(counts), values - values[0]
  found = []
  for gain in gained.T:
    level = MOST * gain.max()
    i = int((gain >= level).argmax())
    if i == 0 or gain[i] == gain[i - 1]:
      found.append(float(x[i]))
    else:
      found.append(float(np.interp(level, gain[i - 1 : i + 1], x[i - 1 : i + 1])))
  return np.array(found)


FEWEST = 5  # models; a trend over three says nothing
SOONER = 0.5  # doublings of the number of parameters; a smaller distance is none; our choice


def judge_claims(config: Config, result: Result) -> list[Claim]:
  """Returns the report's claims, each curve alone; none for fewer than FEWEST models."""
  if len(config.specs) < FEWEST:
    return []
  order = np.argsort(result.num_parameters)
  counts, letter = result.num_parameters[order], config.report[0].upper()
  values = {field: at_end(result, field)[order] for field in FIELDS}  # [W, M]
  better = {field: -v if field.endswith("loss") else v for field, v in values.items()}
  claims = [
    trend(result, f"{letter}-1.3.2a.{i}", counts, field, values[field])
    for i, field in enumerate(FIELDS, 1)
  ]
  for i, kind in enumerate(("loss", "accuracy"), 1):
    train, test = (level_off(counts, better[f"{s}_{kind}"]) for s in ("exact_train", "test"))
    evidence = (
      f"Parameters for {100 * MOST:g} % of the improvement: training {kind} {spread(2**train)}, "
      f"test {kind} {spread(2**test)}."
    )
    id = f"{letter}-1.3.2b.{i}"
    text = TOPIC.claims["1.3.2b"].format(kind=kind, most=100 * MOST)
    claims.append(compared(id, text, train - test, evidence, region=SOONER, unit="doublings"))
  gap = values["test_loss"] - values["exact_train_loss"]
  said = f"Gap of the smallest model {spread(gap[0])}, of the largest {spread(gap[-1])} "
  said += f"{config.words('nats')}."
  # A gap may be of either sign, so its slope is not on a log scale.
  slopes = statistics.slopes(np.log2(counts), gap.T)
  claims.append(
    compared(f"{letter}-1.3.2c", TOPIC.claims["1.3.2c"], slopes, said, region=GAP_REGION,
             unit=config.words("nats per doubling of the parameters"))
  )  # fmt: skip
  if letter == "S":
    claims.append(saturates(result, counts, values["test_accuracy"]))
  return claims


GAP_REGION = 0.001  # nats per doubling; ours: a hundredth of the losses that the reports print


def trend(result: Result, id: str, counts: np.ndarray, field: str, values: np.ndarray) -> Claim:
  """Returns the claim that more parameters give a lower loss, or a higher accuracy."""
  x, loss = np.log2(counts), field.endswith("loss")
  effects = -statistics.slopes(x, np.log(values.T)) if loss else statistics.slopes(x, values.T)
  ranks = statistics.rank_correlations(x, values.T) * (-1 if loss else 1)
  span = float(np.ptp(x))
  num_test = int(result.num_test[0])
  whole = statistics.LOSS_REGION if loss else statistics.accuracy_region(values, num_test)
  monotone = int(statistics.at_least(ranks, RANKED).sum())
  evidence = (
    f"From the smallest to the largest model {spread(values[0], 4)} to {spread(values[-1], 4)}; "
    f"rank correlation with the claimed order {spread(ranks)}, at least {RANKED:g} in {monotone} "
    f"of {len(ranks)} runs."
  )
  text = TOPIC.claims["1.3.2a"].format(what=("lower " if loss else "higher ") + FIELDS[field])
  unit = "log ratio per doubling" if loss else "points per doubling"
  return compared(id, text, effects, evidence, region=whole / span, unit=unit,
                  rank_correlations=ranks.tolist())  # fmt: skip


def saturates(result: Result, counts: np.ndarray, accuracy: np.ndarray) -> Claim:
  """Returns the claim that the test accuracy gains less per doubling among the larger models."""
  x, half = np.log2(counts), len(counts) // 2
  small = statistics.slopes(x[: half + 1], accuracy[: half + 1].T)
  large = statistics.slopes(x[half:], accuracy[half:].T)
  region = statistics.accuracy_region(accuracy, int(result.num_test[0])) / float(np.ptp(x))
  evidence = f"Points per doubling: {spread(small)} up to {counts[half]:,}, {spread(large)} beyond."
  id = "S-1.3.2d"
  return compared(id, TOPIC.claims[id], small - large, evidence, region=region,
                  unit="points per doubling")  # fmt: skip
