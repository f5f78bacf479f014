"""The figures."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hw1_jax.report import figures, reported

from .findings import TITLES, describe, epochs_in_words
from .retraining import CURVES
from .run import INDEPENDENT, PAIRS, Config, Result

BETWEEN = "; between them"  # the part of the line from alpha 0 to 1, on scales of its own


def drawn_values(
  curves: dict[str, np.ndarray], kind: str, quantity: str, floor: float
) -> np.ndarray:
  """Returns losses, or errors in % that are at least `floor`, for a logarithmic axis."""
  values = curves[f"{kind}_{quantity}"].astype(float)
  return values if quantity == "loss" else np.maximum(100 - 100 * values, floor)


def with_ends(
  alphas: np.ndarray, curves: dict[str, np.ndarray], ends: dict[str, np.ndarray]
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
  """Returns alphas [A + 2] and curves [M, A + 2] with the two models themselves at 0 and 1."""
  both = np.concatenate([alphas, [0.0, 1.0]])
  order = np.argsort(both, kind="stable")
  joined = {name: np.concatenate([values, ends[name]], axis=1)[:, order]
            for name, values in curves.items()}  # fmt: skip
  return both[order], joined


def draw_curves(
  ax: Axes,
  alphas: np.ndarray,
  curves: dict[str, np.ndarray],
  ends: dict[str, np.ndarray] | None,
  floor: float,
  title: str,
) -> None:
  """Draws the losses, called `title`, on the left axis and the errors on the right, in decades."""
  # Errors over decades: what lies between the models is a percent, what lies beyond tens of them.
  right = figures.twin(ax, "error (%)", 1, yscale="log")
  for quantity, axis, color, word in (
    ("loss", ax, figures.COLORS[0], "loss"),
    ("accuracy", right, figures.COLORS[1], "error"),
  ):
    for kind, line, shape in (("train", "-", "o"), ("test", "--", "s")):
      values = drawn_values(curves, kind, quantity, floor)
      name = f"{word}, {'training' if kind == 'train' else 'test'} set"
      axis.plot(alphas, np.median(values, axis=0), line, color=color, linewidth=1.9, label=name)
      axis.plot(alphas, values.T, line, color=color, linewidth=0.5,
                alpha=figures.faint(len(values)))  # fmt: skip
      if ends is not None:
        both = np.median(drawn_values(ends, kind, quantity, floor), axis=0)
        axis.plot((0, 1), both, shape, color=color, markersize=5.5, markerfacecolor="white",
                  zorder=5)  # fmt: skip
  figures.label(ax, "α", title, yscale="log")
  ax.yaxis.label.set_color(figures.COLORS[0])


def draw(config: Config, result: Result) -> dict[str, Figure]:
  """Returns for each pair the curves, a panel a variant, and its training loss over the epochs."""
  drawn = {}
  theirs = config.report == "long" and config.as_reported
  floor = 50 / int(result.num_test)  # half a test image, in %
  title = config.words("cross-entropy (nats)")
  for i, pair in enumerate(PAIRS):
    first, second = describe(config, i)
    panels = [("", result.evaluated, pair)]
    if config.independent_start:
      panels.append(("; own starts", result.evaluated, pair + INDEPENDENT))
    if result.retrained:
      more = f"; + {epochs_in_words(config.retrain_epochs)}"
      panels.append((more, result.retrained, pair))
    panels.insert(0, (BETWEEN, result.evaluated, pair))
    figure, axes = figures.canvas(len(panels), width=5.2, height=4.0)
    for ax, (note, table, key) in zip(axes, panels):
      curves = {name: table[f"{key}/{name}"] for name in CURVES}
      ends = {name: result.ends[f"{key}/{name}"] for name in CURVES}
      if table is result.retrained:  # drawn as the report records it
        curves |= {name: table[f"{key}/running_{name}"] for name in CURVES[:2]}
        draw_curves(ax, result.alphas, curves, None, floor, title)
      else:
        alphas, curves = with_ends(result.alphas, curves, ends)
        shown = (alphas >= 0) & (alphas <= 1) if note == BETWEEN else np.ones_like(alphas, bool)
        curves = {name: values[:, shown] for name, values in curves.items()}
        draw_curves(ax, alphas[shown], curves, ends, floor, title)
      if table is result.retrained and theirs:
        draw_reported(ax, pair)
      ax.set_title(f"α = 0: {first}; α = 1: {second}{note}", fontsize=9.5, loc="left")
    drawn[pair] = figures.legend(figure)
    drawn[f"training_{pair}"] = draw_training(config, result, i)
  return drawn


def draw_reported(ax: Axes, pair: str) -> None:
  """Draws the report's losses at its 31 alphas, both the same quantity as ours in this panel."""
  table = reported.read(f"interpolation_{pair}")
  shown = {"running_train_loss": ("training loss", 0), "test_loss": ("test loss", None)}
  for column, (words, index) in shown.items():
    x, y = table.points("alpha", column)
    figures.reported(ax, x, y, f"reported: {words}", index)


def draw_training(config: Config, result: Result, pair: int) -> Figure:
  """Returns the training loss of a pair's members over the epochs, with the report's."""
  figure, (ax,) = figures.canvas()
  key = PAIRS[pair]
  printed = reported.read("interpolation_training").where(pair=key).columns
  for j, (name, column) in enumerate(zip(describe(config, pair), ("first", "second"))):
    values = result.pair_train_loss[key][:, j]
    length = int(np.isfinite(values[0]).sum())
    epochs = np.arange(1, length + 1)
    figures.curves(ax, epochs, values[:, :length], name, j, points=True)
    if config.report == "long" and config.as_reported:
      figures.reported(ax, printed["epoch"], printed[column], f"{name}: reported", j)
  title = config.words("training loss, running mean (nats)")
  figures.label(ax, "epoch", title, TITLES[key], yscale="log")
  return figures.legend(figure)
