"""The figures."""

import numpy as np
from matplotlib.figure import Figure

from hw1_jax.report import figures

from .findings import at_end, shown, threshold
from .run import Config, Result


def draw(config: Config, result: Result) -> dict[str, Figure]:
  """Returns error and loss against the width, and the test error over the epochs."""
  return {"widths": draw_widths(result), "epochs": draw_epochs(config, result)}


def draw_widths(result: Result) -> Figure:
  """Returns error and loss, training and test, against the width."""
  figure, (left, right) = figures.canvas(2)
  for ax, kind, scale, unit in (
    (left, "error", 100, "error (%)"),
    (right, "loss", 1, "loss (nats)"),
  ):
    for i, (name, words) in enumerate(
      (("test", "test, true labels"), ("train", "training, noisy"))
    ):
      values = scale * at_end(result, f"{name}_{kind}").T
      figures.curves(ax, result.widths, values, words, i, points=True)
    fits = threshold(result)
    if np.isfinite(fits).any():
      ax.axvline(float(np.median(fits[np.isfinite(fits)])), color="black", linewidth=0.9,
                 linestyle="--", label="smallest width that fits its labels")  # fmt: skip
    figures.label(ax, "hidden units", unit, kind, xscale="log")
    ax.set_xticks(result.widths, [str(width) for width in result.widths])
    ax.set_xticks((), minor=True)
  return figures.legend(figure, columns=3)


def draw_epochs(config: Config, result: Result) -> Figure:
  """Returns the test error over the epochs at some widths."""
  figure, (ax,) = figures.canvas()
  epochs = np.arange(1, config.num_epochs + 1)
  for i, w in enumerate(shown(result)):
    words = f"{result.widths[w]} hidden units"
    figures.curves(ax, epochs, 100 * result.test_error[w], words, i, log=True)
  figures.label(ax, "epoch", "test error (%)", "test error, true labels", xscale="log")
  return figures.legend(figure, columns=4)
