"""The figures."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from hw1_jax import data
from hw1_jax.report import figures, reported
from hw1_jax.summary import at_end

from .findings import names_of, told
from .run import Config, Result


def draw(config: Config, result: Result) -> dict[str, Figure]:
  """Returns training loss and accuracy over epochs, and the test accuracies."""
  drawn = {}
  names = names_of(config)
  told_curves = config.report == "long" and config.as_reported
  epochs = np.arange(1, config.num_epochs + 1)
  for figure_name, field, factor, axis in (
    ("training_loss", "train_loss", 1, config.words("training loss, running mean (nats)")),
    ("training_accuracy", "train_accuracy", 100, "training error, running mean (%)"),
  ):
    figure, (ax,) = figures.canvas()
    for i, spec in enumerate(config.architectures):
      values = getattr(result, field)[i] if factor == 1 else 100 - 100 * getattr(result, field)[i]
      figures.curves(ax, epochs, values, f"{names[i]} ({spec})", i, points=True)
    for i, name in enumerate(names if told_curves else ()):
      # After the curves: the second column of the legend.
      curve = reported.read("train_on_task_curves").where(model=i + 1).columns
      shown = curve[f"running_{field}"] if factor == 1 else 100 - curve[f"running_{field}"]
      figures.reported(ax, curve["epoch"], shown, f"{name}: reported, from figure", i)
    figures.label(ax, "epoch", axis, data.title(config.dataset), yscale="log")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    drawn[figure_name] = figures.legend(figure, columns=2)

  figure, (ax,) = figures.canvas()
  for i, values in enumerate(at_end(result, "test_accuracy")):
    x = i + np.linspace(-0.15, 0.15, len(values) + 2)[1:-1]  # in order, so that none hides another
    ax.plot(x, values, linestyle="none", markersize=5, alpha=0.4, **figures.marker(i))
    if len(values) > 1:
      figures.means(ax, [i + 0.24], values[None], "mean, 95 % interval", i)
    value = told(config, "test_accuracy", i)
    if value is not None:
      figures.reported(ax, i + 0.36, value)
  figures.label(ax, "", "test accuracy (%)", f"{data.title(config.dataset)}: a pale point is a run")
  labels = zip(names, config.architectures, result.num_parameters)
  ticks = [
    f"{name}\n{spec.replace('/', chr(10) + '/')}\n{int(count):,} parameters"
    for name, spec, count in labels
  ]
  ax.set_xticks(range(len(names)), ticks, fontsize=8)
  ax.set_xlim(-0.5, len(names) - 0.5)
  drawn["test_accuracy"] = figures.legend(figure)
  return drawn
