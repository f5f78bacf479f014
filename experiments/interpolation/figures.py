"""The figures."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hw1_jax.report import figures

from .findings import describe, epochs_in_words
from .retraining import CURVES
from .run import PAIRS, Config, Result


def draw_curves(
  ax: Axes, alphas: np.ndarray, curves: dict[str, np.ndarray], ends: dict[str, np.ndarray] | None
) -> None:
  """Draws the losses on the left axis, logarithmic, and the accuracies on the right one."""
  right = ax.twinx()
  for quantity, axis, color, unit in (
    ("loss", ax, figures.COLORS[0], 1),
    ("accuracy", right, figures.COLORS[1], 100),
  ):
    for kind, line, shape in (("train", "-", "o"), ("test", "--", "s")):
      values, name = unit * curves[f"{kind}_{quantity}"], f"{quantity}, {kind} set"
      axis.plot(alphas, np.median(values, axis=0), line, color=color, linewidth=1.6, label=name)
      low, high = values.min(axis=0), values.max(axis=0)
      axis.fill_between(alphas, low, high, color=color, alpha=0.14, linewidth=0)
      if ends is not None:
        both = np.median(unit * ends[f"{kind}_{quantity}"], axis=0)
        axis.plot((0, 1), both, shape, color=color, markersize=5.5, markerfacecolor="white",
                  zorder=5, label=f"{name}: the two models")  # fmt: skip
  figures.label(ax, "α", "cross-entropy (nats)", yscale="log")
  right.set_ylabel("accuracy (%)", color=figures.COLORS[1])
  right.set_ylim(-2, 102)
  right.spines["top"].set_visible(False)
  ax.yaxis.label.set_color(figures.COLORS[0])


def draw(config: Config, result: Result) -> dict[str, Figure]:
  """Returns one figure a pair: the evaluated curves and, beside them, the retrained ones."""
  drawn = {}
  for i, pair in enumerate(PAIRS):
    first, second = describe(config, i)
    variants = ["evaluated", "retrained"] if result.retrained else ["evaluated"]
    figure, axes = figures.canvas(len(variants), width=5.6, height=4.0)
    for ax, variant in zip(axes, variants):
      curves, ends = (
        {name: table[f"{pair}/{name}"] for name in CURVES}
        for table in (getattr(result, variant), result.ends)
      )
      draw_curves(ax, result.alphas, curves, ends if variant == "evaluated" else None)
      note = "" if variant == "evaluated" else f"; + {epochs_in_words(config.retrain_epochs)}"
      ax.set_title(f"α = 0: {first}; α = 1: {second}{note}", fontsize=10.5, loc="left")
    limits = [ax.get_ylim() for ax in axes]
    for ax in axes:  # one scale for both panels
      ax.set_ylim(min(low for low, _ in limits), max(high for _, high in limits))
    drawn[pair] = figures.legend(figure, columns=2 * len(variants))
  return drawn
