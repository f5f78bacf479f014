"""The figures."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatterSciNotation

from hw1_jax.report import figures

from .findings import NAMES, UNITS
from .run import NETWORKS, PLANES, Config, Result

TITLES = {
  "random": "two random directions",
  "path": "the training path's two components",
  "solutions": "through three solutions",
}
NUM_LEVELS = 15  # contours of the loss, evenly spaced on a logarithmic scale


def levels(loss: np.ndarray) -> np.ndarray:
  """Returns rising levels of a positive loss, evenly spaced in its logarithm, all inside."""
  low, high = np.log10(np.maximum([loss.min(), loss.max()], 1e-12))
  return np.logspace(low, max(high, low + 1e-3), NUM_LEVELS)


def draw_marks(ax: Axes, plane: str, marks: np.ndarray) -> None:
  """Draws the solution, the path or the three solutions."""
  if plane == "path":
    ax.plot(*marks.T, color="#D55E00", linewidth=1.4, marker="o", markersize=3, zorder=4,
            label="path, projected")  # fmt: skip
    ax.plot(*marks[0], marker="s", color="#D55E00", markersize=6, linestyle="none", zorder=5,
            label="start")  # fmt: skip
  if plane == "solutions":
    ax.plot(*marks[1:].T, linestyle="none", marker="o", color="#D55E00", markersize=7, zorder=5,
            markeredgecolor="white", label="solutions of runs 2 and 3")  # fmt: skip
  ax.plot(0, 0, linestyle="none", marker="*", color="white", markeredgecolor="black", markersize=12,
          zorder=6, label="solution of run 1")  # fmt: skip


def draw_loss(result: Result, kind: str) -> Figure:
  """Returns the three planes with contours of the loss on a logarithmic scale."""
  figure, axes = figures.canvas(1, 3, width=4.8, height=3.5)
  for ax, plane in zip(axes, PLANES):
    key = f"{kind}/{plane}"
    loss = np.maximum(result.loss[key], 1e-12).T  # rows: y
    filled = ax.contourf(result.x[key], result.y[key], loss, levels(loss), cmap="viridis",
                         norm=LogNorm())  # fmt: skip
    ax.contour(result.x[key], result.y[key], loss, levels(loss), colors="black", linewidths=0.4)
    bar = figure.colorbar(filled, ax=ax, shrink=0.85, format=LogFormatterSciNotation())
    bar_levels = levels(loss)[::2].tolist()
    bar.set_ticks(bar_levels)
    bar.ax.set_yticklabels([f"{float(f'{value:.2g}'):g}" for value in bar_levels], fontsize=8)
    bar.set_label(f"training loss ({UNITS[kind]})")
    finish(ax, plane, result.marks[key])
  return figures.legend(figure)


def draw_accuracy(result: Result) -> Figure:
  """Returns the three planes of the network on images with its accuracy."""
  figure, axes = figures.canvas(1, 3, width=4.8, height=3.5)
  for ax, plane in zip(axes, PLANES):
    key = f"images/{plane}"
    accuracy = 100 * result.accuracy[key].T
    filled = ax.contourf(result.x[key], result.y[key], accuracy, np.linspace(0, 100, 21),
                         cmap="cividis")  # fmt: skip
    ax.contour(result.x[key], result.y[key], accuracy, [50, 90, 99], colors="black", linewidths=0.6)
    bar = figure.colorbar(filled, ax=ax, shrink=0.85, ticks=[0, 20, 40, 60, 80, 100])
    bar.set_label("training accuracy (%)")
    finish(ax, plane, result.marks[key])
  return figures.legend(figure)


def finish(ax: Axes, plane: str, marks: np.ndarray) -> None:
  """Draws what a plane's axes have beside the contours."""
  draw_marks(ax, plane, marks)
  ax.grid(False)
  ax.set_aspect("equal")  # distances in the plane mean something
  figures.label(ax, "distance in weight space", "perpendicular to it", TITLES[plane])


def draw_surface(result: Result) -> Figure:
  """Returns the random planes as surfaces."""
  figure = Figure(figsize=(5.0, 8.4), layout="constrained")
  for i, kind in enumerate(NETWORKS):
    ax = figure.add_subplot(2, 1, i + 1, projection="3d")
    key = f"{kind}/random"
    height = np.log10(np.maximum(result.loss[key], 1e-12)).T
    x, y = np.meshgrid(result.x[key], result.y[key])
    ax.plot_surface(x, y, height, cmap="viridis", rcount=60, ccount=60, linewidth=0.1,
                    edgecolor=(0, 0, 0, 0.25), antialiased=True, rasterized=True)  # fmt: skip
    ax.contour(x, y, height, 12, zdir="z", offset=height.min(), cmap="viridis", linewidths=0.8)
    ax.set_xlabel("distance")
    ax.set_ylabel("distance")
    ax.set_zlabel(f"log10 of the loss ({UNITS[kind]})")
    ax.set_title(NAMES[kind], fontsize=10.5, loc="left")
    ax.view_init(elev=32, azim=-55)
  return figure


def draw_slices(result: Result) -> Figure:
  """Returns the slices along the top eigenvectors, with their quadratics."""
  figure, axes = figures.canvas(2, width=5.2)
  for ax, kind in zip(axes, NETWORKS):
    steps, bottom = result.steps[kind], result.path_loss[kind][-1]
    middle = len(steps) // 2
    for d, value in enumerate(result.eigenvalues[kind]):
      loss = result.slice_loss[kind][d]
      ax.plot(steps, loss, label=f"eigenvector {d + 1}", linewidth=1.6, **figures.style(d))
      ax.plot(steps, loss[middle] + value / 2 * steps**2, color=figures.COLORS[d], linewidth=0.9,
              alpha=0.7, linestyle=(0, (1, 2)))  # fmt: skip
    ax.axhline(float(result.uninformed_loss[kind]), color=figures.REPORTED, linewidth=0.9,
               linestyle="--", label="uninformed network")  # fmt: skip
    ax.plot([], [], color=figures.REPORTED, linestyle=(0, (1, 2)), label="its quadratic, ½ λ s²")
    top = max(float(result.uninformed_loss[kind]), float(result.slice_loss[kind].max()))
    ax.set_ylim(0, 1.1 * top + bottom)
    values = ", ".join(f"{value:.3g}" for value in result.eigenvalues[kind])
    figures.label(ax, "distance s along the eigenvector", f"training loss ({UNITS[kind]})",
                  f"{NAMES[kind]}: λ = {values}")  # fmt: skip
  return figures.legend(figure)


def draw(config: Config, result: Result) -> dict[str, Figure]:
  """Returns the planes, their three-dimensional view and the slices."""
  return {
    "images_loss": draw_loss(result, "images"),
    "images_accuracy": draw_accuracy(result),
    "function_loss": draw_loss(result, "function"),
    "surface": draw_surface(result),
    "slices": draw_slices(result),
  }
