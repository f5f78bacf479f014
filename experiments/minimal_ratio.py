"""1.2.3 What happens when the gradient is almost zero: the minimal ratio.

Many small networks are trained on a target function; from each one a search with exact float64
Hessians goes on to a point where the gradient of the loss is almost zero. There the fraction of
positive eigenvalues of the Hessian, the minimal ratio, is set against the loss.

    F=experiments/flags/long_report
    python -m experiments.minimal_ratio --flagfile=$F/minimal_ratio.flags

Source: assignment 1-2, "what happened when gradient is almost zero"; long report 1.2.3, short
report. Definitions: `curvature.minimal_ratio`, `critical_points`.
Cost: on 2 CPU cores 12 minutes for 100 runs at 1501 parameters and 20 search steps.
"""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from hw1_jax import analysis, data, devices, models, pytrees, rng
from hw1_jax.analysis import critical_points
from hw1_jax.loops import Monitor
from hw1_jax.report import figures
from hw1_jax.runs.experiment import Experiment
from hw1_jax.runs.main import main
from hw1_jax.runs.memory import Need
from hw1_jax.runs.settings import REPORT, Settings, setting
from hw1_jax.summary import Claim, Number, Summary, claim, rank_correlation, spread
from hw1_jax.training import full_batch, losses, optimizers

METHODS = {"descend": critical_points.descend, "nearest": critical_points.nearest}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
  """Settings; the defaults are the long report's where it has any."""

  widths: str = setting("500", "hidden widths", pattern=models.WIDTHS)
  activation: str = setting("relu", "between layers", choices=tuple(models.ACTIVATIONS))
  target: str = setting("sinc", "function to fit", choices=tuple(data.TARGETS))
  num_points: int = setting(300, "training points in [-1, 1]", minimum=3, maximum=100_000)
  optimizer: str = setting("adam", "PyTorch's", choices=optimizers.NAMES)
  learning_rate: float = setting(1e-3, "step size", above=0, maximum=100)
  weight_decay: float = setting(
    1e-4, "L2 term of the training; not part of the loss whose Hessian is taken", minimum=0,
    maximum=100,
  )  # fmt: skip
  num_epochs: int = setting(2500, "epochs of training before the search", minimum=1,
                            maximum=10_000_000)  # fmt: skip
  num_runs: int = setting(100, "trainings, as the assignment asks", minimum=1, maximum=100_000)
  method: str = setting(
    "descend", "search downhill, or for the nearest critical point", choices=tuple(METHODS)
  )
  grad_tolerance: float = setting(
    1e-6, "the gradient is almost zero at this 2-norm; our choice", above=0
  )
  max_iterations: int = setting(
    20, "search steps, each with one Hessian and one eigendecomposition", minimum=1, maximum=100_000
  )
  rtol: float = setting(
    analysis.ZERO_RTOL, "eigenvalues up to rtol * max|lambda| count as zero", minimum=0, below=1
  )
  report: str = REPORT


# P x P matrices that a search holds at its peak, on every device. Source: one process's peak
# memory, one search: 8.1 and 6.6 at P = 2101 and 3001, with "nearest" 11.9 at P = 2101.
MATRICES = {"descend": 8, "nearest": 12}


def memory_need(config: Config) -> Need:
  """Returns what the exact Hessians and their eigenvectors take: P^2 each, on every device."""
  widths = models.parse_widths(config.widths)
  size = models.count_parameters(models.MLP((*widths, 1)), (1, 1))
  devices = min(jax.local_device_count(), config.num_runs)
  return Need(
    float(devices * MATRICES[config.method] * size**2 * np.dtype(np.float64).itemsize),
    "widths",
    config.widths,
    f"exact Hessians of {size} parameters on {devices} devices",
    "use a smaller net or a smaller --num_devices; experiments.gradient_norm needs no Hessian",
  )


class Result(NamedTuple):
  """M runs, E epochs, I search steps, P parameters; float64 but for the training's float32."""

  training_loss: np.ndarray  # [M, E] MSE, before each epoch's update
  trained_params: np.ndarray  # [M, P] float32, where the search starts
  params: np.ndarray  # [M, P] where the Hessian was taken
  loss: np.ndarray  # [M] MSE at `params`
  gradient_norm: np.ndarray  # [M] ||grad loss||_2 at `params`
  loss_before: np.ndarray  # [M] at `trained_params`
  gradient_norm_before: np.ndarray  # [M]
  converged: np.ndarray  # [M] bool: gradient_norm <= grad_tolerance
  kink_limited: np.ndarray  # [M] bool: the stationary point of the linear piece lies outside it
  iterations: np.ndarray  # [M] int, search steps taken
  pattern_changes: np.ndarray  # [M] int, activations switched on or off over the search
  eigenvalues: np.ndarray  # [M, P] of the Hessian at `params`, ascending
  dead_units: np.ndarray  # [M] int, hidden units that are inactive at every point (ReLU only)


def run(config: Config, monitor: Monitor) -> Result:
  """Returns M trainings, each followed by its search and the spectrum where that ended."""
  keys = rng.member_keys(config.seed, config.num_runs)
  widths = models.parse_widths(config.widths)
  model = models.MLP((*widths, 1), config.activation, batch_last=True)
  forward, start = models.ravelled(model, rng.streams(keys, "init"), (1, 1))
  x, y = data.function_data(config.target, config.num_points)
  trained = full_batch.fit(
    monitor,
    "train",
    lambda params, x, y: losses.mse(forward(params, x), y),
    start,
    [jnp.stack([values] * config.num_runs) for values in (x, y)],
    optimizers.make_optimizer(config.optimizer, config.learning_rate, config.weight_decay),
    num_epochs=config.num_epochs,
  )
  search = devices.map_members(make_search(config, model))
  found = monitor.map(
    "search",
    lambda rows: search(jnp.asarray(trained.params[rows], jnp.float64)),
    config.num_runs,
    batch_size=devices.make_mesh().size,
  )
  return Result(training_loss=trained.history["loss"], trained_params=trained.params, **found)


def make_search(config: Config, model: models.MLP) -> Any:
  """Returns theta [P] float64 -> dict of what `Result` keeps of one run's search."""
  x, y = (jnp.asarray(v) for v in data.function_data(config.target, config.num_points,
                                                     dtype=np.float64))  # fmt: skip
  activation = models.ACTIVATIONS[config.activation]
  example = pytrees.cast(models.init(model, jax.random.key(0), (1, 1)), jnp.float64)
  unravel = pytrees.ravel(example)[1]

  def loss(theta: jax.Array) -> jax.Array:
    return losses.mse(models.apply(model, unravel(theta), x), y)

  def hessian(theta: jax.Array) -> jax.Array:
    return analysis.mlp_hessian(unravel(theta), activation, x, y)

  def active(theta: jax.Array) -> jax.Array:  # [units, N] bool
    hidden, rows = x.T, []
    for i in range(len(model.features) - 1):
      layer = unravel(theta)[f"dense_{i:02d}"]
      z = layer["kernel"].T @ hidden + layer["bias"][:, None]
      rows.append(z > 0)
      hidden = activation(z)
    return jnp.concatenate(rows)

  piecewise = config.activation in ("relu", "leaky_relu")

  def search(theta: jax.Array) -> dict[str, jax.Array]:
    point = METHODS[config.method](
      loss,
      hessian,
      theta,
      grad_tolerance=config.grad_tolerance,
      max_iterations=config.max_iterations,
      pattern=(lambda theta: active(theta).ravel()) if piecewise else None,
    )
    fields = point._asdict()
    del fields["history"]
    dead = jnp.sum(~jnp.any(active(point.params), axis=1)) if config.activation == "relu" else 0
    return {**fields, "dead_units": jnp.asarray(dead)}

  return search


class Counts(NamedTuple):
  """Fractions of the eigenvalues, each [M] in [0, 1]."""

  plain: np.ndarray  # the assignment's minimal ratio: lambda > 0
  positive: np.ndarray  # lambda > rtol max|lambda|
  zero: np.ndarray
  negative: np.ndarray


def count(config: Config, result: Result) -> Counts:
  """Returns the fractions of positive, zero and negative eigenvalues of each run."""
  signs = analysis.count_signs(jnp.asarray(result.eigenvalues), config.rtol)
  size = result.eigenvalues.shape[1]
  plain = np.asarray(analysis.minimal_ratio(jnp.asarray(result.eigenvalues)))
  return Counts(plain, *(np.asarray(number) / size for number in signs))


def summarize(config: Config, result: Result) -> Summary:
  """Returns ratios, counts and gradient norms over the runs, and the claim."""
  counts = count(config, result)
  runs, size = result.eigenvalues.shape
  reached = result.converged
  note = f"{int(reached.sum())} of {runs} runs reached ||grad|| <= {config.grad_tolerance:g}"
  told = "0.64 to 0.70 (notebook, a layerwise approximation)" if config.report == "long" else None
  zero = f"|lambda| <= {config.rtol:g} max|lambda|"
  numbers = (
    Number("minimal ratio, plain lambda > 0", tuple(counts.plain), "", told),
    Number(f"minimal ratio, zero being {zero}", tuple(counts.positive), ""),
    Number("fraction of zero eigenvalues", tuple(counts.zero), "", None, zero),
    Number("fraction of negative eigenvalues", tuple(counts.negative), "", None, zero),
    Number("gradient norm after training", tuple(result.gradient_norm_before)),
    Number("gradient norm after the search", tuple(result.gradient_norm), "", None, note),
    Number("loss after training", tuple(result.loss_before), "MSE"),
    Number("loss after the search", tuple(result.loss), "MSE"),
  )
  minima = counts.negative == 0
  plainly = rank_correlation(result.loss, counts.plain) if runs > 2 else float("nan")
  strictly = rank_correlation(result.loss, counts.positive) if runs > 2 else float("nan")
  zeros_taken = (counts.plain - counts.positive) / np.where(counts.zero > 0, counts.zero, np.nan)
  stalled = ~reached
  at_kinks = int((stalled & result.kink_limited).sum())
  units = sum(models.parse_widths(config.widths))
  findings = [
    f"{note} after {spread(result.iterations)} search steps; the norm went from "
    f"{spread(result.gradient_norm_before)} to {spread(result.gradient_norm)}, the loss from "
    f"{spread(result.loss_before)} to {spread(result.loss)}.",
    f"The plain count says that {spread(counts.plain)} of the {size} eigenvalues are positive. "
    f"With zeros told apart ({zero}) it is {spread(counts.positive)} positive, "
    f"{spread(counts.zero)} zero and {spread(counts.negative)} negative: the plain count takes "
    f"{spread(zeros_taken)} of the zeros for positive, by the sign of their rounding errors.",
    f"{int(minima.sum())} of {runs} end points have no negative eigenvalue; rank correlation of "
    f"loss and ratio: {plainly:.2f} by the plain count, {strictly:.2f} with zeros told apart.",
  ]
  if stalled.any() and config.activation in ("relu", "leaky_relu"):
    findings.append(
      f"Of the {int(stalled.sum())} runs that did not get there, {at_kinks} are limited by a kink: "
      "the stationary point of their linear piece lies outside the piece, and at the kink itself "
      "the gradient jumps without being zero; they are kept and marked."
    )
  if config.activation == "relu":
    findings.append(
      f"Zeros are expected: at a point of zero gradient every one of the {units} ReLU units has a "
      "scaling symmetry (one zero eigenvalue each), and a unit that is inactive at all points "
      f"({spread(result.dead_units)} of them a run) adds its other parameters."
    )
  table = [
    {"run": m, "loss": float(result.loss[m]), "gradient_norm": float(result.gradient_norm[m]),
     "converged": bool(reached[m]), "kink_limited": bool(result.kink_limited[m]),
     "iterations": int(result.iterations[m]), "ratio_plain": float(counts.plain[m]),
     "ratio_at_rtol": float(counts.positive[m]), "zero": float(counts.zero[m]),
     "negative": float(counts.negative[m]), "loss_before": float(result.loss_before[m]),
     "gradient_norm_before": float(result.gradient_norm_before[m])}
    for m in range(runs)
  ]  # fmt: skip
  return Summary(
    numbers,
    tuple(judge_claims(config, result)),
    tuple(findings),
    {
      "minimal_ratio": findings[1] + " Open symbols: gradient norm above the tolerance.",
      "eigenvalue_signs": "Positive, zero and negative eigenvalues of every run, in the order of "
      "the loss. " + findings[2],
      "gradient_norms": findings[0],
    },
    {"minimal_ratio": table},
  )


def judge_claims(config: Config, result: Result) -> list[Claim]:
  """Returns the long report's claim on the loss at epoch 100, judged run by run."""
  if config.report != "long" or result.training_loss.shape[1] < 100:
    return []
  loss = result.training_loss[:, 99]
  return [
    claim(
      "L-1.2.3",
      "Within 100 epochs the loss does not reach zero (our reading: it is above the stop rule's "
      "1e-3 at epoch 100).",
      loss > 1e-3,
      f"Loss at epoch 100: {spread(loss)}.",
    )
  ]


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


EXPERIMENT = Experiment(
  "minimal_ratio",
  __doc__,
  Config,
  Result,
  run,
  summarize,
  draw,
  x64=True,
  memory_need=memory_need,
)

if __name__ == "__main__":
  main(EXPERIMENT)
