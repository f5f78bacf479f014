"""Our numbers beside the reported ones, the judged claims, the sentences."""

from typing import Any

import numpy as np

from hw1_jax.report import reported
from hw1_jax.summary import Number, Summary, spread

from .run import HISTORY, Config, Result


def told(config: Config) -> dict[int, tuple[float, int]]:
  """Returns epoch -> (running training loss, run) of the report's table, if these are its settings.

  Its accuracies are means over an epoch's steps of the running accuracy so far, a quantity that we
  do not record, so they have no partner here.
  """
  if (config.report, config.widths, config.batch_size) != ("long", "500", 100):
    return {}
  if not config.as_reported:
    return {}
  table = reported.read("optimization_path").columns
  found: dict[int, tuple[float, int]] = {}
  for epoch, loss, run in zip(table["epoch"], table["running_train_loss"], table["run"]):
    if run == 1 or epoch > 30:  # of run 1 the first rows are printed, of run 8 the last ones
      found[int(epoch)] = (float(loss), int(run))
  return found


def rows(result: Result) -> list[dict[str, Any]]:
  """Returns the reports' table, a row a snapshot; `time` counts the runs, from 1."""
  return [
    {
      "x": float(result.coordinates_model[m, s, 0]),
      "y": float(result.coordinates_model[m, s, 1]),
      "x_layer1": float(result.coordinates_layer1[m, s, 0]),
      "y_layer1": float(result.coordinates_layer1[m, s, 1]),
      "epoch": int(epoch),
      "step": int(step),
      "time": m + 1,
      "accuracy": 100 * float(result.train_accuracy[m, epoch - 1]),
      "loss": float(result.train_loss[m, epoch - 1]),
    }
    for m in range(len(result.travelled))
    for s, (epoch, step) in enumerate(zip(result.snapshot_epoch, result.snapshot_step))
  ]


def summarize(config: Config, result: Result) -> Summary:
  """Returns accuracy and loss at first and last snapshot beside the reported ones, and findings."""
  accuracy, loss = 100 * result.train_accuracy, result.train_loss
  numbers = []
  theirs = told(config)
  for epoch in (3, 6, 9, 12, 15, 36, 45):
    if epoch in result.snapshot_epoch or epoch == config.num_epochs:
      value, run = theirs.get(epoch, (None, 0))
      note = f"reported: of its run {run}" if run else ""
      at = f"epoch {epoch}"
      numbers += [
        Number(
          f"training loss, running mean, {at}",
          tuple(loss[:, epoch - 1]),
          config.words("nats"),
          value,
          note,
        ),
        Number(f"training accuracy, running mean, {at}", tuple(accuracy[:, epoch - 1]), "%"),
      ]
  numbers += [
    Number("test accuracy at the end", tuple(100.0 * result.test_accuracy[:, -1]), "%",
           "98.08 to 98.39 (8 runs)" if theirs else None),
    Number("test loss at the end", tuple(result.test_loss[:, -1]), config.words("nats"),
           "0.0523 to 0.0576 (8 runs)" if theirs else None),
  ]  # fmt: skip
  for name, fractions in (
    ("model", result.explained_model),
    ("layer 1", result.explained_layer1),
    ("last layer's weights", result.explained_last),
  ):
    numbers.append(
      Number(f"variance in 2 components, {name}", (float(100 * fractions.sum()),), "%")
    )
  numbers.append(Number("way from first to last weights", tuple(result.travelled), "2-norm"))

  whole, layer1, last = (
    100 * part for part in (result.explained_model, result.explained_layer1, result.explained_last)
  )
  num_runs, num_snapshots = result.coordinates_model.shape[:2]
  findings = [
    f"The two components hold {whole.sum():.1f} % of the variance of the {num_runs} x "
    f"{num_snapshots} snapshots ({whole[0]:.1f} and {whole[1]:.1f} %), for layer 1 alone "
    f"{layer1.sum():.1f} % ({layer1[0]:.1f} and {layer1[1]:.1f} %), for the last layer's weights "
    f"{last.sum():.1f} %."
  ]
  if num_runs > 2:
    findings.append(
      f"{num_runs} runs that stay near {num_runs} places at equal distances would give "
      f"{100 / (num_runs - 1):.1f} % to each of {num_runs - 1} components: two dimensions show "
      "which run a point belongs to rather than how training moves."
    )
  captions = {
    "paths": f"Two components hold {whole.sum():.1f} % of the variance of all weights of "
    f"{num_runs} trainings, which are {places(result)}.",
    "paths_layers": f"Two components hold {layer1.sum():.1f} % of the variance of layer 1 and "
    f"{last.sum():.1f} % of that of the last layer's weights, those of the report's table.",
    "history": f"The training loss falls from {spread(loss[:, 0])} to {spread(loss[:, -1])} in "
    f"{config.num_epochs} epochs, the test loss to {spread(result.test_loss[:, -1])}"
    f"{config.words(' nats')}.",
  }
  if num_runs > 1:
    pairs = np.triu_indices(num_runs, 1)
    between, before = result.end_distance[pairs], result.start_distance[pairs]
    apart = int((between > result.travelled.max()).sum())
    findings += [
      f"A run travels a distance of {spread(result.travelled)} from its initial weights; the ends "
      f"of two runs are {spread(between)} apart, their starts were {spread(before)}.",
      f"In {apart} of {len(between)} pairs of runs the ends are farther apart than any run "
      "travelled; since hidden units may be permuted, that alone does not say that the runs found "
      f"different functions{in_one_order(result)}.",
    ]
  growth = result.layer_norm[:, -1] / result.layer_norm[:, 0]
  grown = "; ".join(f"layer {i + 1}: {spread(growth[:, i])}" for i in range(growth.shape[1]))
  moved = np.abs(result.weights[:, -1] - result.weights[:, 0])
  findings.append(f"Norm of a layer's weights at the end over that at the start: {grown}.")
  captions["weights"] = (
    f"Single weights of run 1 move by {spread(moved[0])}; a layer's norm ends at this multiple of "
    f"its start: {grown.replace(';', ',').replace(':', '')}."
  )
  curves = [
    {"epoch": e + 1, "run": m + 1, **{
      name: float(getattr(result, name)[m, e]) for name in HISTORY
    }}
    for m in range(num_runs) for e in range(config.num_epochs)
  ]  # fmt: skip
  tables = {"snapshots": rows(result), "epochs": curves, "last_layer_weights": weight_table(result)}
  answer = (
    f"Each of {num_runs} trainings moves {spread(result.travelled)} in weight space, and any two "
    f"are {places(result)}."
  )
  return Summary(tuple(numbers), (), tuple(findings), captions, tables, answer)


def ordered(result: Result) -> bool:
  """Returns whether the runs' units could be put in one order."""
  return "distance" in result.aligned and bool(np.isfinite(result.aligned["distance"]).all())


def between_runs(distance: np.ndarray) -> str:
  """Returns the spread of the distances [M, M] between two different runs."""
  return spread(distance[np.triu_indices(len(distance), 1)])


def in_one_order(result: Result) -> str:
  """Returns how far the ends lie apart once units are matched, as the end of a sentence."""
  if not ordered(result):
    return ""
  return (
    f"; with each pair's units matched they are {between_runs(result.aligned['distance'])} apart"
  )


def places(result: Result) -> str:
  """Returns how far starts and ends of the runs lie apart, in words."""
  if len(result.travelled) == 1:
    return f"{spread(result.travelled)} from its start"
  matched = ""
  if ordered(result):
    matched = f", still {between_runs(result.aligned['distance'])} with their hidden units matched"
  return (
    f"{between_runs(result.end_distance)} apart at the end ({between_runs(result.start_distance)} "
    f"at the start){matched}"
  )


def weight_table(result: Result) -> list[dict[str, Any]]:
  """Returns the report's table of weights: entries of the last layer, a row a run and snapshot."""
  names = [*range(1, 11), *range(-10, -6)]
  return [
    {"run": m + 1, "epoch": int(epoch),
     **{f"weight {name}": float(value) for name, value in zip(names, result.last_weights[m, s])}}
    for m in range(len(result.travelled))
    for s, epoch in enumerate(result.snapshot_epoch)
  ]  # fmt: skip
