"""Our numbers beside the reported ones, the judged claims, the sentences."""

import numpy as np

from hw1_jax.report.assignment import topic_of
from hw1_jax.summary import Claim, Number, Summary, at_end, claim, rank_correlation, spread

from .run import Config, Result

TOPIC = topic_of("parameter_count")

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


def reported(config: Config, field: str, spec: str) -> float | None:
  """Returns the report's number for a model; None where it prints none."""
  if config.report != "long" or config.family != "mlp" or field not in REPORTED_FIELDS:
    return None
  printed = TOPIC.reported["long"]
  return dict(zip(printed["widths"], printed[field])).get(spec)


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
      TOPIC.claims[f"{letter}-1.3.2a"].format(ranked=RANKED),
      lowest >= RANKED - 1e-9,
      "Rank correlations (Spearman) with falling loss and rising accuracy: "
      + "; ".join(f"{word} {spread(ranks[field])}" for word, field in zip(words, fields))
      + ".",
      **{f"rank_{field}": values.tolist() for field, values in ranks.items()},
    ),
    claim(
      f"{letter}-1.3.2b",
      TOPIC.claims[f"{letter}-1.3.2b"].format(most=100 * MOST),
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
