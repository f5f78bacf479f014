"""The figures."""

import numpy as np
from matplotlib.figure import Figure

from hw1_jax.report import figures

from .findings import TOPIC
from .run import Config, Result


def draw(config: Config, result: Result) -> dict[str, Figure]:
  """Returns training and test loss, and training and test accuracy, over the epochs."""
  drawn = {}
  epochs = np.arange(1, config.num_epochs + 1)
  told = TOPIC.reported.get(config.report, {})
  elsewhere = "reported" if config.dataset == "mnist" else "reported on MNIST"
  title = f"{config.dataset}, {100 * config.fraction:g} % of the training labels at random"
  sets = (("train", "training, random labels"), ("test", "test, true labels"))

  figure, (ax,) = figures.canvas()
  for i, (name, words) in enumerate(sets):
    figures.curves(ax, epochs, getattr(result, f"{name}_loss"), words, i)
  for i, (name, words) in enumerate(sets):  # after the curves: the second column of the legend
    if f"{name}_loss" in told:
      label = f"{words.split(',')[0]}: {elsewhere}, at the end"
      figures.reported_line(ax, told[f"{name}_loss"], label, i)
  classes = int(result.num_classes)
  ax.axhline(np.log(classes), color="black", linewidth=0.8, label=f"guessing: ln {classes}")
  figures.label(ax, "epoch", "cross-entropy (nats)", title, yscale="log")
  drawn["loss"] = figures.legend(figure, columns=3)

  figure, (ax,) = figures.canvas()
  for i, (name, words) in enumerate(sets):
    figures.curves(ax, epochs, 100 * getattr(result, f"{name}_accuracy"), words, i)
  chance = 100 / classes
  ax.axhline(chance, color="black", linewidth=0.8, label=f"guessing: {chance:.3g} %")
  figures.label(ax, "epoch", "accuracy (%)", title)
  ax.set_ylim(0, 102)
  drawn["accuracy"] = figures.legend(figure)
  return drawn
