"""The figures."""

import numpy as np
from matplotlib.figure import Figure

from hw1_jax import data
from hw1_jax.report import figures

from .findings import REPORTED_LOSS, REPORTED_NORM
from .run import Config, Result


def draw(config: Config, result: Result) -> dict[str, Figure]:
  """Returns one figure: gradient norm above, loss below, against the epoch."""
  figure, (top, bottom) = figures.canvas(1, 2, height=2.9)
  epochs = np.arange(1, result.loss.shape[1] + 1)
  for ax, values, name, told in (
    (top, result.gradient_norm, "gradient norm", REPORTED_NORM),
    (bottom, result.loss, config.words("loss (MSE)"), REPORTED_LOSS),
  ):
    for m in range(len(values)):
      ax.plot(epochs, values[m], color="#999999", linewidth=0.4, alpha=0.6, rasterized=True,
              label="each run" if m == 0 else None)  # fmt: skip
    going = int((np.isfinite(values).mean(axis=0) >= 0.5).sum())  # runs only end: a first part
    keep = figures.thin(going)
    ax.plot(epochs[keep], np.nanmedian(values[:, keep], axis=0), linewidth=1.6,
            label=f"median, while half of {len(values)} runs go on",
            **figures.style(0))  # fmt: skip
    if config.report == "long" and config.as_reported:
      figures.reported(ax, list(told), list(told.values()))
    figures.label(ax, "epoch (one step each)", name, yscale="log")
  top.set_title(f"{data.target_label(config.target)}, 1-{config.widths}-1", fontsize=10.5,
                loc="left")  # fmt: skip
  return {"gradient_norm": figures.legend(figure)}
