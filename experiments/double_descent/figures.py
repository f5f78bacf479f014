"""The figures."""

import numpy as np
from matplotlib.figure import Figure

from hw1_jax.report import figures

from .findings import at_end, shown, threshold
from .run import Config, Result

APART = 1.3  # ratio of two widths whose names, side by side on a logarithmic axis, do not touch


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
    ax.set_xticks(result.widths, named_apart(result.widths))
    ax.set_xticks((), minor=True)
  return figures.legend(figure, columns=3)


def named_apart(widths: np.ndarray) -> list[str]:
  """Returns each width as a tick's name, '' where it would touch the one before: 10 beside 8."""
  names, last = [], 0.0
  for width in widths:
    names.append(str(width) if width >= APART * last else "")
    last = width if names[-1] else last
  return names


def draw_epochs(config: Config, result: Result) -> Figure:
  """Returns the test error over the epochs at some widths."""
  figure, (ax,) = figures.canvas()
  epochs = np.arange(1, config.num_epochs + 1)
  for i, w in enumerate(shown(result)):
    words = f"{result.widths[w]} hidden units"
    figures.curves(ax, epochs, 100 * result.test_error[w], words, i, log=True)
  figures.label(ax, "epoch", "test error (%)", "test error, true labels", xscale="log")
  return figures.legend(figure, columns=4)
