"""Figures: what is drawn of runs that end, and files that a paper would take."""

import re
import sys
import zlib

import numpy as np
import pytest
from matplotlib.backends import _backend_pdf_ps
from matplotlib.backends.backend_agg import FigureCanvasAgg

from hw1_jax.report import figures
from hw1_jax.report.layout import Layout
from hw1_jax.runs.folder import RunFolder, _plain_fonts


@pytest.fixture
def ax():
  _, (ax,) = figures.canvas()
  return ax


def test_every_run_is_drawn_to_its_end_and_the_median_to_the_first_end(ax):
  runs = np.array([[4.0, 3, 2, 1], [8, 6, np.nan, np.nan], [6, 5, 4, np.nan]])
  figures.curves(ax, np.arange(1, 5), runs, "model", 0)
  *thin, median = ax.lines
  assert [int(np.isfinite(line.get_ydata()).sum()) for line in thin] == [4, 2, 3]
  np.testing.assert_array_equal(median.get_ydata(), [6, 5, np.nan, np.nan])
  assert median.get_linewidth() > 2 * max(line.get_linewidth() for line in thin)
  assert not ax.collections  # no band


def test_one_run_is_drawn_once(ax):
  figures.curves(ax, np.arange(3), np.ones((1, 3)), "model", 0)
  assert len(ax.lines) == 1


def test_the_share_of_converged_runs_steps_up_at_each_epoch_and_counts_the_rest(ax):
  figures.shares(ax, np.array([30.0, np.nan, 10.0, np.nan]), 100, "model", 0)
  (line,) = ax.lines
  np.testing.assert_array_equal(line.get_xdata(), [1, 10, 30, 100])
  np.testing.assert_array_equal(line.get_ydata(), [0, 0.25, 0.5, 0.5])


@pytest.mark.parametrize(
  ("points", "mark", "line"), [(1, "d", "None"), (9, "d", "--"), (31, "none", "--")]
)
def test_reported_values_look_alike_and_a_curve_is_joined(ax, points, mark, line):
  figures.reported(ax, np.arange(points), np.arange(points))
  (drawn,) = ax.lines
  assert (drawn.get_marker(), drawn.get_linestyle()) == (mark, line)
  assert drawn.get_color() == figures.REPORTED


def test_panels_stand_below_each_other_where_a_row_would_be_too_wide_for_a_phone():
  for columns, rows, width, widest in ((3, 1, 4.2, 4.8), (1, 1, 6.4, 6.4), (2, 2, 2.6, 5.2)):
    figure, axes = figures.canvas(columns, rows, width=width)
    assert len(axes) == columns * rows
    assert figure.get_figwidth() == widest


@pytest.mark.parametrize("low", [1e-5, 0.03, 0.21])
@pytest.mark.parametrize("scales", ["log linear", "linear log", "log log"])
def test_minor_ticks_look_as_matplotlib_draws_them(low, scales):
  """To the pixel, in matplotlib's own constrained layout: five decades, one, and a third of one."""

  def picture(layout):
    figure, axes = figures.canvas(1, 2)
    figure.set_layout_engine(layout)
    for i, ax in enumerate(axes):
      x, y = scales.split()
      figures.label(ax, "a", "b", "c", xscale=x, yscale=y)
      ax.plot([low, 0.4], [low, 0.4], label=str(i))
    right = figures.twin(axes[1], "d", 1, yscale="log")
    right.plot([low, 0.4], [0.4, low])
    drawn = FigureCanvasAgg(figures.legend(figure))
    drawn.draw()
    ticks = sum(len(axis.minorTicks) for a in figure.axes for axis in (a.xaxis, a.yaxis))
    return np.asarray(drawn.buffer_rgba()).astype(int), ticks

  (ours, kept), (plain, ticks) = picture(Layout()), picture("constrained")
  np.testing.assert_allclose(ours, plain, atol=1)
  assert kept < ticks / 2 if low != 0.21 else kept <= ticks


def draw():
  figure, (ax,) = figures.canvas()
  figures.label(ax, "epoch", "loss (nats)", "α and θ")
  ax.plot([1, 2], [1, 2])
  return {"one": figure}


def test_files_hold_text_as_text_and_their_fonts(tmp_path):
  RunFolder(tmp_path).write_figures(draw())
  svg = (tmp_path / "figures" / "one.svg").read_text()
  assert re.search(r"<text[^>]*>loss \(nats\)</text>", svg)
  pdf = (tmp_path / "figures" / "one.pdf").read_bytes()
  assert b"/FontFile2" in pdf  # TrueType, embedded
  assert b"CreationDate" not in pdf
  assert zlib.decompress(re.search(rb"stream\r?\n(.*?)\r?\nendstream", pdf, re.DOTALL)[1])
  assert (tmp_path / "figures" / "one.png").read_bytes().startswith(b"\x89PNG")
  before = {path.name: path.read_bytes() for path in (tmp_path / "figures").iterdir()}
  RunFolder(tmp_path).write_figures(draw())
  assert {path.name: path.read_bytes() for path in (tmp_path / "figures").iterdir()} == before


def test_a_pdf_holds_what_draws_its_letters_and_nothing_that_shapes_text(tmp_path):
  RunFolder(tmp_path).write_figures(draw())
  pdf = (tmp_path / "figures" / "one.pdf").read_bytes()
  streams = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", pdf, re.DOTALL)
  fonts = [zlib.decompress(stream) for stream in streams if stream[:1] == b"x"]
  fonts = [font for font in fonts if font.startswith(b"\0\1\0\0")]  # TrueType
  assert fonts
  for font in fonts:
    tables = {font[12 + 16 * i :][:4] for i in range(int.from_bytes(font[4:6], "big"))}
    assert {b"glyf", b"loca", b"hmtx", b"head"} <= tables
    assert not tables & {b"GDEF", b"GPOS", b"GSUB"}


def test_a_matplotlib_that_embeds_fonts_in_another_way_may_do_so(monkeypatch):
  monkeypatch.delattr(_backend_pdf_ps.subset.Options, "_drop_tables_default")
  with _plain_fonts():
    assert not hasattr(_backend_pdf_ps.subset.Options, "_drop_tables_default")
  monkeypatch.setitem(sys.modules, _backend_pdf_ps.__name__, None)
  with _plain_fonts():
    pass


def test_the_median_counts_runs_that_ended_below_as_below(ax):
  values = np.array([[5.0, 1, np.nan, np.nan], [6, 4, 2, np.nan], [7, 6, 5, 4]])
  figures.curves(ax, np.arange(4), values, "loss", 0, ends_below=True)
  assert ax.lines[-1].get_ydata() == pytest.approx([6, 4, 2, np.nan], nan_ok=True)


def test_a_legend_is_never_wider_than_its_figure():
  figure, axes = figures.canvas(1)
  for i in range(4):
    axes[0].plot([0, 1], [i, i], label=f"a name that takes much of the width, {i}")
  figures.legend(figure, columns=4)
  renderer = FigureCanvasAgg(figure).get_renderer()
  (made,) = figure.legends
  assert made.get_window_extent(renderer).width <= figure.bbox.width
  assert made._ncols == 1
  short, axes = figures.canvas(1)
  for i in range(3):
    axes[0].plot([0, 1], [i, i], label=str(i))
  assert figures.legend(short).legends[0]._ncols == 3


@pytest.mark.parametrize(
  ("limits", "texts"), [((0.02, 3), ["0.1", "1"]), ((1e-9, 3), ["10⁻⁸", "10⁻⁶", "10⁻²"])]
)
def test_a_logarithmic_axis_is_written_one_way(ax, limits, texts):
  figures.label(ax, "x", "y", yscale="log")
  ax.set_ylim(*limits)
  ax.figure.canvas = FigureCanvasAgg(ax.figure)
  ax.figure.canvas.draw()
  found = [text.get_text() for text in ax.get_yticklabels()]
  assert set(texts) <= set(found)
  assert not any("e" in text for text in found)


@pytest.mark.parametrize(
  ("limits", "texts"),
  [
    ((0.16, 0.7), ["0.2", "0.5"]),
    ((35, 450), ["50", "100", "200"]),
    ((0.15, 0.45), ["0.2", "0.3"]),
    ((0.5, 200), ["1", "10", "100"]),
    ((5e-10, 2e-7), ["10⁻⁹", "10⁻⁸", "10⁻⁷"]),
  ],
)
def test_a_logarithmic_x_axis_names_two_numbers_at_least(ax, limits, texts):
  """One number tells no scale; whole decades are enough where there are two."""
  figures.label(ax, "x", "y", xscale="log")
  ax.set_xlim(*limits)
  ax.figure.canvas = FigureCanvasAgg(ax.figure)
  ax.figure.canvas.draw()
  ticks = [tick for which in ("major", "minor") for tick in ax.xaxis.get_ticklabels(which=which)]
  named = {t.get_position()[0]: t.get_text() for t in ticks if t.get_text()}
  assert [named[x] for x in sorted(named) if limits[0] <= x <= limits[1]] == texts


@pytest.mark.parametrize("first", [True, False], ids=["scale first", "values first"])
@pytest.mark.parametrize("ulps", range(4))
def test_values_equal_to_rounding_have_a_logarithmic_axis_of_decades(ax, first, ulps):
  value = 4.1151230635892295  # its logarithm and those of the next numbers are equal
  values = [value, value + ulps * np.spacing(value)]
  steps = [lambda: figures.label(ax, "x", "y", xscale="log"), lambda: ax.scatter(values, [0.1, 1])]
  for step in steps if first else reversed(steps):
    step()
  with np.errstate(all="raise"):
    FigureCanvasAgg(ax.figure).draw()
  low, high = ax.get_xlim()
  assert low < 2
  assert high > 9


@pytest.mark.parametrize("values", [[0.0, 0.0], [-2.0, -1.0], [np.nan, np.nan], []])
@pytest.mark.parametrize("where", ["left", "right"])
def test_values_of_which_none_is_positive_can_be_drawn_on_a_logarithmic_axis(ax, where, values):
  axes = ax if where == "left" else figures.twin(ax, "z", 1, yscale="log")
  axes.plot(np.arange(len(values)), values)
  axes.axhline(0.0)
  figures.label(ax, "x", "y", yscale="log")
  with np.errstate(all="raise"):
    FigureCanvasAgg(ax.figure).draw()  # without a warning, too
  assert ax.get_yscale() == ("linear" if where == "left" else "log")
