"""The figures."""

import numpy as np
from matplotlib.figure import Figure

from hw1_jax import data, survival
from hw1_jax.report import figures, reported

from .findings import told
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

    figure, axes = figures.canvas(len(names), width=3.4, height=2.3)
    curve = reported.read("simulate_function_curves").where(target=target)
    for i, (ax, name) in enumerate(zip(axes, names)):
      loss = result.loss[f"{target}/model_{i + 1}"]
      epochs = np.arange(1, loss.shape[1] + 1)
      figures.curves(ax, epochs, loss, "median, until half have converged; thin: each run", i,
                     log=True, ends_below=True)  # fmt: skip
      if config.report == "long" and config.as_reported:
        own = curve.where(model=i + 1).columns
        figures.reported(ax, own["epoch"], own["loss"], "reported, read from its figure")
      ax.axhline(config.loss_below, color="black", linewidth=0.8, label="stop rule")
      figures.label(
        ax, "epoch", config.words("training loss (MSE)"), name, xscale="log", yscale="log"
      )
    lowest, highest = zip(*(ax.get_ylim() for ax in axes))
    for ax in axes:
      ax.set_ylim(min(lowest), max(highest))
    drawn[f"loss_{file}"] = figures.legend(figure)
    drawn[f"convergence_{file}"] = draw_convergence(config, result, target, title)

    figure, (ax,) = figures.canvas()
    ax.plot(result.x, truth, color="black", linewidth=2.6, alpha=0.35, label="target")
    for i, name in enumerate(names):
      runs = result.prediction[f"{target}/model_{i + 1}"]
      ax.plot(result.x, runs.T, color=figures.COLORS[i], linewidth=0.4,
              alpha=figures.faint(len(runs)), rasterized=True)  # fmt: skip
      ax.plot(result.x, np.median(runs, axis=0), label=f"{name}, median", linewidth=1.6,
              **figures.style(i))  # fmt: skip
    figures.label(ax, "x", "y", f"{title}; thin: each run")
    drawn[f"prediction_{file}"] = figures.legend(figure, columns=2)
  return drawn


def draw_convergence(config: Config, result: Result, target: str, title: str) -> Figure:
  """Returns the share of runs that have not yet converged, over the epochs."""
  figure, (ax,) = figures.canvas()
  for i, name in enumerate(figures.model_names(config.widths)):
    key = f"{target}/model_{i + 1}"
    curve = survival.kaplan_meier(result.stop_epoch[key], result.converged[key])
    x = np.array([1, *curve.times, config.num_epochs])

    def steps(values: np.ndarray) -> np.ndarray:
      return np.array([1, *values, values[-1] if len(values) else 1])

    ax.step(x, steps(curve.survival), where="post", label=name, linewidth=1.6, **figures.style(i))
    ax.fill_between(x, steps(curve.low), steps(curve.high), step="post", alpha=0.14, linewidth=0,
                    color=figures.COLORS[i])  # fmt: skip
    epoch = told(config, target, i)[0]
    if isinstance(epoch, int):
      figures.reported(ax, epoch, 0.5, f"model {i + 1}: reported epoch", i)
  ax.set_ylim(-0.03, 1.03)
  figures.label(ax, "epoch", "share of runs not yet converged", title, xscale="log")
  return figures.legend(figure, columns=2)
