"""1.2.1 Visualize the optimization process: which way do the weights go in training?

One network is trained several times from different initial weights. Its weights are kept at
intervals, and a PCA over all runs together reduces them to two dimensions: once all weights, once
those of the first layer alone.

    F=experiments/flags/long_report
    python -m experiments.optimization_path --flagfile=$F/optimization_path.flags

Source: assignment 1-2, "visualize the optimization process"; long report 1.2.1 and its notebook,
short report.
Cost: 3 minutes on 2 CPU cores with the long report's settings, 1 GB of memory.
"""

import dataclasses
import itertools
from typing import Any, NamedTuple

import jax
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hw1_jax import analysis, data, models, pytrees, rng, training
from hw1_jax.loops import Monitor
from hw1_jax.report import figures
from hw1_jax.runs.experiment import Experiment
from hw1_jax.runs.main import main
from hw1_jax.runs.settings import REPORT, SPLIT_BATCHES, Settings, setting
from hw1_jax.summary import Number, Summary, spread
from hw1_jax.training import optimizers


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
  """Settings; the defaults are the long report's."""

  dataset: str = setting("mnist", "image set", choices=data.IMAGE_SETS)
  train_examples: int | None = setting(None, "use only the first ones; none: all", minimum=1)
  test_examples: int | None = setting(None, "use only the first ones; none: all", minimum=1)
  widths: str = setting("500-50", "hidden widths of the MLP", pattern=models.WIDTHS)
  activation: str = setting("relu", "between layers", choices=tuple(models.ACTIVATIONS))
  optimizer: str = setting("adam", "PyTorch's", choices=optimizers.NAMES)
  learning_rate: float = setting(4e-4, "step size", above=0, maximum=100)
  weight_decay: float = setting(1e-4, "L2 term added to the gradient", minimum=0, maximum=100)
  batch_size: int = setting(1000, "examples a step (notebook)", minimum=1)
  num_epochs: int = setting(45, "epochs", minimum=1, maximum=100_000)
  snapshot_epochs: int | None = setting(3, "keep the weights after every that many epochs",
                                        minimum=1)  # fmt: skip
  snapshot_steps: int | None = setting(
    None, "keep them after every that many steps of an epoch and at its end instead", minimum=1
  )
  num_runs: int = setting(8, "repetitions, each from its own initial weights", minimum=1,
                          maximum=1000)  # fmt: skip
  split_batches: bool = SPLIT_BATCHES
  report: str = REPORT

  def __post_init__(self) -> None:
    super().__post_init__()
    given = (self.snapshot_epochs is not None) + (self.snapshot_steps is not None)
    self.require(given == 1, "snapshot_steps", "either this or --snapshot_epochs; none is none")
    if self.snapshot_epochs is not None:
      most = self.num_epochs
      self.require(self.snapshot_epochs <= most, "snapshot_epochs", f"at most {most} epochs")


# The long report's table, its first run: (epoch, training accuracy in %, training loss).
REPORTED = {"long": ((3, 96.03, 0.133), (45, 99.92, 0.0101))}

NUM_WEIGHTS = 8  # single weights to follow; our choice: as many lines as can be told apart


class Result(NamedTuple):
  """M runs, S snapshots a run, E epochs, L layers; projections unit: the weights'."""

  snapshot_epoch: np.ndarray  # [S] int, the epoch that the snapshot ends or lies in, from 1
  snapshot_step: np.ndarray  # [S] int, steps done at the snapshot
  coordinates_model: np.ndarray  # [M, S, 2] float64, PCA of all weights
  coordinates_layer1: np.ndarray  # [M, S, 2] float64, PCA of the first layer's weights and biases
  explained_model: np.ndarray  # [2] fractions of the variance
  explained_layer1: np.ndarray  # [2]
  start_distance: np.ndarray  # [M, M] float64 between the runs' initial weights, 2-norm
  end_distance: np.ndarray  # [M, M] float64 between their last weights
  travelled: np.ndarray  # [M] float64 from initial to last weights
  weight_index: np.ndarray  # [8] int, places in the ravelled parameter vector
  weights: np.ndarray  # [M, S + 1, 8] float32 at the start and at the snapshots
  layer_norm: np.ndarray  # [M, S + 1, L] float64 2-norm of a layer's weights and biases
  train_loss: np.ndarray  # [M, E] nats, running mean over the epoch
  train_accuracy: np.ndarray  # [M, E] in [0, 1], running mean over the epoch
  test_loss: np.ndarray  # [M, E] nats, after the epoch
  test_accuracy: np.ndarray  # [M, E] in [0, 1]


def snapshot_times(config: Config, num_examples: int) -> tuple[np.ndarray, np.ndarray]:
  """Returns (epoch [S], steps done [S]) of the snapshots that `training.train_images` keeps."""
  num_steps = -(-num_examples // config.batch_size)  # an epoch
  within = np.array([num_steps])
  epochs = np.arange(1, config.num_epochs + 1)
  if config.snapshot_steps:
    within = np.union1d(np.arange(config.snapshot_steps, num_steps, config.snapshot_steps), within)
  else:
    epochs = epochs[epochs % (config.snapshot_epochs or 1) == 0]
  steps = (epochs[:, None] - 1) * num_steps + within
  return np.repeat(epochs, len(within)), steps.ravel()


def distances(points: np.ndarray) -> np.ndarray:
  """Returns the 2-norms [M, M] between rows of [M, P]."""
  return np.stack([np.linalg.norm(points - row, axis=1, ord=2) for row in points])


def run(config: Config, images: data.ImageData, monitor: Monitor) -> Result:
  """Returns all runs and the projections of their snapshots."""
  model = models.MLP((*models.parse_widths(config.widths), images.num_classes), config.activation)
  task = training.ImageTraining(
    model,
    optimizers.make_optimizer(config.optimizer, config.learning_rate, config.weight_decay),
    config.batch_size,
    config.num_epochs,
    snapshot_epochs=config.snapshot_epochs,
    snapshot_steps=config.snapshot_steps,
    split_batches=config.split_batches,
  )
  keys = rng.member_keys(config.seed, config.num_runs)
  trained = training.train_images(monitor, "train", task, images, keys)
  start, end = (
    np.asarray(jax.vmap(lambda tree: pytrees.ravel(tree)[0])(tree), np.float64)
    for tree in (trained.initial_params, trained.params)
  )
  snapshots = trained.snapshots
  assert snapshots is not None  # Config sees to it
  epochs, steps = snapshot_times(config, len(images.train_labels))

  sizes = [pytrees.size(pytrees.member(layer, 0)) for layer in trained.params.values()]
  borders = np.cumsum([0, *sizes])  # the vector holds layer after layer
  num_runs, num_parameters = start.shape
  choice = jax.random.choice(
    rng.stream(jax.random.key(config.seed), "followed weights"), num_parameters,
    (min(NUM_WEIGHTS, num_parameters),), replace=False
  )  # fmt: skip
  index = np.sort(np.asarray(choice))
  norms = np.stack(
    [
      np.linalg.norm(
        np.concatenate([start[:, None, a:b], snapshots[:, :, a:b]], axis=1, dtype=np.float64),
        axis=2,
      )
      for a, b in itertools.pairwise(borders)
    ],
    axis=2,
  )
  flat = snapshots.reshape(-1, num_parameters)
  whole, layer1 = analysis.pca(flat), analysis.pca(flat[:, : borders[1]])
  shape = (num_runs, len(steps), 2)
  return Result(
    epochs,
    steps,
    whole.coordinates.reshape(shape),
    layer1.coordinates.reshape(shape),
    whole.explained,
    layer1.explained,
    distances(start),
    distances(end),
    np.linalg.norm(end - start, axis=1),
    index,
    np.concatenate([start[:, None, index], snapshots[:, :, index]], axis=1, dtype=np.float32),
    norms,
    **{name: trained.history[name] for name in Result._fields[-4:]},
  )


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
  told = REPORTED.get(config.report, ((None, None, None),) * 2)
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


def draw_paths(ax: Axes, coordinates: np.ndarray, accuracy: np.ndarray) -> None:
  """Draws one path a run, [M, S, 2]; labels its ends with the accuracy [M, S] in %."""
  marks = np.unique(np.linspace(0, coordinates.shape[1] - 1, 16).astype(int))
  for m, path in enumerate(coordinates):
    look = figures.marker(m)
    ax.plot(path[:, 0], path[:, 1], color=look["color"], linewidth=0.8)
    ax.plot(path[marks, 0], path[marks, 1], linestyle="none", markersize=4.5, alpha=0.8,
            label=f"run {m + 1}", **look)  # fmt: skip
  # A label stands beyond its end of the path, and is left out where it would touch a path or
  # another label: places in points, for axes of about 330 by 240 points and these margins.
  corners = np.stack([coordinates.min(axis=(0, 1)), coordinates.max(axis=(0, 1))])
  span = np.maximum(corners[1] - corners[0], 1e-12)
  scale = min(np.array([330, 240]) / (1.4 * span))
  taken = list(coordinates[:, marks].reshape(-1, 2) * scale)
  for end, before in ((-1, 0), (0, -1)):
    for m, path in enumerate(coordinates):
      way = path[end] - path[before]
      offset = np.array([23, 13]) * way / max(float(np.linalg.norm(way)), 1e-12)
      place = path[end] * scale + offset
      if any((np.abs(place - other) < (16, 7)).all() for other in taken):
        continue
      taken += [place + np.array([x, 0]) for x in (-14, 0, 14)]
      ax.annotate(f"{accuracy[m, end]:.2f}", path[end], offset, textcoords="offset points",
                  fontsize=7.5, ha="center", va="center",
                  fontweight="bold" if end else "normal")  # fmt: skip
  ax.update_datalim(corners + 0.17 * span * [[-1], [1]])
  ax.set_aspect("equal", adjustable="datalim")  # distances in the plane mean something


def draw(config: Config, result: Result) -> dict[str, Figure]:
  """Returns the paths, loss and accuracy per epoch, and weights over epoch."""
  accuracy = 100 * result.train_accuracy[:, result.snapshot_epoch - 1]
  paths, axes = figures.canvas(2, width=5.4, height=4.8)
  for ax, coordinates, explained, name in (
    (axes[0], result.coordinates_model, result.explained_model, "whole model"),
    (axes[1], result.coordinates_layer1, result.explained_layer1, "layer 1"),
  ):
    draw_paths(ax, coordinates, accuracy)
    x, y = (f"component {i + 1} ({100 * explained[i]:.1f} % of variance)" for i in (0, 1))
    figures.label(ax, x, y, f"{name}; labels: training accuracy (%)")

  history, axes = figures.canvas(2, width=5.0)
  epochs = np.arange(1, config.num_epochs + 1)
  for ax, train, test, column in (
    (axes[0], result.train_loss, result.test_loss, 2),
    (axes[1], 100 * result.train_accuracy, 100 * result.test_accuracy, 1),
  ):
    figures.curves(ax, epochs, train, "training (running mean over the epoch)", 0)
    figures.curves(ax, epochs, test, "test (after the epoch)", 1)
    told = [t for t in REPORTED.get(config.report, ()) if t[0] <= config.num_epochs]
    if told:
      figures.reported(ax, [t[0] for t in told], [t[column] for t in told],
                       "reported: training, first run")  # fmt: skip
  figures.label(axes[0], "epoch", "cross-entropy (nats)", "loss", yscale="log")
  figures.label(axes[1], "epoch", "accuracy (%)", "accuracy")

  weights, axes = figures.canvas(2, width=5.0)
  epoch_steps = result.snapshot_step[-1] / result.snapshot_epoch[-1]
  time = np.concatenate([[0], result.snapshot_step / epoch_steps])
  keep = figures.thin(len(time))
  for i, index in enumerate(result.weight_index):
    name = f"weight {index:,}"
    axes[0].plot(time[keep], result.weights[0, keep, i], label=name, linewidth=1.2,
                 **figures.style(i))  # fmt: skip
  num_layers = result.layer_norm.shape[2]
  for i in range(num_layers):
    relative = result.layer_norm[:, :, i] / result.layer_norm[:, :1, i]
    figures.curves(axes[1], time, relative, f"layer {i + 1}", i)
  figures.label(axes[0], "epoch", "weight", f"{len(result.weight_index)} weights of run 1")
  figures.label(axes[1], "epoch", "norm relative to the start", "each layer's weights")
  for ax, columns in ((axes[0], 4), (axes[1], num_layers)):
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=columns, frameon=False,
              fontsize=7.5)  # fmt: skip
  return {
    "paths": figures.legend(paths, columns=8),
    "history": figures.legend(history),
    "weights": weights,
  }


EXPERIMENT = Experiment("optimization_path", __doc__, Config, Result, run, summarize, draw)

if __name__ == "__main__":
  main(EXPERIMENT)
