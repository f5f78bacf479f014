"""The figures."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from hw1_jax import data
from hw1_jax.report import figures

from .findings import measured, told
from .run import Config, Result


def draw(config: Config, result: Result) -> dict[str, Figure]:
  """Returns loss and accuracy, training and test, against the number of parameters."""
  drawn = {}
  order = np.argsort(result.num_parameters)
  for kind, axis in (
    ("loss", config.words("cross-entropy (nats)")),
    ("accuracy", "error (%)"),
  ):
    figure, (ax,) = figures.canvas()
    shown = (
      (f"exact_train_{kind}", "training, exact"),
      (f"test_{kind}", "test"),
      ("lowest_train_loss", "training, lowest running mean") if kind == "loss" else
      ("train_accuracy", "training, last running mean"),
    )  # fmt: skip
    for i, (field, words) in enumerate(shown):
      values = measured(result, field)[order].T
      if kind == "accuracy":
        values = 100 - values
      figures.curves(ax, result.num_parameters[order], values, words, i, points=True)
    for i, (field, words) in enumerate(shown):
      printed = {
        int(count): value if kind == "loss" else 100 - value
        for spec, count in zip(config.specs, result.num_parameters)
        if (value := told(config, field, spec)) is not None
      }
      if printed:
        figures.reported(
          ax, list(printed), list(printed.values()), f"{words}: reported, at learning rate 1e-3", i
        )
    title = f"{data.title(config.dataset)}, {config.family.upper()}s"
    figures.label(ax, "parameters", axis, title, xscale="log", yscale="log")
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    ax.xaxis.set_minor_formatter(NullFormatter())
    drawn[kind] = figures.legend(figure)
  return drawn
