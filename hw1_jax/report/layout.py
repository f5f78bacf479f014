"""Where the parts of a figure stand: matplotlib's constrained layout, made faster."""

from typing import Any

import matplotlib
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedFormatter, FixedLocator


class Layout(ConstrainedLayoutEngine):
  """Matplotlib's constrained layout, for figures that are complete and will not be zoomed.

  Minor ticks without a number become one line an axis: matplotlib makes five objects of each tick,
  which took up to two fifths of the time of a figure with logarithmic axes. They take no room.
  """

  def execute(self, fig: Any) -> None:
    seen = [axis for ax in fig.axes for axis in (ax.xaxis, ax.yaxis) if axis.get_visible()]
    minor = [(axis.minor.locator, axis.minor.formatter) for axis in seen]
    for axis in seen:
      _take_bare_ticks(axis)
    super().execute(fig)
    for axis, (locator, formatter) in zip(seen, minor):
      axis.minor.locator, axis.minor.formatter = locator, formatter
      if places := _take_bare_ticks(axis):  # which they are depends on the axes' size
        _draw_bare_ticks(axis, places)


OUTWARDS: dict[str, Any] = {"left": 0, "right": 1, "top": 2, "bottom": 3}  # matplotlib's markers


def _take_bare_ticks(axis: Any) -> list[float]:
  """Returns where an axis has minor ticks without a number, and leaves it the others."""
  if axis.get_ticks_position() not in OUTWARDS:  # on both sides, or none
    return []
  low, high = sorted(axis.get_view_interval())
  places = [place for place in axis.get_minorticklocs() if low <= place <= high]
  texts = axis.minor.formatter.format_ticks(places)
  bare = [place for place, text in zip(places, texts) if not text]
  if bare:
    axis.minor.locator = FixedLocator([place for place, text in zip(places, texts) if text])
    axis.minor.formatter = FixedFormatter([text for text in texts if text])
  return bare


def _draw_bare_ticks(axis: Any, places: list[float]) -> None:
  """Draws minor ticks as matplotlib does, as the markers of one line."""
  axes, name, side = axis.axes, axis.axis_name, axis.get_ticks_position()
  style: Any = matplotlib.rcParams
  edge = [float(side in ("top", "right"))] * len(places)
  x, y = (places, edge) if name == "x" else (edge, places)
  ticks = Line2D(
    x, y, linestyle="none", marker=OUTWARDS[side], color=style[f"{name}tick.color"],
    markersize=style[f"{name}tick.minor.size"], markeredgewidth=style[f"{name}tick.minor.width"],
    transform=axes.get_xaxis_transform() if name == "x" else axes.get_yaxis_transform(),
    clip_on=False, in_layout=False, zorder=axis.zorder,
  )  # fmt: skip
  axes.add_artist(ticks)
