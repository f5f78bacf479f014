"""Draws the scaling curves: time above, memory below it, all axes logarithmic.

Beside the measured points stands, dashed, what theory says of large sizes: only its slope means
something, so it is drawn a little apart and only over the sizes that the fit is made of.
"""

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator

from benchmarks import curves, fits
from hw1_jax.report import figures
from hw1_jax.runs.files import write_bytes

ASIDE = 2.0  # factor between a curve and its theory; our choice, for the eye
SMALL = 7.5  # points, the text inside the panels
LINE = 0.12  # of a panel's height, one line of that text
GREY = "#555555"
COLUMNS = 5  # of curves; more go into a second block of rows


class Line(NamedTuple):
  """What a panel shows of one series."""

  label: str
  sizes: np.ndarray
  values: np.ndarray
  exponent: float  # measured
  theory: Callable[[np.ndarray], np.ndarray]  # sizes -> values, but for a factor
  formula: str  # of the theory
  first: int  # index from which on theory is drawn


def save(measured: dict[str, Any], output: Path) -> None:
  """Writes the figure of the curves, by name; the same curves, the same bytes."""
  svg = output.suffix == ".svg"
  buffer = io.BytesIO()
  with matplotlib.rc_context({"svg.hashsalt": "scaling"}):
    options: dict[str, Any] = {"metadata": {"Date": None}} if svg else {"dpi": 150}
    draw(measured).savefig(buffer, format=output.suffix[1:], **options)
  write_bytes(output, buffer.getvalue())


def draw(measured: dict[str, Any]) -> Figure:
  """Returns the figure: time and added memory against size, with the slopes of theory."""
  columns = min(len(measured), COLUMNS)
  blocks = -(-len(measured) // columns)
  with matplotlib.rc_context({"font.size": 8.5}):
    figure, axes = figures.canvas(columns, 2 * blocks, width=2.6, height=2.4)
  pairs = np.reshape(axes, (blocks, 2, columns)).swapaxes(1, 2).reshape(-1, 2)
  for spare in pairs[len(measured) :].flat:
    spare.remove()
  for k, ((above, below), (name, found)) in enumerate(zip(pairs, measured.items())):
    curve, i = curves.CURVES[name], k % columns
    series = [(curve.series[key], found["series"][key]) for key in curve.series]
    panel(above, curve, [time_line(curve, *one) for one in series])
    panel(below, curve, [memory_line(curve, *one) for one in series])
    figures.label(above, curve.axis, "" if i else "time (s)", xscale="log", yscale="log")
    figures.label(below, curve.axis, "" if i else "memory added (MiB)", xscale="log", yscale="log")
    above.set_title(curve.title, fontsize=9.5, loc="left")
    for ax in (above, below):
      mark_sizes(ax, [point["size"] for point in series[0][1]["points"]])
  return figure


def time_line(curve: curves.Curve, series: curves.Series, found: dict[str, Any]) -> Line:
  """Returns seconds a call; theory is a power of the size, or a constant and a multiple of it."""
  points = found["points"]
  sizes, first = sizes_of(points)
  seconds = np.array([point["seconds"] for point in points])
  theory, formula = power(curve.symbol, series.exponent)
  if series.with_constant:
    a, b = fits.constant_and_rate(points)
    theory, formula, first = lambda x: a + b * x, f"$a + b\\,{curve.symbol}$", 0
  return Line(series.label, sizes, seconds, found["exponent"], theory, formula, first)


def memory_line(curve: curves.Curve, series: curves.Series, found: dict[str, Any]) -> Line:
  """Returns MiB that the calls need on top of packages and inputs."""
  sizes, first = sizes_of(found["points"])
  added = np.array([fits.added_mib(point) for point in found["points"]])
  theory, formula = power(curve.symbol, series.memory)
  return Line(series.label, sizes, added, found["memory_exponent"], theory, formula, first)


def sizes_of(points: list[dict[str, Any]]) -> tuple[np.ndarray, int]:
  """Returns the sizes and the index of the first one of the upper half."""
  sizes = np.array([point["size"] for point in points], float)
  return sizes, len(sizes) - len(fits.upper_half(points))


def power(symbol: str, exponent: float) -> tuple[Callable[[np.ndarray], np.ndarray], str]:
  """Returns size -> size^exponent, and its formula."""
  if exponent == 0:
    return lambda sizes: np.ones_like(sizes), "constant"
  raised = "" if exponent == 1 else f"^{{{exponent:g}}}"
  return lambda sizes: sizes**exponent, f"$\\propto {symbol}{raised}$"


def panel(ax: Axes, curve: curves.Curve, lines: Sequence[Line]) -> None:
  """Draws the lines, their theories beside them, and names both."""
  highest = max(range(len(lines)), key=lambda k: lines[k].values[-1])
  shared = len({line.formula for line in lines}) == 1
  extent = [value for line in lines for value in line.values]
  for k, line in enumerate(lines):
    ax.plot(line.sizes, line.values, linewidth=1.5, markersize=4.5, **figures.marker(k))
    if shared and k != min(range(len(lines)), key=lambda j: lines[j].values[-1]):
      continue  # one slope for all: below the lowest line
    upward = len(lines) > 1 and not shared and k == highest
    extent += list(guide(ax, line, ASIDE if upward else 1 / ASIDE))
  # Room for the names: curves that rise leave the upper left corner free, others the upper right.
  low, high = np.log10(min(extent)), np.log10(max(extent))
  spread = max(high - low, 1.0)
  low, high = low - LINE * spread, high + LINE * spread * (len(lines) + 0.7)
  ax.set_ylim(10**low, 10**high)
  rises = lines[0].values[-1] >= lines[0].values[0]
  for k, line in enumerate(lines):
    name = f"{line.label}: " if len(lines) > 1 else "measured: "
    ax.text(
      0.03 if rises else 0.97,
      0.98 - LINE * k * 0.8,
      f"{name}$\\propto {curve.symbol}^{{{line.exponent:.2f}}}$",
      color=figures.COLORS[k],
      fontsize=SMALL,
      transform=ax.transAxes,
      horizontalalignment="left" if rises else "right",
      verticalalignment="top",
    )


def guide(ax: Axes, line: Line, aside: float) -> np.ndarray:
  """Draws theory's slope, at least the factor `aside` from the measured values; returns it."""
  sizes = line.sizes[line.first :]
  grid = np.geomspace(sizes[0], sizes[-1], 50)
  ratios = line.values[line.first :] / line.theory(sizes)
  factor = aside * (min(ratios) if aside < 1 else max(ratios))  # so that the lines never cross
  values = factor * line.theory(grid)
  ax.plot(grid, values, color=GREY, linewidth=1.1, linestyle=(0, (4, 2.5)))
  right = (values[-1] >= values[0]) == (aside < 1)  # the side on which the text is off the line
  at = len(grid) // 3 if values[-1] >= values[0] else 2 * len(grid) // 3
  ax.annotate(
    f"theory {line.formula}",
    (grid[at], values[at]),
    (3 if right else -3, -3 if aside < 1 else 3),
    textcoords="offset points",
    color=GREY,
    fontsize=SMALL,
    horizontalalignment="left" if right else "right",
    verticalalignment="top" if aside < 1 else "bottom",
  )
  return values


def mark_sizes(ax: Axes, sizes: list[int]) -> None:
  """Puts a tick at each measured size, and plain numbers on both axes."""
  ax.xaxis.set_major_locator(FixedLocator(sizes))
  ax.xaxis.set_minor_locator(NullLocator())
  ax.xaxis.set_major_formatter(FuncFormatter(lambda size, _: f"{size:g}"))
  low, high = np.log10(ax.get_ylim())
  ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high - low < 2.5 else (1,)))
  ax.yaxis.set_minor_formatter(NullFormatter())
  ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: plain(value)))
  ax.tick_params(labelsize=SMALL)
  ax.margins(x=0.08)


def plain(value: float) -> str:
  """Returns 0.002, 20 or, where that gets long, a power of ten."""
  if 1e-3 <= value < 1e5:
    return f"{value:g}"
  exponent = int(np.floor(np.log10(value) + 1e-9))
  digit = round(value / 10.0**exponent)
  times = "" if digit == 1 else f"{digit}\\cdot"
  return f"${times}10^{{{exponent}}}$"
