"""The figures."""

import numpy as np
from matplotlib.figure import Figure

from hw1_jax.report import figures

from .findings import count
from .run import Config, Result


def draw(config: Config, result: Result) -> dict[str, Figure]:
  """Returns ratio against loss, the three counts run by run, and the gradient norms."""
  counts, reached = count(config, result), result.converged
  figure, axes = figures.canvas(2, 1, width=4.6)
  zero = f"zero up to {config.rtol:g} max|λ|"
  for ax, values, title in (
    (axes[0], counts.plain, "plain count, λ > 0"),
    (axes[1], counts.positive, zero),
  ):
    for mask, fill, name in (
      (reached, figures.COLORS[0], f"||grad|| ≤ {config.grad_tolerance:g}"),
      (~reached, "none", "tolerance not reached"),
    ):
      if mask.any():
        ax.scatter(result.loss[mask], values[mask], s=26, facecolor=fill, alpha=0.8,
                   edgecolor=figures.COLORS[0], label=name)  # fmt: skip
    log = "log" if np.all(result.loss > 0) else "linear"
    figures.label(ax, "loss (MSE)", "minimal ratio", title, xscale=log)
    ax.set_ylim(-0.02, 1.02)
  drawn = {"minimal_ratio": figures.legend(figure)}

  figure, (ax,) = figures.canvas()
  order, base = np.argsort(result.loss), np.zeros(len(reached))
  for i, (name, part) in enumerate(
    (("positive", counts.positive), ("zero", counts.zero), ("negative", counts.negative))
  ):
    color, hatch = figures.COLORS[(0, 5, 1)[i]], ("", "", "////")[i]
    ax.bar(np.arange(len(base)), part[order], bottom=base, width=1.0, color=color, hatch=hatch,
           edgecolor="white", linewidth=0.2, label=name)  # fmt: skip
    base += part[order]
  ax.plot(np.arange(len(base)), counts.plain[order], "k.", markersize=3, label="plain count, λ > 0")
  figures.label(ax, "run, by increasing loss", "fraction of the eigenvalues", zero)
  ax.set_ylim(0, 1)
  drawn["eigenvalue_signs"] = figures.legend(figure, columns=4)

  figure, (ax,) = figures.canvas()
  order, index = np.argsort(result.gradient_norm), np.arange(len(reached))
  ax.scatter(index, result.gradient_norm_before[order], s=14, color=figures.COLORS[1],
             marker="s", label="after training")  # fmt: skip
  ax.scatter(index, result.gradient_norm[order], s=14, color=figures.COLORS[0],
             label="after the search")  # fmt: skip
  ax.axhline(config.grad_tolerance, color=figures.REPORTED, linewidth=0.9, label="tolerance")
  figures.label(ax, "run, by increasing final norm", "gradient norm", yscale="log")
  drawn["gradient_norms"] = figures.legend(figure)
  return drawn
