"""Drawing for the experiments: arrays -> matplotlib figures, one look for all.

Models, runs and settings take their colour and marker from one list by index, so that the same
model looks the same in every figure. The colours are Okabe and Ito's, distinguished by colour-blind
readers; markers and line styles say it a second time.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogFormatter

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#B8A800")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
LINES = ("-", "--", "-.", ":", "-", "--", "-.", ":")
REPORTED = "#555555"  # what a report prints, drawn into our figures
INCH = 4.8  # the width of a figure, in inches: at 375 pixels its text still has 8
WIDEST = 6.0  # inches
MOST_POINTS = 500  # of a drawn curve


def style(index: int) -> dict[str, Any]:
  """Returns colour and line style of the index-th model, run or setting."""
  return {"color": COLORS[index % len(COLORS)], "linestyle": LINES[index % len(LINES)]}


def marker(index: int) -> dict[str, Any]:
  """Returns colour and marker of the index-th model, run or setting."""
  return {"color": COLORS[index % len(COLORS)], "marker": MARKERS[index % len(MARKERS)]}


def canvas(
  columns: int = 1, rows: int = 1, *, width: float = INCH, height: float = 3.0
) -> tuple[Figure, list[Axes]]:
  """Returns a figure and its axes in reading order; sizes in inches an axes.

  One row that is wider than WIDEST becomes one column, which a phone can show: a wide figure's text
  would shrink with it.
  """
  if rows == 1 and columns > 1 and columns * width > WIDEST:
    square = height / width > 0.9  # drawn to scale: it keeps its shape
    columns, rows, width, height = 1, columns, INCH, (0.92 if square else 0.5) * INCH
  figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
  grid = figure.subplots(rows, columns, squeeze=False)
  axes = list(grid.flat)
  for ax in axes:
    ax.grid(True, linewidth=0.5, alpha=0.35)
    ax.spines[["top", "right"]].set_visible(False)
  return figure, axes


def thin(length: int, *, log: bool = False) -> np.ndarray:
  """Returns at most about MOST_POINTS increasing indices of a curve, ends included."""
  if length <= MOST_POINTS:
    return np.arange(length)
  if log:
    return np.unique(np.round(np.geomspace(1, length, MOST_POINTS)).astype(int)) - 1
  return np.unique(np.linspace(0, length - 1, MOST_POINTS).astype(int))


def curves(
  ax: Axes,
  x: np.ndarray,
  values: np.ndarray,
  label: str,
  index: int,
  *,
  log: bool = False,
  points: bool = False,
) -> None:
  """Draws every run of `values` [M, E] thin against x [E], and their median thick.

  A run that ends (NaN from there on) ends in the figure, and the median where the first run does:
  nothing is drawn beyond its data. With `points` the median has a marker at every x.
  """
  values = np.asarray(values, dtype=float)
  keep = thin(len(x), log=log)
  x, values = np.asarray(x)[keep], values[:, keep]
  look = {**style(index), **(marker(index) if points else {})}
  if len(values) > 1:
    for run in values:
      ax.plot(x, run, color=look["color"], linewidth=0.6, alpha=0.45)
  ax.plot(x, np.median(values, axis=0), label=label, linewidth=1.9, markersize=4.5, **look)


def hold_last(values: np.ndarray) -> np.ndarray:
  """Returns [M, E] with each row's trailing NaN replaced by its last number."""
  columns = np.arange(values.shape[1])
  last = np.maximum.accumulate(np.where(np.isfinite(values), columns, 0), axis=1)
  return np.take_along_axis(values, last, axis=1)


def shares(
  ax: Axes, epochs: np.ndarray, limit: int, label: str, index: int, *, start: float = 1.0
) -> None:
  """Draws the share of runs that have converged as a step curve, 1 less Kaplan and Meier's.

  Args:
    epochs: [M] of convergence, NaN where a run did not converge by `limit`.
    start: of the axis.
  """
  done = np.sort(epochs[np.isfinite(epochs)])
  x = np.concatenate([[start], done, [limit]])
  y = np.concatenate([[0], np.arange(1, len(done) + 1), [len(done)]]) / len(epochs)
  ax.step(x, y, where="post", label=label, linewidth=1.9, **style(index))


def reported(ax: Axes, x: Any, y: Any, label: str = "reported", index: int | None = None) -> None:
  """Draws what a report prints: open diamonds, joined by a dotted line where they are a curve.

  In the colour of their model if `index` is given. The line has no markers from 25 points on.
  """
  color = REPORTED if index is None else COLORS[index % len(COLORS)]
  many = np.size(x) >= 25
  ax.plot(x, y, linestyle=(0, (1, 1.5)) if np.size(x) > 1 else "none", linewidth=1.2, color=color,
          marker="none" if many else "d", markerfacecolor="white", markersize=6,
          markeredgecolor=color, markeredgewidth=1.2, label=label, zorder=5)  # fmt: skip


def label(
  ax: Axes, x: str, y: str, title: str = "", *, xscale: str = "linear", yscale: str = "linear"
) -> None:
  """Names the axes and sets their scales."""
  ax.set_xlabel(x)
  ax.set_ylabel(y)
  ax.set_xscale(xscale)
  ax.set_yscale(yscale)
  for axis, scale in ((ax.xaxis, xscale), (ax.yaxis, yscale)):
    if scale == "log":  # 0.4, not 4 x 10^-1
      axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
      axis.set_minor_formatter(LogFormatter(minor_thresholds=(1, 0.5)))
  if title:
    ax.set_title(title, fontsize=10, loc="left")


def legend(figure: Figure, *, columns: int = 2) -> Figure:
  """Returns the figure with one legend below all of its axes, where it covers nothing."""
  entries: dict[str, Any] = {}
  for ax in figure.axes:
    handles, names = ax.get_legend_handles_labels()
    entries |= {name: handle for name, handle in zip(names, handles) if name not in entries}
  if entries:
    figure.legend(
      entries.values(),
      entries.keys(),
      loc="outside lower center",
      ncols=min(columns, len(entries)),
      frameon=False,
      fontsize=8,
    )
  return figure


def model_names(specs: Sequence[str]) -> list[str]:
  """Returns 'model 1 (5-10-5)', ... for the architectures of a flag."""
  return [f"model {i + 1} ({spec})" for i, spec in enumerate(specs)]
