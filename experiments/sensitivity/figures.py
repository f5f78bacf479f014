"""The figures."""

import numpy as np
from matplotlib.figure import Figure

from hw1_jax.report import figures

from .findings import DEFINITIONS, comparisons, reported
from .run import Config, Result


def draw(config: Config, result: Result) -> dict[str, Figure]:
  """Returns sensitivity and performance against the batch size, and sensitivity against loss."""
  order = np.argsort(result.batch_sizes)
  sizes = result.batch_sizes[order]
  compared = comparisons(config, result)

  sensitivity, axes = figures.canvas(3, width=4.2)
  for ax, (key, (short, text, unit)) in zip(axes, DEFINITIONS.items()):
    for i, (name, values) in enumerate(compared):
      figures.curves(ax, sizes, values[key][:, order], name, i, points=True)
    figures.label(ax, "batch size", unit, f"{short} {text}")
    ax.set_ylim(bottom=0)

  performance, axes = figures.canvas(2, width=5.4)
  for ax, quantity, scale, unit in (
    (axes[0], "loss", 1, "cross-entropy (nats)"),
    (axes[1], "accuracy", 100, "accuracy (%)"),
  ):
    for i, (name, values) in enumerate(compared):
      for j, kind in enumerate(("train", "test")):
        figures.curves(ax, sizes, scale * values[f"{kind}_{quantity}"][:, order],
                       f"{name}: {'training' if kind == 'train' else 'test'} set", 2 * i + j,
                       points=True)  # fmt: skip
    for size, told in reported(config).items():
      if size in sizes:
        figures.reported(ax, size, told[f"test_{quantity}"], "reported: test set")
    figures.label(ax, "batch size", unit, quantity)

  against, axes = figures.canvas(2, width=5.0)
  for ax, key in zip(axes, DEFINITIONS):
    short, text, unit = DEFINITIONS[key]
    for i, (name, values) in enumerate(compared):
      for b, place in enumerate(order):
        look = {**figures.marker(b), **({"markerfacecolor": "none"} if i else {})}
        ax.plot(values["train_loss"][:, place], values[key][:, place], linestyle="none",
                label=f"batch {sizes[b]}, {name}", markersize=6, **look)  # fmt: skip
    figures.label(ax, "training loss (nats)", unit, f"{short} {text}", xscale="log")
  for ax in (*sensitivity.axes, *performance.axes):
    ax.set_xticks(sizes)
  return {
    "sensitivity": figures.legend(sensitivity),
    "performance": figures.legend(performance),
    "loss_and_sensitivity": figures.legend(against, columns=4),
  }
