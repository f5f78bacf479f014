"""The figures."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hw1_jax.report import figures

from .findings import ordered, told
from .run import Config, Result


def draw_paths(
  ax: Axes, coordinates: np.ndarray, accuracy: np.ndarray, starts: np.ndarray | None
) -> None:
  """Draws one path a run, [M, S, 2], from its start [M, 2]; labels ends with accuracies in %."""
  marks = np.unique(np.linspace(0, coordinates.shape[1] - 1, 16).astype(int))
  for m, path in enumerate(coordinates):
    look = figures.marker(m)
    if starts is not None:
      ax.plot(*np.stack([starts[m], path[0]]).T, color=look["color"], linewidth=0.8,
              linestyle=":")  # fmt: skip
      ax.plot(*starts[m], "o", markersize=6.5, markerfacecolor="white", color=look["color"],
              label="initial weights" if m == 0 else None)  # fmt: skip
    ax.plot(path[:, 0], path[:, 1], color=look["color"], linewidth=0.8)
    ax.plot(path[marks, 0], path[marks, 1], linestyle="none", markersize=4.5, alpha=0.8,
            label=f"run {m + 1}", **look)  # fmt: skip
  # A label stands beyond its end of the path, and is left out where it would touch a path or
  # another label: places in points, for axes of about 330 by 240 points and these margins.
  every = coordinates.reshape(-1, 2) if starts is None else np.vstack([*coordinates, starts])
  corners = np.stack([every.min(axis=0), every.max(axis=0)])
  span = np.maximum(corners[1] - corners[0], 1e-12)
  scale = min(np.array([330, 240]) / (1.4 * span))
  taken = list(coordinates[:, marks].reshape(-1, 2) * scale)
  taken += [] if starts is None else list(starts * scale)
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
  planes = [
    (result.coordinates_model, result.explained_model, "whole model", "model"),
    (result.coordinates_layer1, result.explained_layer1, "layer 1", "layer1"),
    (result.coordinates_last, result.explained_last, "last layer's weights", "last"),
  ]
  if ordered(result):
    both = (result.aligned["coordinates"], result.aligned["explained"])
    planes.insert(1, (*both, "whole model, units in run 1's order", "aligned"))
  return {
    "paths": draw_planes(result, planes[:-2]),
    "paths_layers": draw_planes(result, planes[-2:]),
    "history": draw_history(config, result),
    "weights": draw_weights(result),
  }


def draw_planes(result: Result, planes: Sequence[tuple[Any, ...]]) -> Figure:
  """Returns the paths in each plane: coordinates, shares of the variance, title, name."""
  accuracy = 100 * result.train_accuracy[:, result.snapshot_epoch - 1]
  paths, axes = figures.canvas(len(planes), width=4.8, height=4.6)
  for ax, (coordinates, explained, title, name) in zip(axes, planes):
    draw_paths(ax, coordinates, accuracy, result.starts.get(name))
    x, y = (f"component {i + 1} ({100 * explained[i]:.1f} %)" for i in (0, 1))
    figures.label(ax, x, y, title + ("; numbers: training accuracy (%)" if ax is axes[0] else ""))
  return figures.legend(paths, columns=4)


def draw_history(config: Config, result: Result) -> Figure:
  """Returns loss and accuracy per epoch."""
  history, axes = figures.canvas(2, width=5.0)
  epochs = np.arange(1, config.num_epochs + 1)
  theirs = {epoch: loss for epoch, (loss, _) in told(config).items()}
  for ax, train, test in (
    (axes[0], result.train_loss, result.test_loss),
    (axes[1], 100 * result.train_accuracy, 100 * result.test_accuracy),
  ):
    figures.curves(ax, epochs, train, "training (running mean over the epoch)", 0)
    figures.curves(ax, epochs, test, "test (after the epoch)", 1)
  if theirs:
    figures.reported(axes[0], list(theirs), list(theirs.values()),
                     "reported: training, its runs 1 and 8")  # fmt: skip
  figures.label(axes[0], "epoch", config.words("cross-entropy (nats)"), "loss", yscale="log")
  figures.label(axes[1], "epoch", "accuracy (%)", "accuracy")

  return figures.legend(history)


def draw_weights(result: Result) -> Figure:
  """Returns single weights of run 1, and the norm of each layer, over the epochs."""
  weights, axes = figures.canvas(2, width=5.0)
  epoch_steps = result.snapshot_step[-1] / result.snapshot_epoch[-1]
  time = np.concatenate([[0], result.snapshot_step / epoch_steps])
  keep = figures.thin(len(time))
  for i in range(len(result.weight_index)):
    axes[0].plot(time[keep], result.weights[0, keep, i], linewidth=1.2, **figures.style(i))
  num_layers = result.layer_norm.shape[2]
  for i in range(num_layers):
    relative = result.layer_norm[:, :, i] / result.layer_norm[:, :1, i]
    figures.curves(axes[1], time, relative, f"layer {i + 1}", i)
  figures.label(
    axes[0], "epoch", "weight", f"{len(result.weight_index)} weights of run 1, drawn at random"
  )
  figures.label(axes[1], "epoch", "norm relative to the start", "each layer's weights")
  return figures.legend(weights)
