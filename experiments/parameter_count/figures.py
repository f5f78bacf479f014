"""The figures."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from hw1_jax.report import figures
from hw1_jax.summary import at_end

from .findings import reported
from .run import Config, Result


def draw(config: Config, result: Result) -> dict[str, Figure]:
  """Returns loss and accuracy, training and test, against the number of parameters."""
  drawn = {}
  order = np.argsort(result.num_parameters)
  elsewhere = "reported" if config.dataset == "mnist" else "reported on MNIST"
  for kind, axis in (("loss", "cross-entropy (nats)"), ("accuracy", "accuracy (%)")):
    figure, (ax,) = figures.canvas()
    shown = (
      (f"exact_train_{kind}", "training, exact"),
      (f"test_{kind}", "test"),
      (f"train_{kind}", "training, running mean of the last epoch"),
    )
    for i, (field, words) in enumerate(shown):
      values = at_end(result, field)[order].T
      figures.curves(ax, result.num_parameters[order], values, words, i, points=True)
    for i, (field, words) in enumerate(shown):
      told = {
        int(count): value
        for spec, count in zip(config.specs, result.num_parameters)
        if (value := reported(config, field, spec)) is not None
      }
      if told:
        label = f"{words.removesuffix(' mean of the last epoch')}: {elsewhere}"
        figures.reported(ax, list(told), list(told.values()), label, i)
    yscale = "log" if kind == "loss" else "linear"
    title = f"{config.dataset}, {config.family.upper()}s"
    figures.label(ax, "parameters", axis, title, xscale="log", yscale=yscale)
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    ax.xaxis.set_minor_formatter(NullFormatter())
    drawn[kind] = figures.legend(figure, columns=2)
  return drawn
