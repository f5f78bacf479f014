"""The figures."""

import numpy as np
from matplotlib.figure import Figure

from hw1_jax import data
from hw1_jax.report import figures

from .findings import reported
from .run import Config, Result


def draw(config: Config, result: Result) -> dict[str, Figure]:
  """Returns for each target: the target itself, the losses, the predictions."""
  drawn = {}
  names = figures.model_names(config.widths)
  for target in config.targets:
    file = data.target_file(target)
    truth, title = result.y[target], data.target_label(target)
    figure, (ax,) = figures.canvas()
    ax.plot(result.x, truth, color="black", linewidth=1.4)
    figures.label(ax, "x", "y", f"target: {title}")
    drawn[f"target_{file}"] = figure

    figure, (ax,) = figures.canvas()
    for i, name in enumerate(names):
      loss = result.loss[f"{target}/model_{i + 1}"]
      figures.curves(ax, np.arange(1, loss.shape[1] + 1), loss, name, i, log=True)
      told = reported(config, target, i)[0]
      if isinstance(told, int):
        ax.axvline(told, color=figures.COLORS[i], linestyle=(0, (1, 2)), linewidth=1.2,
                   label=f"model {i + 1}: reported epoch of convergence")  # fmt: skip
    ax.axhline(config.loss_below, color=figures.REPORTED, linewidth=0.8, label="stop rule")
    figures.label(ax, "epoch", "training loss (MSE)", title, xscale="log", yscale="log")
    drawn[f"loss_{file}"] = figures.legend(figure, columns=2)

    figure, (ax,) = figures.canvas()
    ax.plot(result.x, truth, color="black", linewidth=2.6, alpha=0.35, label="target")
    for i, name in enumerate(names):
      figures.curves(ax, result.x, result.prediction[f"{target}/model_{i + 1}"], name, i)
    figures.label(ax, "x", "y", f"{title}: predictions")
    drawn[f"prediction_{file}"] = figures.legend(figure, columns=2)
  return drawn
