"""Our numbers beside the reported ones, the judged claims, the sentences."""

import numpy as np

from hw1_jax.report import figures
from hw1_jax.report.assignment import topic_of
from hw1_jax.summary import Claim, Number, Summary, claim, rank_correlation, spread

from .run import Config, Result

TOPIC = topic_of("gradient_norm")

_PRINTED = TOPIC.reported["long"]
REPORTED_NORM = dict(zip(_PRINTED["norm_epoch"], _PRINTED["norm"]))  # epoch -> value
REPORTED_LOSS = dict(zip(_PRINTED["loss_epoch"], _PRINTED["loss"]))
REPORTED_STOP = _PRINTED["stop"]


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
        TOPIC.claims["L-1.2.2a"],
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
        TOPIC.claims["L-1.2.2b"],
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
        TOPIC.claims["S-1.2.2"],
        early > late,
        f"Relative fall an epoch {spread(early)} before 100 and {spread(late)} from 100 to 400.",
      )
    )
  return claims


def smoothed(values: np.ndarray, epoch: int) -> np.ndarray:
  """Returns each run's median over the 41 epochs around `epoch`, [M]."""
  return np.median(values[:, epoch - 21 : epoch + 20], axis=1)
