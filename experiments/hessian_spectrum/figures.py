"""The figures."""

import numpy as np
from matplotlib.figure import Figure

from hw1_jax import analysis
from hw1_jax.report import figures

from .findings import outliers, quadratures
from .run import Config, Result

WIDTH = 0.01  # of the smoothing Gaussian, over the spectrum's range; our choice


def draw(config: Config, result: Result) -> dict[str, Figure]:
  """Returns the densities, the edge of stability, and the outliers by classes."""
  return {
    "density": draw_density(result),
    "edge": draw_edge(result),
    "outliers": draw_outliers(result),
  }


def draw_density(result: Result) -> Figure:
  """Returns the densities of both matrices at the first and the last snapshot of run 1."""
  figure, axes = figures.canvas(2, width=5.4)
  for ax, snapshot in zip(axes, (0, -1)):
    for i, (name, words) in enumerate((("hessian", "Hessian"), ("gauss_newton", "Gauss-Newton"))):
      top = float(result.spectra["hessian_top"][0, snapshot, 0])
      low = min(float(result.spectra["hessian_bottom"][0, snapshot]), 0)
      span = max(top - low, float(np.finfo(np.float32).tiny))  # a dead network's is 0
      grid = np.linspace(low - 0.05 * span, top + 0.05 * span, 600)
      found = quadratures(result, name, 0, snapshot)
      mean, error = map(np.asarray, analysis.density(found, grid, WIDTH * span))
      floor = 0.1 / float(result.num_parameters) / (WIDTH * span)
      ax.plot(grid, np.maximum(mean, floor), label=words, **figures.style(i))
      ax.fill_between(
        grid, np.maximum(mean - error, floor), np.maximum(mean + error, floor),
        color=figures.COLORS[i], alpha=0.2, linewidth=0,
      )  # fmt: skip
    title = f"epoch {result.epochs[snapshot]}"
    figures.label(ax, "eigenvalue λ", "density (per unit of λ)", title, yscale="log")
  return figures.legend(figure)


def draw_edge(result: Result) -> Figure:
  """Returns largest eigenvalue and loss along gradient descent."""
  figure, (left, right) = figures.canvas(2, width=5.4)
  for i, rate in enumerate(result.descent_rates):
    words = f"learning rate {rate:g}"
    left.plot(result.descent_steps, result.sharpness[i], label=words, color=figures.COLORS[i])
    left.axhline(2 / rate, color=figures.COLORS[i], linestyle="--", linewidth=0.9)
    right.plot(result.descent_steps, result.descent_loss[i], label=words, color=figures.COLORS[i])
  left.plot([], [], color="black", linestyle="--", linewidth=0.9, label="2 / learning rate")
  figures.label(left, "step", "largest eigenvalue", "sharpness", yscale="log")
  figures.label(right, "step", "mean squared error", "loss", yscale="log")
  return figures.legend(figure)


def draw_outliers(result: Result) -> Figure:
  """Returns the largest eigenvalues by rank, and how many stand apart."""
  figure, (left, right) = figures.canvas(2, width=5.4)
  ranks = np.arange(1, result.class_top.shape[2] + 1)
  for i, (count, runs) in enumerate(zip(result.classes, result.class_top)):
    for m, values in enumerate(runs):
      label = f"{count} classes" if m == 0 else None
      shares = np.divide(values, values[0], out=np.zeros_like(values), where=values[0] != 0)
      left.plot(ranks, shares, label=label, markersize=4, linewidth=0.8,
                **figures.marker(i))  # fmt: skip
  figures.label(left, "rank", "eigenvalue over the largest", "top of the spectrum", yscale="log")
  left.set_xticks(ranks[::3])
  found = outliers(result)
  right.plot(result.classes, result.classes - 1, color="black", linewidth=0.9, label="C - 1")
  for m in range(found.shape[1]):
    right.plot(result.classes, found[:, m], linestyle="none", marker="o", markerfacecolor="none",
               label="above the largest gap, each run" if m == 0 else None,
               color=figures.COLORS[0])  # fmt: skip
  figures.label(right, "classes C in the training set", "number", "eigenvalues that stand apart")
  return figures.legend(figure)
