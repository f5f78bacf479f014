"""Our numbers beside the reported ones, the judged claims, the sentences."""

from typing import Any

import numpy as np

from hw1_jax.report.assignment import topic_of
from hw1_jax.summary import Number, Summary, spread

from .run import Config, Result

TOPIC = topic_of("optimization_path")


def reported(config: Config) -> list[tuple[int, float, float]]:
  """Returns what the report's table says of its first run: (epoch, accuracy in %, loss in nats)."""
  table = TOPIC.reported.get(config.report)
  return list(zip(table["epoch"], table["train_accuracy"], table["train_loss"])) if table else []


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
  told: Any = reported(config) or [(None, None, None)] * 2
  ends = (result.snapshot_epoch[0], result.snapshot_epoch[-1])
  for epoch, (told_epoch, told_accuracy, told_loss) in zip(ends, told):
    note = ""
    if told_epoch is not None:
      note = f"reported: of its first run, at epoch {told_epoch}"
    at = f"epoch {epoch}"
    numbers += [
      Number(f"training accuracy, {at}", tuple(accuracy[:, epoch - 1]), "%", told_accuracy, note),
      Number(f"training loss, {at}", tuple(loss[:, epoch - 1]), "nats", told_loss, note),
    ]
  for name, fractions in (
    ("model", result.explained_model),
    ("layer 1", result.explained_layer1),
  ):
    numbers.append(
      Number(f"variance in 2 components, {name}", (float(100 * fractions.sum()),), "%")
    )
  numbers.append(Number("way from first to last weights", tuple(result.travelled), "2-norm"))

  whole, layer1 = (100 * part for part in (result.explained_model, result.explained_layer1))
  num_runs, num_snapshots = result.coordinates_model.shape[:2]
  findings = [
    f"The two components hold {whole.sum():.1f} % of the variance of the {num_runs} x "
    f"{num_snapshots} snapshots ({whole[0]:.1f} and {whole[1]:.1f} %), for layer 1 alone "
    f"{layer1.sum():.1f} % ({layer1[0]:.1f} and {layer1[1]:.1f} %)."
  ]
  if num_runs > 2:
    findings.append(
      f"{num_runs} runs that stay near {num_runs} places at equal distances would give "
      f"{100 / (num_runs - 1):.1f} % to each of {num_runs - 1} components: two dimensions show "
      "which run a point belongs to rather than how training moves."
    )
  captions = {
    "paths": f"The paths of {num_runs} trainings in the first two principal components of all "
    f"weights ({whole.sum():.1f} % of the variance) and of layer 1 ({layer1.sum():.1f} %); the "
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
      "travelled: "
      + (
        "the runs end in different places." if apart == len(between)
        else "not all runs end in different places by this measure."
      ),
    ]  # fmt: skip
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
      name: float(getattr(result, name)[m, e]) for name in Result._fields[-4:]
    }}
    for m in range(num_runs) for e in range(config.num_epochs)
  ]  # fmt: skip
  tables = {"snapshots": rows(result), "epochs": curves}
  return Summary(tuple(numbers), (), tuple(findings), captions, tables)
