"""The figures."""

import textwrap

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hw1_jax.report import figures

from .findings import DEFINITIONS, comparisons, told
from .run import Config, Result


def draw(config: Config, result: Result) -> dict[str, Figure]:
  """Returns sensitivity and performance against the batch size, and sensitivity against loss."""
  order = np.argsort(result.batch_sizes)
  sizes = result.batch_sizes[order]
  compared = comparisons(config, result)

  sensitivity, axes = figures.canvas(2, len(DEFINITIONS) // 2, width=2.9, height=2.5)
  for ax, (key, (short, text, unit)) in zip(axes, DEFINITIONS.items()):
    for i, (name, values) in enumerate(compared):
      figures.curves(ax, sizes, values[key][:, order], name, i, points=True)
    figures.label(ax, "batch size", config.words(unit), textwrap.fill(f"{short} {text}", 34))
    ax.title.set_fontsize(8.5)
    ax.set_ylim(bottom=0)

  performance, axes = figures.canvas(2, 2, width=2.9, height=2.3)
  panels = [(kind, quantity) for quantity in ("loss", "accuracy") for kind in ("train", "test")]
  for ax, (kind, quantity) in zip(axes, panels):
    for i, (name, values) in enumerate(compared):
      shown = values[f"{kind}_{quantity}"][:, order]
      shown = 100 - 100 * shown if quantity == "accuracy" else shown
      figures.curves(ax, sizes, shown, name, i, points=True)
    unit = config.words("loss (nats)") if quantity == "loss" else "error (%)"
    figures.label(ax, "batch size", f"{'training' if kind == 'train' else 'test'} {unit}")

  against, axes = figures.canvas(2, width=5.0)
  for ax, key in zip(axes, ("jacobian", "loss_gradient")):
    short, text, unit = DEFINITIONS[key]
    loss, unit = config.words("training loss (nats)"), config.words(unit)
    for i, (name, values) in enumerate(compared):
      for b, place in enumerate(order):
        look = {**figures.marker(b), **({"markerfacecolor": "none"} if i else {})}
        ax.plot(values["train_loss"][:, place], values[key][:, place], linestyle="none",
                label=f"batch {sizes[b]}, {name}", markersize=6, **look)  # fmt: skip
    figures.label(ax, loss, unit, f"{short} {text}", xscale="log")
  for ax in (*sensitivity.axes, *performance.axes):
    ax.set_xticks(sizes, [str(size) for size in sizes], fontsize=8)
  return {
    "both": draw_both(config, result),
    "sensitivity": figures.legend(sensitivity),
    "performance": figures.legend(performance),
    "loss_and_sensitivity": figures.legend(against),
  }


def draw_both(config: Config, result: Result) -> Figure:
  """Returns loss and error with sensitivity (c) on a second axis, the report's two figures."""
  order = np.argsort(result.batch_sizes)
  sizes, values = result.batch_sizes[order], result.equal_epochs

  def theirs_of(field: str) -> list[float | None]:
    return [told(config, int(size), field) for size in sizes]

  figure, axes = figures.canvas(2, width=5.4)
  for ax, quantity, unit in zip(
    axes, ("loss", "accuracy"), (config.words("loss (nats)"), "error (%)")
  ):
    shown = [("run_train_loss", "training, running over all epochs")] if quantity == "loss" else []
    for i, (field, words) in enumerate([*shown, (f"test_{quantity}", "test")]):
      curve, theirs = values[field][:, order], theirs_of(field)
      if quantity == "accuracy":
        curve, theirs = 100 - 100 * curve, [None if v is None else 100 - v for v in theirs]
      index = 1 if words == "test" else i
      figures.curves(ax, sizes, curve, words, index, points=True)
      draw_reported(ax, sizes, theirs, index)
    unit_of_norm = config.words("sensitivity (c), nats per unit of θ")
    right = figures.twin(ax, unit_of_norm, 2)
    figures.curves(right, sizes, values["tensor_norm"][:, order], "sensitivity (c)", 2, points=True)
    draw_reported(right, sizes, theirs_of("tensor_norm"), 2)
    figures.label(ax, "batch size", unit)
    ax.set_xticks(sizes)
  return figures.legend(figure)


def draw_reported(ax: Axes, sizes: np.ndarray, values: list[float | None], index: int) -> None:
  """Draws the report's values where it has some, in the colour of the quantity."""
  known = [(size, value) for size, value in zip(sizes, values) if value is not None]
  if known:
    label = ("reported: training", "reported: test", "reported: (c)")[index]
    figures.reported(ax, [size for size, _ in known], [value for _, value in known], label, index)
