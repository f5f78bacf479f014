"""The figures."""

import numpy as np
from matplotlib.figure import Figure

from hw1_jax import statistics
from hw1_jax.report import figures

from .findings import KINDS, barriers, parted_barriers
from .run import WAYS, Config, Result

LABELS = {
  "straight": "straight line",
  "aligned": "straight line after alignment",
  "curve": "trained curve",
}
LINEAR = 1e-3  # nats: barriers below are drawn to scale, those above by their logarithm


def draw_ways(result: Result) -> Figure:
  """Returns loss and accuracy on the three ways; solid: training, the test set beside it."""
  figure, axes = figures.canvas(2, 2, width=2.9, height=2.4)
  for row, kind in enumerate(("train", "test")):
    name = {"train": "training", "test": "test"}[kind]
    for i, way in enumerate(WAYS):
      loss = result.between[f"{way}/{kind}_loss"]
      accuracy = 100 * result.between[f"{way}/{kind}_accuracy"]
      figures.curves(axes[2 * row], result.alphas, loss, LABELS[way], i)
      figures.curves(axes[2 * row + 1], result.alphas, accuracy, LABELS[way], i)
    where = "α"
    figures.label(axes[2 * row], where, "cross-entropy (nats)", f"{name} loss", yscale="log")
    figures.label(axes[2 * row + 1], where, "accuracy (%)", f"{name} accuracy")
  return figures.legend(figure)


def draw_common(config: Config, result: Result) -> Figure:
  """Returns the barrier against the common epochs, with intervals, beside independent pairs."""
  figure, axes = figures.canvas(2, width=5.2)
  counts = result.common_epochs
  for ax, (name, kind) in zip(axes, KINDS.items()):
    heights = parted_barriers(result, name)
    found = statistics.mean_interval(heights.T)
    rows = np.abs(np.stack([found.low, found.high]) - found.effect)
    ax.errorbar(counts, found.effect, yerr=np.where(np.isfinite(rows), rows, 0), capsize=3,
                linewidth=1.6,
                markersize=6, label="mean of trainings that part, 95 % interval",
                **figures.style(3), marker="o")  # fmt: skip
    for m, values in enumerate(heights):
      ax.plot(counts, values, color=figures.REPORTED, linewidth=0.6, alpha=0.6,
              label="one pair" if m == 0 else None)  # fmt: skip
    for i, way in enumerate(WAYS[:2]):
      level = float(barriers(result, name)[way].mean())
      ax.axhline(level, linewidth=1.0, linestyle="--", color=figures.COLORS[i],
                 label=f"independent pairs, {LABELS[way]}")  # fmt: skip
    ax.set_xticks(counts)
    figures.label(ax, f"common epochs, of {config.num_epochs}", "barrier (nats)",
                  f"{kind} loss")  # fmt: skip
    ax.set_yscale("symlog", linthresh=LINEAR)  # a barrier can be 0, and the others are far apart
    # Of one pair there is no interval.
    ax.set_ylim(bottom=1.5 * float(np.min(found.low, where=np.isfinite(found.low), initial=0.0)))
  return figures.legend(figure)


def draw_paths(result: Result) -> Figure:
  """Returns the first pair's paths before and after alignment."""
  figure, axes = figures.canvas(2, width=5.2, height=4.4)
  for ax, (name, title) in zip(
    axes, (("before", "before alignment"), ("after", "second training's units reordered"))
  ):
    share = 100 * result.explained[name]
    for i, path in enumerate(result.paths[name]):
      look = figures.marker(i)
      ax.plot(*path.T, linewidth=1.2, markersize=4, label=f"training {i + 1}", **look)
      ax.plot(*path[-1], markersize=12, linestyle="none", markeredgecolor="black", marker="*",
              color=look["color"], label=f"its solution, {i + 1}")  # fmt: skip
    ax.set_aspect("equal", adjustable="datalim")
    x, y = (f"component {c + 1} ({share[c]:.1f} %)" for c in (0, 1))
    figures.label(ax, x, y, title)
  return figures.legend(figure)


def draw(config: Config, result: Result) -> dict[str, Figure]:
  """Returns the three ways in one figure, the barrier against common epochs, the paths."""
  return {
    "ways": draw_ways(result),
    "common": draw_common(config, result),
    "paths": draw_paths(result),
  }
