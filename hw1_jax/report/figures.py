"""Drawing for the experiments: arrays -> matplotlib figures, one look for all.

Models, runs and settings take their colour and marker from one list by index, so that the same
model looks the same in every figure. The colours are Okabe and Ito's, distinguished by colour-blind
readers; markers and line styles say it a second time.
"""

import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter, LogLocator

from hw1_jax import statistics
from hw1_jax.report.layout import Layout

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#B8A800")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
LINES = ("-", "--", "-.", ":", "-", "--", "-.", ":")
REPORTED = "#555555"  # what a report prints, drawn into our figures
INCH = 4.8  # the width of a figure, in inches: at 375 pixels its text still has 8
WIDEST = 6.0  # inches
MOST_POINTS = 500  # of a drawn curve
MANY_RUNS = 30  # thin lines of more are pixels in the SVG, which draws slowly else
LABEL = 26  # characters of a line beside an axis of 2 inches


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
  figure = Figure(figsize=(width * columns, height * rows), layout=Layout())
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
  ends_below: bool = False,
) -> None:
  """Draws every run of `values` [M, E] thin against x [E], and their median thick.

  A run that ends (NaN from there on) ends in the figure, and the median where the first run does:
  nothing is drawn beyond its data. With `ends_below` a run ends because it fell below a threshold:
  it counts as below all others, and the median ends where half of the runs have. With `points` the
  median has a marker at every x.
  """
  values = np.asarray(values, dtype=float)
  keep = thin(len(x), log=log)
  x, values = np.asarray(x)[keep], values[:, keep]
  look = {**style(index), **(marker(index) if points else {})}
  middle = np.median(values, axis=0)
  if ends_below:
    ranked = np.sort(np.where(np.isfinite(values), values, -np.inf), axis=0)[len(values) // 2]
    middle = np.where(np.isfinite(ranked), ranked, np.nan)
  if len(values) > 1:
    for run in values:
      ax.plot(x, run, color=look["color"], linewidth=0.6, alpha=faint(len(values)),
              rasterized=len(values) > MANY_RUNS)  # fmt: skip
  ax.plot(x, middle, label=label, linewidth=1.9, markersize=4.5, **look)


def faint(runs: int) -> float:
  """Returns how opaque one of so many thin lines is."""
  return float(np.clip(4 / runs, 0.12, 0.45))


def means(ax: Axes, x: Any, values: np.ndarray, label: str, index: int) -> None:
  """Draws the means over runs of `values` [L, M] at x [L] with their 95 % intervals."""
  found = statistics.mean_interval(values)
  ends = np.stack([found.effect - found.low, found.high - found.effect])
  ax.errorbar(x, found.effect, yerr=np.where(np.isfinite(ends), ends, 0), label=label, capsize=4,
              elinewidth=1.5, linestyle="none", markersize=6, zorder=4,
              **marker(index))  # fmt: skip


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


def reported(
  ax: Axes,
  x: Any,
  y: Any,
  label: str = "reported",
  index: int | None = None,
  *,
  joined: bool = True,
) -> None:
  """Draws what a report prints: open diamonds, joined by a dotted line where they are a curve.

  In the colour of their model if `index` is given. A curve of 25 points or more has no markers, and
  so many points that are no curve (not `joined`) have small ones.
  """
  color = REPORTED if index is None else COLORS[index % len(COLORS)]
  many, line = np.size(x) >= 25, joined and np.size(x) > 1
  ax.plot(x, y, linestyle=(0, (1, 1.2)) if line else "none", linewidth=1.4, color=color,
          marker="none" if many and line else "d", markerfacecolor="white",
          markersize=4 if many else 6, markeredgecolor=color, markeredgewidth=1.2, label=label,
          zorder=5)  # fmt: skip


def label(
  ax: Axes, x: str, y: str, title: str = "", *, xscale: str = "linear", yscale: str = "linear"
) -> None:
  """Names the axes and sets their scales; linear where no value has a logarithm to show."""
  ax.set_xlabel(x)
  ax.set_ylabel(textwrap.fill(y, LABEL))
  for axis, scale, set_scale in (
    (ax.xaxis, xscale, ax.set_xscale),
    (ax.yaxis, yscale, ax.set_yscale),
  ):
    nothing = scale == "log" and ax.has_data() and not np.isfinite(axis.get_minpos())
    set_scale("linear" if nothing else scale)
    if scale == "log" and not nothing:
      write_decades(axis)
  if title:
    ax.set_title(title, fontsize=10, loc="left")


class Decades(LogFormatter):
  """Writes 0.4 and 20 on a logarithmic axis, or 10⁻⁸ throughout on one that goes far."""

  def __call__(self, value: float, pos: Any = None) -> str:
    axis: Any = self.axis
    low, high = sorted(axis.get_view_interval())
    power = int(np.floor(np.log10(value) + 1e-9))
    lead = round(value / 10.0**power)
    if axis.axis_name == "x" and lead != 1:
      if lead not in _leads(low, high):
        return ""
    elif not super().__call__(value, pos):  # which of the others have one is LogFormatter's
      return ""
    if low >= 1e-4 and high <= 2e5:
      return f"{value:g}"
    if lead != 1:
      return f"{value:g}" if high < 10 * low else ""
    return "10" + str(power).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def _leads(low: float, high: float) -> tuple[int, ...]:
  """Returns the digits whose numbers an x axis shows: few, side by side they would touch; but two.

  1 from 0.01 to 10; 1, 2, 5 from 35 to 450; 1, 2, 3, 5, 7 from 0.15 to 0.45.
  """
  powers = 10.0 ** np.arange(np.floor(np.log10(low)), np.floor(np.log10(high)) + 1)
  for leads in ((1,), (1, 2, 5), (1, 2, 3, 5, 7))[int(high <= 10 * low) :]:
    values = np.multiply.outer(powers, leads)
    if np.sum((values >= low) & (values <= high)) >= 2:
      return leads
  return tuple(range(1, 10))


class DecadesApart(LogLocator):
  """LogLocator, whose ends are whole decades where all values are the same to rounding.

  Matplotlib does so for one value only: logarithms of two neighbouring ones are equal, and the
  axis would be scaled by 1 / 0. Where no value is positive it is 1 to 10, without a warning.
  """

  def nonsingular(self, vmin: float, vmax: float) -> tuple[float, float]:
    if vmax <= 0:
      return 1.0, 10.0
    if 0 < vmin < vmax <= vmin * (1 + 1e-9):
      vmax = vmin
    return super().nonsingular(vmin, vmax)


def write_decades(axis: Axis) -> None:
  """Has a logarithmic axis write its numbers as `Decades` does, and span some, whatever is drawn.

  For axes that have their scale.
  """
  axis.set_major_locator(DecadesApart())
  axes: Any = axis.axes
  axes.autoscale_view(scalex=axis is axes.xaxis, scaley=axis is axes.yaxis)
  axis.set_major_formatter(Decades())
  axis.set_minor_formatter(Decades(minor_thresholds=(1, 0.5)))


def twin(ax: Axes, y: str, index: int, *, yscale: str = "linear") -> Axes:
  """Returns a second y axis on the right, named and coloured like its index-th quantity."""
  right = ax.twinx()
  right.spines["top"].set_visible(False)
  right.set_yscale(yscale)
  right.set_ylabel(textwrap.fill(y, LABEL), color=COLORS[index])
  if yscale == "log":
    write_decades(right.yaxis)
  return right


def legend(figure: Figure, *, columns: int = 3) -> Figure:
  """Returns the figure with one legend below all of its axes, where it covers nothing.

  It has as many columns as the figure's width allows, at most `columns`.
  """
  entries: dict[str, Any] = {}
  for ax in figure.axes:
    handles, names = ax.get_legend_handles_labels()
    entries |= {name: handle for name, handle in zip(names, handles) if name not in entries}
  names = [textwrap.fill(name, 60) for name in entries]
  renderer = FigureCanvasAgg(figure).get_renderer()
  for count in range(min(columns, len(entries)), 0, -1):
    made = figure.legend(
      entries.values(), names, loc="outside lower center", ncols=count, frameon=False, fontsize=8
    )
    if count == 1 or made.get_window_extent(renderer).width <= 0.97 * figure.bbox.width:
      break
    made.remove()
  return figure


def model_names(specs: Sequence[str]) -> list[str]:
  """Returns 'model 1 (5-10-5)', ... for the architectures of a flag."""
  return [f"model {i + 1} ({spec})" for i, spec in enumerate(specs)]
