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
  elsewhere = "" if config.dataset == "mnist" else "; reported on MNIST"
  for epoch in (3, 6, 9, 12, 15, 36, 45):
    if epoch in result.snapshot_epoch or epoch == config.num_epochs:
      value, run = theirs.get(epoch, (None, 0))
      note = f"reported: of its run {run}{elsewhere}" if run else ""
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
           "98.08 to 98.39 (8 runs)" if theirs else None, elsewhere.strip("; ")),
    Number("test loss at the end", tuple(result.test_loss[:, -1]), config.words("nats"),
           "0.0523 to 0.0576 (8 runs)" if theirs else None, elsewhere.strip("; ")),
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
    "paths": f"The paths of {num_runs} trainings in the first two principal components of all "
    f"weights ({whole.sum():.1f} % of the variance), of layer 1 ({layer1.sum():.1f} %) and of the "
    f"last layer's weights ({last.sum():.1f} %), those of the report's table; the "
    "labels are training accuracies in %, at a run's first and last (bold) snapshot.",
    "history": f"Training loss from {spread(loss[:, 0])} in epoch 1 to {spread(loss[:, -1])} in "
    f"epoch {config.num_epochs}, test loss after it {spread(result.test_loss[:, -1])}; training "
    f"accuracy from {spread(accuracy[:, 0], 4)} % in epoch 1 to "
    f"{spread(accuracy[:, -1], 4)} % in the last epoch, test accuracy after it "
    f"{spread(100 * result.test_accuracy[:, -1], 4)} %.",
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
      "different functions.",
    ]
  growth = result.layer_norm[:, -1] / result.layer_norm[:, 0]
  grown = "; ".join(f"layer {i + 1}: {spread(growth[:, i])}" for i in range(growth.shape[1]))
  moved = np.abs(result.weights[:, -1] - result.weights[:, 0])
  findings.append(f"Norm of a layer's weights at the end over that at the start: {grown}.")
  captions["weights"] = (
    f"{moved.shape[1]} weights of the first run drawn at random (they move by "
    f"{spread(moved[0])}), and the norm of each layer's weights relative to its start, which "
    f"ends at {grown}."
  )
  curves = [
    {"epoch": e + 1, "run": m + 1, **{
      name: float(getattr(result, name)[m, e]) for name in HISTORY
    }}
    for m in range(num_runs) for e in range(config.num_epochs)
  ]  # fmt: skip
  tables = {"snapshots": rows(result), "epochs": curves, "last_layer_weights": weight_table(result)}
  return Summary(tuple(numbers), (), tuple(findings), captions, tables)


def weight_table(result: Result) -> list[dict[str, Any]]:
  """Returns the report's table of weights: entries of the last layer, a row a run and snapshot."""
  names = [*range(1, 11), *range(-10, -6)]
  return [
    {"run": m + 1, "epoch": int(epoch),
     **{f"weight {name}": float(value) for name, value in zip(names, result.last_weights[m, s])}}
    for m in range(len(result.travelled))
    for s, epoch in enumerate(result.snapshot_epoch)
  ]  # fmt: skip
