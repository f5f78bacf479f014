"""The figures."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from hw1_jax.analysis import critical_points
from hw1_jax.report import figures

from . import reported as told_by_report
from .findings import CONSTANT, count, reached
from .run import Config, Result

MOST_SPECTRA = 30  # drawn thin, one over the other; our choice


def draw(config: Config, result: Result) -> dict[str, Figure]:
  """Returns the path to zero gradient, spectra, counts, ratio and loss, norms, saddles."""
  return {
    "minimal_ratio": draw_path(config, result),
    "spectra": draw_spectra(result),
    "counts": draw_counts(config, result),
    "ratio_and_loss": draw_ratio(config, result),
    "gradient_norms": draw_norms(config, result),
    "saddles": draw_saddles(config, result),
  }


def draw_path(config: Config, result: Result) -> Figure:
  """Returns ratio and share of negative eigenvalues against the gradient norm, along the way."""
  figure, axes = figures.canvas(2, 1, width=4.8)
  shares, norms = count(result.path_eigenvalues, config.rtol), result.path_gradient_norm
  searched = result.path_epochs < 0
  last = int(np.flatnonzero(~searched)[-1])
  for ax, series, title in (
    (axes[0], ((shares.plain, 0, "plain count, λ > 0"),
               (shares.positive, 2, f"λ > {config.rtol:g} max|λ|")), "positive: the minimal ratio"),
    (axes[1], ((shares.negative, 1, f"λ < -{config.rtol:g} max|λ|"),), "negative"),
  ):  # fmt: skip
    for values, color, name in series:
      for k in range(len(norms)):
        look: dict[str, Any] = {"color": figures.COLORS[color], "linewidth": 1.2}
        ax.plot(norms[k, : last + 1], values[k, : last + 1], "-", **look,
                label=f"{name}: training" if k == 0 else None)  # fmt: skip
        ax.plot(norms[k, last:], values[k, last:], ":", **look,
                label="then the search" if k == 0 and color == 0 else None)  # fmt: skip
        ax.plot(norms[k, 0], values[k, 0], "o", markerfacecolor="white", markersize=6,
                color=figures.COLORS[color])  # fmt: skip
        ax.plot(norms[k, -1], values[k, -1], "o", markersize=6, color=figures.COLORS[color])
    figures.label(ax, "gradient norm (training goes to the right)", "share of eigenvalues", title,
                  xscale="log")  # fmt: skip
    ax.invert_xaxis()
  if config.report == "long":
    told = np.asarray(told_by_report.EPOCHS)
    figures.reported(axes[0], told[:, 0], told[:, 1], "reported in the notebook, layerwise count",
                     joined=False)  # fmt: skip
  for ax in axes:
    ax.set_ylim(bottom=0)  # last: it ends the fitting of the axis to what is drawn
  return figures.legend(figure)


def draw_spectra(result: Result) -> Figure:
  """Returns the spectra, sorted, on a symmetric logarithmic axis, relative to the largest."""
  figure, (ax,) = figures.canvas()
  for values in result.eigenvalues[:MOST_SPECTRA]:
    real = values[np.isfinite(values)]
    share = (np.arange(real.size) + 0.5) / real.size
    ax.plot(share, real[::-1] / np.abs(real).max(), color=figures.COLORS[0], alpha=0.35,
            linewidth=1)  # fmt: skip
  ax.set_yscale("symlog", linthresh=1e-14, linscale=0.5)
  ax.set_yticks([-1e-4, -1e-8, -1e-12, 0, 1e-12, 1e-8, 1e-4, 1])
  ax.axhspan(-1e-15, 1e-15, color=figures.REPORTED, alpha=0.2, linewidth=0)
  ax.set_xlabel("share of the eigenvalues, largest first")
  ax.set_ylabel("eigenvalue / largest")
  return figure


def draw_counts(config: Config, result: Result) -> Figure:
  """Returns the shares of positive, zero and negative eigenvalues against the tolerance."""
  figure, (ax,) = figures.canvas()
  sizes = result.counts.sum(-1, keepdims=True)
  for i, name in enumerate(("positive", "zero", "negative")):
    color = (0, 5, 1)[i]
    values = (result.counts / sizes)[..., i]
    ax.plot(result.rtols, np.median(values, 0), label=name, linewidth=1.9,
            **figures.style(color) | {"linestyle": figures.LINES[i]})  # fmt: skip
    ax.plot(result.rtols, values.T, color=figures.COLORS[color], linewidth=0.5,
            alpha=figures.faint(len(values)),
            rasterized=len(values) > figures.MANY_RUNS)  # fmt: skip
  rank = np.median(result.rank / sizes[..., 0], 0)
  ax.plot(result.rtols, rank, "k.", markersize=4, label="rank of J / P")
  ax.axvline(config.rtol, color=figures.REPORTED, linewidth=0.9)
  figures.label(ax, "tolerance: |λ| up to this fraction of the largest is zero",
                "share of the eigenvalues", xscale="log")  # fmt: skip
  ax.set_ylim(-0.02, 1.02)
  return figures.legend(figure)


def draw_ratio(config: Config, result: Result) -> Figure:
  """Returns minimal ratio against loss at certified points, and what the report's figure shows."""
  shares, ended = count(result.eigenvalues, config.rtol), reached(config, result)
  constant = result.output_range <= CONSTANT
  long = config.report == "long"
  figure, axes = figures.canvas(3 if long else 2, 1, width=3.8)
  for ax, values, title in (
    (axes[0], shares.plain, "plain count, λ > 0"),
    (axes[1], shares.positive, f"λ > {config.rtol:g} max|λ|"),
  ):
    for mask, index, name in (
      (ended & ~constant, 0, "gradient zero to tolerance"),
      (ended & constant, 1, "constant (dead) network"),
    ):
      if mask.any():
        ax.scatter(result.loss[mask], values[mask], s=24, alpha=0.75, label=name,
                   **figures.marker(index))  # fmt: skip
    log = "log" if np.all(result.loss > 0) else "linear"
    figures.label(ax, "loss (MSE)", "minimal ratio", title, xscale=log)
  if long:
    told = np.asarray(told_by_report.FIGURE)
    figures.reported(axes[2], told[:, 1], told[:, 0], "reported, read from its figure",
                     joined=False)  # fmt: skip
    figures.label(axes[2], "loss (MSE)", "minimal ratio", "report: layerwise count, 1-20-1")
  return figures.legend(figure)


def draw_norms(config: Config, result: Result) -> Figure:
  """Returns each run's gradient norm before and after the search."""
  figure, (ax,) = figures.canvas()
  order, ended = np.argsort(result.certificate), reached(config, result)
  index = np.arange(len(order))
  ax.scatter(index, result.gradient_norm_before[order], s=16, color=figures.COLORS[1],
             marker="s", label="after training")  # fmt: skip
  ax.scatter(index, result.gradient_norm[order], s=16, facecolor="none", linewidths=0.9,
             edgecolor=figures.COLORS[0], label="after the search: one piece")  # fmt: skip
  ax.scatter(index, result.certificate[order], s=16, color=figures.COLORS[0],
             label="after the search: smallest over adjacent pieces")  # fmt: skip
  missing = ~ended[order]
  if missing.any():
    ax.scatter(index[missing], result.certificate[order][missing], s=60, marker="x",
               color=figures.COLORS[6], label="not reached")  # fmt: skip
  _tolerance(ax, config.grad_tolerance)
  figures.label(ax, "run, by increasing final norm", "gradient norm", yscale="log")
  ax.xaxis.set_major_locator(MaxNLocator(integer=True))
  return figures.legend(figure, columns=2)


def draw_saddles(config: Config, result: Result) -> Figure:
  """Returns minimal ratios at points near early networks, by epoch, and all of them by loss."""
  figure, (near, all_of_them) = figures.canvas(2, 1, width=4.8)
  look: dict[str, Any] = {"s": 30, "color": figures.COLORS[6], "marker": "x", "linewidths": 1}
  shares = count(result.saddle_eigenvalues, config.rtol).positive
  zero = result.saddle_gradient_norm <= critical_points.GRAD_TOLERANCE
  for i, found in enumerate(zero):
    x = i + np.linspace(-0.3, 0.3, found.sum() + 2)[1:-1]
    near.scatter(x, shares[i][found], **look)
  ticks = [f"{e}\n{found.sum()} of {found.size}" for e, found in zip(result.saddle_epochs, zero)]
  title = f"{config.saddle_widths} {config.saddle_activation}, λ > {config.rtol:g} max|λ|"
  figures.label(near, "epochs of training before the search; searches that got there",
                "minimal ratio", title)  # fmt: skip
  near.set_xticks(range(len(zero)), ticks)
  near.set_xlim(-0.6, len(zero) - 0.4)
  told = "nearest to early networks"
  all_of_them.scatter(result.saddle_loss[zero], shares[zero], label=told, **look)
  shares = count(result.embedded_eigenvalues, config.rtol).positive
  zero = result.embedded_gradient_norm <= critical_points.GRAD_TOLERANCE
  for i, width in enumerate(result.embedded_widths):
    all_of_them.scatter(result.embedded_loss[i][zero[i]], shares[i][zero[i]], s=26, alpha=0.7,
                        label=f"{width} {'unit' if width == 1 else 'units'}, split: "
                        f"{zero[i].sum()} of {zero[i].size}", **figures.marker(i))  # fmt: skip
  figures.label(all_of_them, "loss (MSE)", "minimal ratio", xscale="log")
  for ax in (near, all_of_them):
    ax.set_ylim(bottom=0)
  return figures.legend(figure, columns=2)


def _tolerance(ax: Axes, value: float) -> None:
  ax.axhline(value, color=figures.REPORTED, linewidth=0.9, label="tolerance")
