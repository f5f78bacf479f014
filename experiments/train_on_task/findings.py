"""Our numbers beside the reported ones, the judged claims, the sentences."""

import numpy as np

from hw1_jax import data, statistics
from hw1_jax.report import reported
from hw1_jax.report.assignment import topic_of
from hw1_jax.summary import AT_END, Claim, Number, Summary, at_end, compared, show, spread

from .run import Config, Result

TOPIC = topic_of("train_on_task")

# Our quantity -> the report's column that is the same quantity.
PRINTED = {
  "minibatch_loss": "last_minibatch_loss",
  "train_accuracy": "running_train_accuracy",
  "test_accuracy": "test_accuracy",
}


def names_of(config: Config) -> list[str]:
  """Returns the reports' names of the models: CNN-1, CNN-2, ..."""
  return [f"CNN-{i + 1}" for i in range(len(config.architectures))]


def told(config: Config, field: str, i: int) -> float | None:
  """Returns what the report prints of the same quantity for model i; None where it prints none.

  Its numbers are of MNIST: none stands beside those of another data set but a count of parameters.
  """
  if not config.as_reported and field != "num_parameters":
    return None
  if config.report == "short" or field == "num_parameters":
    values = TOPIC.reported[config.report].get(field, ())
    return values[i] if i < len(values) else None
  if field not in PRINTED:
    return None
  values = reported.read("train_on_task").where(model=i + 1).columns[PRINTED[field]]
  return float(values[0]) if len(values) else None


def said(config: Config, result: Result, field: str) -> str:
  """Returns 'CNN-1 98.6 (98.5 to 98.7); ...': a quantity at the end, of every model."""
  digits = 4 if field.endswith("accuracy") else 3
  parts = zip(names_of(config), at_end(result, field))
  return "; ".join(f"{name} {spread(values, digits)}" for name, values in parts)


def summarize(config: Config, result: Result) -> Summary:
  """Returns losses and accuracies at the end beside the reported ones, and the claims."""
  numbers, ends, epochs = [], [], []
  for i, (name, spec) in enumerate(zip(names_of(config), config.architectures)):
    count = int(result.num_parameters[i])
    numbers.append(
      Number(f"{name}: parameters", (count,), "", told(config, "num_parameters", i), spec)
    )
    for field, (words, unit) in AT_END.items():
      value = told(config, field, i)
      numbers.append(Number(f"{name}: {words}", tuple(at_end(result, field)[i]), config.words(unit),
                            value))  # fmt: skip
    for m in range(config.num_runs):
      who = {"model": name, "architecture": spec, "run": m + 1}
      final = {field: float(at_end(result, field)[i, m]) for field in AT_END}
      ends.append({**who, "parameters": count, **final})
      epochs += [
        {**who, "epoch": e + 1, **{field: float(getattr(result, field)[i, m, e])
                                   for field in Result._fields[1:5]}}
        for e in range(config.num_epochs)
      ]  # fmt: skip
  after = f"after epoch {config.num_epochs} on {data.title(config.dataset)}"
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
    "training_loss": f"{after[0].upper()}{after[1:]} the running training loss is "
    f"{medians(config, result, 'train_loss')}.",
    "training_accuracy": f"{after[0].upper()}{after[1:]} the running training error is "
    f"{medians(config, result, 'train_accuracy')}.",
    "test_accuracy": f"The models' median test accuracies {after} lie within "
    f"{np.ptp(np.median(at_end(result, 'test_accuracy'), axis=1)):.2f} points of each other: "
    f"{medians(config, result, 'test_accuracy')}.",
  }
  claims = tuple(judge_claims(config, result))
  return Summary(
    tuple(numbers), claims, findings, captions, {"test_accuracy": ends, "epochs": epochs},
    answer(config, result),
  )  # fmt: skip


def medians(config: Config, result: Result, field: str) -> str:
  """Returns '0.0695 (CNN-1), ... and 0.0403 (CNN-3)': medians at the end; running errors in %."""
  values = np.median(at_end(result, field), axis=1)
  if field == "train_accuracy":
    values = 100 - values
  unit = {"train_loss": config.words(" nats")}.get(field, " %")
  digits = 4 if field == "test_accuracy" else 3
  parts = [f"{show(v, digits)}{unit} ({n})" for v, n in zip(values, names_of(config))]
  return f"{', '.join(parts[:-1])} and {parts[-1]}" if len(parts) > 1 else parts[0]


def answer(config: Config, result: Result) -> str:
  """Returns test accuracies and training losses of the models, and their depths."""
  widest = np.ptp(np.median(at_end(result, "test_accuracy"), axis=1))
  return (
    f"After {config.num_epochs} epochs on {data.title(config.dataset)} the test accuracy is "
    f"{medians(config, result, 'test_accuracy')}: {widest:.2f} points from the best to the worst. "
    "Their dense layers number "
    + ", ".join(str(spec.rpartition("/")[2].count("-") + 1) for spec in config.architectures)
    + f"; the training loss is {medians(config, result, 'train_loss')}."
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
  if not config.as_reported:
    return []
  medians = np.median(at_end(result, "test_accuracy"), axis=1)
  printed = [told(config, "test_accuracy", i) for i in range(len(medians))]
  parts = [
    f"{name} {ours - theirs:+.2f}"
    for name, ours, theirs in zip(names_of(config), medians, printed)
    if theirs is not None
  ]
  if not parts:
    return []
  return [f"Our median test accuracy minus the reported one, in points: {', '.join(parts)}."]


def judge_claims(config: Config, result: Result) -> list[Claim]:
  """Returns the report's claims, each comparison alone; none unless there are three models."""
  if len(config.architectures) != 3:
    return []
  if config.report == "short":
    return [
      compare(result, "S-1.1.2.1", "test_accuracy", 2, 0),
      compare(result, "S-1.1.2.2", "test_accuracy", 0, 1),
    ]
  fields = ("exact_train_loss", "exact_train_accuracy", "test_accuracy")
  return [
    compare(result, f"L-1.1.2.{2 * f + i + 1}", field, 2, i)
    for f, field in enumerate(fields)
    for i in (0, 1)
  ]


def compare(result: Result, id: str, field: str, better: int, other: int) -> Claim:
  """Returns the claim that model `better` does better than model `other`, by index, paired by run.

  Losses by their log ratio, accuracies in points; the training set's are measured after the last
  epoch, without dropout, which raises CNN-1's running means alone.
  """
  values = at_end(result, field)[[better, other]]
  digits = 4 if field.endswith("accuracy") else 3
  evidence = "; ".join(
    f"CNN-{i + 1}: {spread(row, digits)}" for i, row in zip((better, other), values)
  )
  if field.endswith("loss"):
    effects, region, unit = np.log(values[1] / values[0]), statistics.LOSS_REGION, "log ratio"
    return compared(id, TOPIC.claims[id], effects, f"{evidence}.", region=region, unit=unit)
  num_test = int(result.num_test[0])
  return compared(
    id,
    TOPIC.claims[id],
    values[0] - values[1],
    f"{evidence}. The region is the standard error of an accuracy on {num_test:,} test images.",
    region=statistics.accuracy_region(values, num_test),
    unit="points",
    resolution=100 / num_test,
  )
