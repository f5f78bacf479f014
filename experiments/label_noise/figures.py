"""The figures."""

import numpy as np
from matplotlib.figure import Figure

from hw1_jax.report import figures

from .findings import FITTED, epochs_to_fit, final_gap, gap_at_best, lowest_test_error
from .run import Config, Result


def draw(config: Config, result: Result) -> dict[str, Figure]:
  """Returns the fitting over time, and the test error by fraction."""
  return {"fit": draw_fit(config, result), "error": draw_error(config, result)}


def draw_fit(config: Config, result: Result) -> Figure:
  """Returns training errors over the epochs, and the epochs until they are fitted."""
  figure, (left, right) = figures.canvas(2)
  epochs = np.arange(1, config.num_epochs + 1)
  for i, fraction in enumerate(config.fractions):
    figures.curves(left, epochs, 100 * result.train_error[i], f"{100 * fraction:g} % random", i)
  left.axhline(100 * FITTED, color="black", linewidth=0.8)
  figures.label(left, "epoch", "training error (%)", "error on the labels trained on")
  left.set_yscale("symlog", linthresh=100 * FITTED)
  left.set_yticks((0, 1, 10, 100), ("0", "1", "10", "100"))
  left.set_ylim(bottom=0)
  found = epochs_to_fit(result)
  figures.curves(right, 100 * result.fractions, np.where(np.isfinite(found), found, np.nan).T,
                 f"epochs until {100 * (1 - FITTED):g} % are fitted", 0, points=True)  # fmt: skip
  figures.label(right, "random labels (%)", "epochs", "time to fit", yscale="log")
  return figures.legend(figure, columns=3)


def draw_error(config: Config, result: Result) -> Figure:
  """Returns the test error at the end and at its lowest, and the gaps."""
  figure, (left, right) = figures.canvas(2)
  x = 100 * result.fractions
  guessing = 100 * (1 - 1 / float(result.num_classes))
  figures.curves(left, x, 100 * result.test_error[..., -1].T, "at the end", 1, points=True)
  figures.curves(
    left, x, 100 * lowest_test_error(result).T, "at the lowest test error", 2, points=True
  )
  left.axhline(guessing, color="black", linewidth=0.8, label="guessing")
  figures.label(left, "random labels (%)", "test error (%)", "on true labels")
  figures.curves(right, x, 100 * final_gap(result).T, "at the end", 1, points=True)
  figures.curves(right, x, 100 * gap_at_best(result).T, "at the lowest test error", 2, points=True)
  right.axhline(0, color="black", linewidth=0.8)
  figures.label(right, "random labels (%)", "test − training error (points)", "gap")
  return figures.legend(figure, columns=3)
