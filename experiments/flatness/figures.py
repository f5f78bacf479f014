"""The figures."""

import textwrap

import numpy as np
from matplotlib.figure import Figure

from hw1_jax.report import figures

from .findings import gap, rankings, used
from .measures import INVARIANT, NAMES
from .run import Config, Result

SHOWN = ("largest", "adaptive", "jacobian", "distance")  # a sharpness, its invariant kin, and sizes


def draw(config: Config, result: Result) -> dict[str, Figure]:
  """Returns correlations with the gap, the audit, and the gap against four measures."""
  return {
    "correlation": draw_correlation(result),
    "audit": draw_audit(result),
    "scatter": draw_scatter(result),
  }


def draw_correlation(result: Result) -> Figure:
  """Returns tau with its interval, over all networks and the least noisy, and the scores."""
  found = rankings(result)
  figure, (left, right) = figures.canvas(2, width=5.6, height=5.2)
  places = np.arange(len(found))[::-1]
  for i, (part, words) in enumerate((("all", "all networks"), ("clean", "least label noise"))):
    values = np.array([getattr(ranking, part) for ranking in found.values()])
    span = np.abs(values[:, 1:] - values[:, :1]).T
    left.errorbar(
      values[:, 0], places - 0.2 * i, xerr=span, linestyle="none", capsize=2,
      markersize=5, label=words, **figures.marker(i),
    )  # fmt: skip
  left.axvline(0, color="black", linewidth=0.8)
  if any(np.isnan(ranking.all.tau) for ranking in found.values()):  # last, with nothing to draw
    left.set_ylim(-0.7, len(found) - 0.5)
  figures.label(left, "Kendall's τ with the gap", "", "rank correlation")
  right.barh(places, [ranking.score for ranking in found.values()], color=figures.COLORS[2])
  figures.label(right, "share of the gap's entropy", "",
                "conditional-independence score")  # fmt: skip
  for ax in (left, right):  # after the labels, which set ticks of their own
    ax.set_yticks(places, [NAMES[name] for name in found], fontsize=8.5)
  return figures.legend(figure)


def draw_audit(result: Result) -> Figure:
  """Returns each measure after over before rescaling, by factor."""
  figure, (ax,) = figures.canvas(width=figures.WIDEST, height=5.6)
  names = sorted(NAMES, key=lambda name: (name in INVARIANT, name))
  places = np.arange(len(names))[::-1]
  for i, factor in enumerate(result.factors):
    values = np.array([result.audit[name][:, i] for name in names])
    values = np.maximum(values, 1e-12)
    y = places + 0.25 * (1 - i)
    ax.plot(values, y, linestyle="none", marker=".", markersize=3, color=figures.COLORS[i],
            alpha=figures.faint(values.shape[1]))  # fmt: skip
    ax.plot(np.median(values, axis=1), y, linestyle="none", markersize=5.5,
            label=f"factor {factor:g}: median", **figures.marker(i))  # fmt: skip
  ax.axvline(1, color="black", linewidth=0.8)
  ax.axhline(len(INVARIANT) - 0.5, color="black", linewidth=0.8, linestyle=":")
  figures.label(ax, "after over before (below the line: invariant)",
                "", "same function, other weights", xscale="log")  # fmt: skip
  ax.set_yticks(places, [NAMES[name] for name in names], fontsize=8.5)
  return figures.legend(figure)


def draw_scatter(result: Result) -> Figure:
  """Returns the gap against four measures, coloured by label noise."""
  figure, axes = figures.canvas(2, 2, width=2.9, height=2.5)
  noise = result.settings[:, -1]
  for ax, name in zip(axes, SHOWN):
    for i, level in enumerate(np.unique(noise)):
      rows = used(result) & (noise == level)
      ax.plot(result.measures[name][rows], 100 * gap(result)[rows], linestyle="none", markersize=5,
              label=f"label noise {level:g}", **figures.marker(i))  # fmt: skip
    figures.label(ax, textwrap.fill(NAMES[name], 28), "gap in error (%)", xscale="log")
  return figures.legend(figure)
