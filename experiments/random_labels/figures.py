"""The figures."""

import numpy as np
from matplotlib.figure import Figure

from hw1_jax import data, own
from hw1_jax.report import figures, reported

from .run import MINIBATCH, Config, Result


def draw(config: Config, result: Result) -> dict[str, Figure]:
  """Returns training and test loss, and training and test accuracy, over the epochs."""
  drawn = {}
  epochs = np.arange(1, config.num_epochs + 1)
  title = (
    f"{data.title(config.dataset)}, {100 * config.fraction:g} % of the training labels at random"
  )
  sets = (("train", "training, random labels"), ("test", "test, true labels"))

  figure, (ax, right) = figures.canvas(2, width=5.2)
  figures.curves(ax, epochs, result.train_loss, "training, running mean", 0)
  figures.curves(ax, epochs, result.minibatch_loss, f"training, minibatch {MINIBATCH} or last", 2)
  figures.curves(right, epochs, result.test_loss, "test, true labels", 1)
  if config.report == "long" and config.as_reported:
    printed = reported.read("random_labels").columns
    figures.reported(ax, printed["epoch"], printed["minibatch_501_loss"], "reported")
    figures.reported(right, printed["epoch"], printed["test_loss"], "reported")
  classes = int(result.num_classes)
  for panel in () if own.is_own(config.loss) else (ax, right):
    panel.axhline(np.log(classes), color="black", linewidth=0.8, label=f"guessing: ln {classes}")
  figures.label(ax, "epoch", config.words("training loss (nats)"), title, yscale="log")
  figures.label(right, "epoch", config.words("test loss (nats)"))  # linear: its rise is the finding
  drawn["loss"] = figures.legend(figure)

  figure, (ax,) = figures.canvas()
  for i, (name, words) in enumerate(sets):
    figures.curves(ax, epochs, 100 * getattr(result, f"{name}_accuracy"), words, i)
  chance = 100 / classes
  ax.axhline(chance, color="black", linewidth=0.8, label=f"guessing: {chance:.3g} %")
  figures.label(ax, "epoch", "accuracy (%)", title)
  ax.set_ylim(0, 102)
  drawn["accuracy"] = figures.legend(figure)
  return drawn
