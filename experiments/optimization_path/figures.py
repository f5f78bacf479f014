"""The figures."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hw1_jax.report import figures

from .findings import told
from .run import Config, Result


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
  paths, axes = figures.canvas(3, width=4.8, height=4.6)
  for ax, coordinates, explained, name in (
    (axes[0], result.coordinates_model, result.explained_model, "whole model"),
    (axes[1], result.coordinates_layer1, result.explained_layer1, "layer 1"),
    (axes[2], result.coordinates_last, result.explained_last, "last layer's weights"),
  ):
    draw_paths(ax, coordinates, accuracy)
    x, y = (f"component {i + 1} ({100 * explained[i]:.1f} % of variance)" for i in (0, 1))
    figures.label(ax, x, y, f"{name}; labels: training accuracy (%)")

  history, axes = figures.canvas(2, width=5.0)
  epochs = np.arange(1, config.num_epochs + 1)
  theirs = {epoch: loss for epoch, (loss, _) in told(config).items()}
  for ax, train, test in (
    (axes[0], result.train_loss, result.test_loss),
    (axes[1], 100 * result.train_accuracy, 100 * result.test_accuracy),
  ):
    figures.curves(ax, epochs, train, "training (running mean over the epoch)", 0)
    figures.curves(ax, epochs, test, "test (after the epoch)", 1)
  if theirs and config.dataset == "mnist":
    figures.reported(axes[0], list(theirs), list(theirs.values()),
                     "reported: training, its runs 1 and 8")  # fmt: skip
  figures.label(axes[0], "epoch", config.words("cross-entropy (nats)"), "loss", yscale="log")
  figures.label(axes[1], "epoch", "accuracy (%)", "accuracy")

  weights, axes = figures.canvas(2, width=5.0)
  epoch_steps = result.snapshot_step[-1] / result.snapshot_epoch[-1]
  time = np.concatenate([[0], result.snapshot_step / epoch_steps])
  keep = figures.thin(len(time))
  for i in range(len(result.weight_index)):
    name = f"weight {i + 1}"
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
