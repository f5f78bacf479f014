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

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#B8A800")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
LINES = ("-", "--", "-.", ":", "-", "--", "-.", ":")
REPORTED = "#555555"  # what a report prints, drawn into our figures
MOST_POINTS = 500  # of a drawn curve


def style(index: int) -> dict[str, Any]:
  """Returns colour and line style of the index-th model, run or setting."""
  return {"color": COLORS[index % len(COLORS)], "linestyle": LINES[index % len(LINES)]}


def marker(index: int) -> dict[str, Any]:
  """Returns colour and marker of the index-th model, run or setting."""
  return {"color": COLORS[index % len(COLORS)], "marker": MARKERS[index % len(MARKERS)]}


def canvas(
  columns: int = 1, rows: int = 1, *, width: float = 6.4, height: float = 3.9
) -> tuple[Figure, list[Axes]]:
  """Returns a figure and its axes in reading order; sizes in inches an axes."""
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
  """Draws the median over runs of `values` [M, E] against x [E], and min to max as a band.

  A run that has ended (NaN from there on) keeps its last value, so that the band is always that of
  all runs. With `points` every x gets a marker.
  """
  values = hold_last(np.asarray(values, dtype=float))
  keep = thin(len(x), log=log)
  x, values = np.asarray(x)[keep], values[:, keep]
  look = {**style(index), **(marker(index) if points else {})}
  ax.plot(x, np.median(values, axis=0), label=label, linewidth=1.6, markersize=5, **look)
  if values.shape[0] > 1:
    low, high = values.min(axis=0), values.max(axis=0)
    ax.fill_between(x, low, high, color=look["color"], alpha=0.16, linewidth=0)


def hold_last(values: np.ndarray) -> np.ndarray:
  """Returns [M, E] with each row's trailing NaN replaced by its last number."""
  columns = np.arange(values.shape[1])
  last = np.maximum.accumulate(np.where(np.isfinite(values), columns, 0), axis=1)
  return np.take_along_axis(values, last, axis=1)


def reported(ax: Axes, x: Any, y: Any, label: str = "reported", index: int | None = None) -> None:
  """Draws the values that a report prints as open diamonds, in their model's colour if given."""
  color = REPORTED if index is None else COLORS[index % len(COLORS)]
  ax.plot(x, y, linestyle="none", marker="d", markerfacecolor="none", markersize=8,
          markeredgecolor=color, markeredgewidth=1.4, label=label, zorder=5)  # fmt: skip


def reported_line(ax: Axes, y: float, label: str, index: int | None = None) -> None:
  """Draws a reported level as a thin dotted line, in the colour of its model if it has one."""
  color = REPORTED if index is None else COLORS[index % len(COLORS)]
  ax.axhline(y, color=color, linestyle=(0, (1, 2)), linewidth=1.2, label=label)


def label(
  ax: Axes, x: str, y: str, title: str = "", *, xscale: str = "linear", yscale: str = "linear"
) -> None:
  """Names the axes and sets their scales."""
  ax.set_xlabel(x)
  ax.set_ylabel(y)
  ax.set_xscale(xscale)
  ax.set_yscale(yscale)
  if title:
    ax.set_title(title, fontsize=10.5, loc="left")


def legend(figure: Figure, *, columns: int = 3) -> Figure:
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
      fontsize=8.5,
    )
  return figure


def model_names(specs: Sequence[str]) -> list[str]:
  """Returns 'model 1 (5-10-5)', ... for the architectures of a flag."""
  return [f"model {i + 1} ({spec})" for i, spec in enumerate(specs)]
