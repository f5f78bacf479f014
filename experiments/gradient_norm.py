"""1.2.2 Gradient norm during training: how it and the loss fall together.

A network is fitted to a target function, full batch; at every epoch (one step) the 2-norm of the
gradient of the loss over all parameters is recorded beside the loss, before the update.

    F=experiments/flags/long_report
    python -m experiments.gradient_norm --flagfile=$F/gradient_norm.flags

Source: assignment 1-2, "observe gradient norm during training"; long report 1.2.2, short report.
Cost: 6 seconds on 2 CPU cores with the long report's settings and 8 runs.
"""

import dataclasses
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from hw1_jax import data, models, rng
from hw1_jax.loops import Monitor
from hw1_jax.report import figures
from hw1_jax.runs.experiment import Experiment
from hw1_jax.runs.main import main
from hw1_jax.runs.settings import REPORT, Settings, setting
from hw1_jax.summary import Claim, Number, Summary, claim, rank_correlation, spread
from hw1_jax.training import full_batch, losses, optimizers


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
  """Settings; the defaults are the long report's."""

  widths: str = setting("500", "hidden widths", pattern=models.WIDTHS)
  activation: str = setting("relu", "between layers", choices=tuple(models.ACTIVATIONS))
  target: str = setting("sinc", "function to fit", choices=tuple(data.TARGETS))
  num_points: int = setting(300, "training points in [-1, 1]", minimum=3, maximum=100_000)
  optimizer: str = setting("adam", "PyTorch's", choices=optimizers.NAMES)
  learning_rate: float = setting(1e-3, "step size", above=0, maximum=100)
  weight_decay: float = setting(1e-4, "L2 term added to the gradient", minimum=0, maximum=100)
  num_epochs: int = setting(2500, "the most epochs", minimum=1, maximum=10_000_000)
  loss_below: float = setting(1e-3, "stop rule: the loss is below this; 0: no stop", minimum=0)
  change_below: float = setting(1e-5, "stop rule: the last two changes are below", minimum=0)
  num_runs: int = setting(8, "repetitions", minimum=1, maximum=10_000)
  report: str = REPORT


class Result(NamedTuple):
  """M runs, E epochs (the longest run's), P parameters."""

  loss: np.ndarray  # [M, E] float32 MSE; column k-1 is epoch k, before its update; NaN: ended
  gradient_norm: np.ndarray  # [M, E] float32, of the loss without the L2 term, over all parameters
  stop_epoch: np.ndarray  # [M] int, epochs trained
  converged: np.ndarray  # [M] bool, the stop rule was met
  initial_params: np.ndarray  # [M, P] float32
  final_params: np.ndarray  # [M, P] float32


def run(config: Config, monitor: Monitor) -> Result:
  """Returns M trainings with loss and gradient norm at every epoch."""
  keys = rng.member_keys(config.seed, config.num_runs)
  model = models.MLP((*models.parse_widths(config.widths), 1), config.activation, batch_last=True)
  forward, start = models.ravelled(model, rng.streams(keys, "init"), (1, 1))
  x, y = data.function_data(config.target, config.num_points)
  fitted = full_batch.fit(
    monitor,
    config.target,
    lambda params, x, y: losses.mse(forward(params, x), y),
    start,
    [jnp.stack([values] * config.num_runs) for values in (x, y)],
    optimizers.make_optimizer(config.optimizer, config.learning_rate, config.weight_decay),
    num_epochs=config.num_epochs,
    rule=full_batch.StopRule(config.loss_below, config.change_below),
    measure=full_batch.loss_and_gradient_norm,
  )
  longest = int(fitted.epochs.max())
  return Result(
    loss=fitted.history["loss"][:, :longest],
    gradient_norm=fitted.history["gradient_norm"][:, :longest],
    stop_epoch=np.asarray(fitted.epochs),
    converged=np.asarray(fitted.converged),
    initial_params=np.asarray(start),
    final_params=np.asarray(fitted.params),
  )


# What the long report prints in 1.2.2: epoch -> value.
REPORTED_NORM = {100: 0.0428, 200: 0.0316, 300: 0.0209, 400: 0.0122, 500: 0.0079, 600: 0.0057,
                 700: 0.0048, 800: 0.0042, 900: 0.0039}  # fmt: skip
REPORTED_LOSS = {100: 0.0518, 200: 0.0310, 300: 0.0158, 400: 0.0092, 500: 0.0066}
REPORTED_STOP = {"epoch": 1800, "loss": 0.0009995186, "norm": 0.005702}


def at(values: np.ndarray, epoch: int) -> np.ndarray:
  """Returns each run's value at `epoch`, [M]; NaN where the run had ended."""
  return values[:, epoch - 1] if epoch <= values.shape[1] else np.full(len(values), np.nan)


def summarize(config: Config, result: Result) -> Summary:
  """Returns norm and loss at the reported epochs and at the end, and the claims."""
  long = config.report == "long"
  last = result.stop_epoch - 1
  rows = np.arange(len(last))
  end_loss, end_norm = result.loss[rows, last], result.gradient_norm[rows, last]
  stop = REPORTED_STOP if long else {}
  numbers = [
    Number(
      "epoch of convergence",
      tuple(np.where(result.converged, result.stop_epoch, np.nan)),
      "epochs",
      stop.get("epoch"),
      f"{int(result.converged.sum())} of {len(last)} runs converged in {config.num_epochs} epochs",
    ),
    Number("loss at the end", tuple(end_loss), "MSE", stop.get("loss")),
    Number("gradient norm at the end", tuple(end_norm), "", stop.get("norm")),
  ]
  for name, values, told in (
    ("gradient norm", result.gradient_norm, REPORTED_NORM),
    ("loss", result.loss, REPORTED_LOSS),
  ):
    numbers += [
      Number(f"{name} at epoch {epoch}", tuple(at(values, epoch)), "", told[epoch])
      for epoch in (told if long else ())
      if epoch <= result.loss.shape[1]
    ]
  finding = (
    f"Over {len(last)} runs the gradient norm goes from {spread(result.gradient_norm[:, 0])} at "
    f"the first epoch to {spread(end_norm)} at the last one, the loss from "
    f"{spread(result.loss[:, 0])} to {spread(end_loss)}."
  )
  rough = roughness(result.gradient_norm)
  bursts = (
    f"Between one epoch and the next the norm changes by up to a factor of {spread(rough)}: "
    f"{config.optimizer} at this step size oscillates, so single epochs say little."
  )
  together = [
    rank_correlation(loss[: k + 1], norm[: k + 1])
    for loss, norm, k in zip(result.loss, result.gradient_norm, last)
  ]
  halves = np.array(
    [1 + np.argmax(np.log(loss) <= np.log(loss[0] * loss[k]) / 2)
     for loss, k in zip(result.loss, last)]
  )  # fmt: skip
  joint = (
    f"Over a run's epochs the rank correlation of norm and loss is {spread(together)}; half of the "
    f"loss's fall on a log scale is done by epoch {spread(halves)} of {spread(last + 1)}."
  )
  findings = [finding, bursts, joint]
  if long and result.loss.shape[1] >= max(REPORTED_LOSS):
    compared = []
    for name, values, reported in (
      ("loss", result.loss, REPORTED_LOSS),
      ("norm", result.gradient_norm, REPORTED_NORM),
    ):
      ratios = [np.nanmedian(at(values, epoch)) / reported[epoch] for epoch in reported]
      compared.append(
        f"{min(ratios):.2f} to {max(ratios):.2f} for the {name} at epochs {min(reported)} to "
        f"{max(reported)}"
      )
    findings.append(f"Our median over the reported value: {', '.join(compared)}.")
  shown = sorted(
    {1, *REPORTED_NORM, *np.round(np.geomspace(1, result.loss.shape[1], 40)).astype(int)}
  )
  table = [
    {"epoch": int(epoch), "run": m, "loss": float(at(result.loss, epoch)[m]),
     "gradient_norm": float(at(result.gradient_norm, epoch)[m])}
    for epoch in shown if epoch <= result.loss.shape[1] for m in range(len(last))
  ]  # fmt: skip
  return Summary(
    tuple(numbers),
    tuple(judge_claims(config, result)),
    tuple(findings),
    {"gradient_norm": finding},
    {"gradient_norm": table},
  )


def roughness(norms: np.ndarray) -> np.ndarray:
  """Returns each run's largest ratio between the norms of two neighbouring epochs, [M]."""
  return np.exp(np.nanmax(np.abs(np.diff(np.log(norms), axis=1)), axis=1))


def decay(values: np.ndarray, first: int, last: int) -> np.ndarray:
  """Returns each run's mean relative fall an epoch between two epochs, [M]; smoothed over 5 %."""
  half = max(last // 40, 2)
  start = np.nanmedian(values[:, max(first - half, 1) - 1 : first + half], axis=1)
  end = np.nanmedian(values[:, last - half - 1 : last + half], axis=1)
  return np.log(start / end) / (last - first)


def judge_claims(config: Config, result: Result) -> list[Claim]:
  """Returns the report's claims, judged run by run where the runs are long enough."""
  norms, loss = figures.hold_last(result.gradient_norm), figures.hold_last(result.loss)
  length, claims = norms.shape[1], []
  if config.report == "long" and length >= 1050:
    early, late = decay(norms, 1, 200), decay(norms, 200, 800)
    bump = smoothed(norms, 900) / np.minimum(smoothed(norms, 800), smoothed(norms, 1000))
    claims.append(
      claim(
        "L-1.2.2a",
        "The gradient norm falls drastically until about epoch 200, rises slightly near 900, dips "
        "again near 1000 (our reading: it falls faster an epoch before 200 than from 200 to 800, "
        "and its median over epochs 880-920 exceeds those around 800 and 1000 by at least 5 %).",
        (early > late)
        & (smoothed(norms, 900) > 1.05 * smoothed(norms, 800))
        & (smoothed(norms, 900) > 1.05 * smoothed(norms, 1000)),
        f"Relative fall an epoch {spread(early)} before 200 and {spread(late)} from 200 to 800; "
        f"norm around 900 over the lower of 800 and 1000: {spread(bump)}.",
      )
    )
    early, late = decay(loss, 1, 400), decay(loss, 400, 1000)
    claims.append(
      claim(
        "L-1.2.2b",
        "The loss falls drastically until about epoch 400, then levels off (our reading: it falls "
        "faster an epoch before 400 than from 400 to 1000, and by less than a third of its first "
        "value after 400).",
        (early > late) & (at(loss, 400) < loss[:, 0] / 3),
        f"Relative fall an epoch {spread(early)} before 400 and {spread(late)} from 400 to 1000; "
        f"loss at 400 over the first loss: {spread(at(loss, 400) / loss[:, 0])}.",
      )
    )
  if config.report == "short" and length >= 420:
    early, late = decay(norms, 1, 100), decay(norms, 100, 400)
    claims.append(
      claim(
        "S-1.2.2",
        "The gradient norm falls rapidly until epoch 100, slowly after (our reading: its relative "
        "fall an epoch is larger before 100 than from 100 to 400).",
        early > late,
        f"Relative fall an epoch {spread(early)} before 100 and {spread(late)} from 100 to 400.",
      )
    )
  return claims


def smoothed(values: np.ndarray, epoch: int) -> np.ndarray:
  """Returns each run's median over the 41 epochs around `epoch`, [M]."""
  return np.median(values[:, epoch - 21 : epoch + 20], axis=1)


def draw(config: Config, result: Result) -> dict[str, Figure]:
  """Returns one figure: gradient norm above, loss below, against the epoch."""
  figure, (top, bottom) = figures.canvas(1, 2, height=2.9)
  epochs = np.arange(1, result.loss.shape[1] + 1)
  for ax, values, name, told in (
    (top, result.gradient_norm, "gradient norm", REPORTED_NORM),
    (bottom, result.loss, "loss (MSE)", REPORTED_LOSS),
  ):
    for m in range(len(values)):
      ax.plot(epochs, values[m], color="#999999", linewidth=0.4, alpha=0.6, rasterized=True,
              label="single runs" if m == 0 else None)  # fmt: skip
    figures.curves(ax, epochs, values, f"median and range of {len(values)} runs", 0)
    if config.report == "long":
      figures.reported(ax, list(told), list(told.values()))
    figures.label(ax, "epoch (one step each)", name, yscale="log")
  top.set_title(f"{data.TARGET_LABELS[config.target]}, 1-{config.widths}-1", fontsize=10.5,
                loc="left")  # fmt: skip
  return {"gradient_norm": figures.legend(figure)}


EXPERIMENT = Experiment("gradient_norm", __doc__, Config, Result, run, summarize, draw)

if __name__ == "__main__":
  main(EXPERIMENT)
