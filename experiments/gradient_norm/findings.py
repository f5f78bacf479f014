"""Our numbers beside the reported ones, the judged claims, the sentences."""

import numpy as np

from hw1_jax import statistics
from hw1_jax.report import reported
from hw1_jax.report.assignment import topic_of
from hw1_jax.summary import Claim, Number, Summary, compared, rank_correlation, spread

from .run import Config, Result

TOPIC = topic_of("gradient_norm")

# Beyond epoch 900 the norm bursts at epochs that rounding decides: no pairs from there on.
_PRINTED = reported.read("gradient_norm").columns
_EARLY = [int(epoch) for epoch in _PRINTED["epoch"] if epoch <= 900]
REPORTED_NORM = dict(zip(_EARLY, _PRINTED["gradient_norm"].tolist()))  # epoch -> value
REPORTED_LOSS = dict(zip(_EARLY, _PRINTED["loss"].tolist()))
REPORTED_STOP = TOPIC.reported["long"]["stop"]


def at(values: np.ndarray, epoch: int) -> np.ndarray:
  """Returns each run's value at `epoch`, [M]; NaN where the run had ended."""
  return values[:, epoch - 1] if epoch <= values.shape[1] else np.full(len(values), np.nan)


def summarize(config: Config, result: Result) -> Summary:
  """Returns norm and loss at the reported epochs and at the end, and the claims."""
  long = config.report == "long" and config.as_reported
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
    Number("loss at the end", tuple(end_loss), config.words("MSE"), stop.get("loss")),
    Number(
      "gradient norm at the end",
      tuple(end_norm),
      "",
      None,
      "the report's 0.005702 is that of its epoch 1800, not of its stop" if long else "",
    ),
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
  rough = spread(roughness(result.gradient_norm))
  bursts = [
    f"Between one epoch and the next the norm changes by up to a factor of {rough}: "
    f"{config.optimizer} at this step size oscillates, so single epochs say little."
  ] * (config.num_epochs > 1)
  together = [
    rank_correlation(loss[: k + 1], norm[: k + 1])
    for loss, norm, k in zip(result.loss, result.gradient_norm, last)
  ]
  halves = np.array(
    [1 + np.argmax(loss.astype(float) ** 2 <= float(loss[0]) * loss[k])
     for loss, k in zip(result.loss, last)]
  )  # fmt: skip
  middle = result.gradient_norm[rows, halves - 1]
  joint = (
    f"Over a run's epochs the rank correlation of norm and loss is {spread(together)}; half of the "
    f"loss's fall on a log scale is done by epoch {spread(halves)} of {spread(last + 1)}."
  )
  findings = [finding, *bursts, joint]
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
    {"epoch": int(epoch), "run": m + 1, "loss": float(at(result.loss, epoch)[m]),
     "gradient_norm": float(at(result.gradient_norm, epoch)[m])}
    for epoch in shown if epoch <= result.loss.shape[1] for m in range(len(last))
  ]  # fmt: skip
  return Summary(
    tuple(numbers),
    tuple(judge_claims(config, result)),
    tuple(findings),
    {"gradient_norm": finding},
    {"gradient_norm": table},
    f"By epoch {spread(halves)} half of the loss's fall on a log scale is done, "
    f"and the norm has gone from {spread(result.gradient_norm[:, 0])} to {spread(middle)}. "
    f"Over all epochs their rank correlation is {spread(together)}, and from one epoch to the next "
    f"the norm changes by up to a factor of {rough}.",
  )


def roughness(norms: np.ndarray) -> np.ndarray:
  """Returns each run's largest ratio between the norms of two neighbouring epochs, [M].

  It is 1 for a run of one epoch; zeros have no ratio.
  """
  logs = np.log(np.where(norms > 0, norms, np.nan))
  return np.exp(np.nan_to_num(np.abs(np.diff(logs, axis=1))).max(axis=1, initial=0))


def decay(values: np.ndarray, first: int, last: int) -> np.ndarray:
  """Returns each run's mean relative fall an epoch between two epochs, [M]; smoothed over 5 %."""
  half = max(last // 40, 2)
  start = np.median(values[:, max(first - half, 1) - 1 : first + half], axis=1)
  end = np.median(values[:, last - half - 1 : last + half], axis=1)  # NaN: the run had ended
  return np.log(start / end) / (last - first)


NEEDED = {"long": 1050, "short": 420}  # epochs that the readings look at


def judge_claims(config: Config, result: Result) -> list[Claim]:
  """Returns the report's claims, each part alone; none of runs that are all too short.

  A run that ended before the epochs a reading looks at has no such effect: nothing is held.
  """
  norms, loss = result.gradient_norm.astype(float), result.loss.astype(float)
  if norms.shape[1] < NEEDED[config.report]:
    return []
  per_100 = "e-folds per 100 epochs"
  parts: list[tuple[str, np.ndarray, str, float, str]] = []

  def slower(id: str, values: np.ndarray, border: int, end: int) -> None:
    early, late = 100 * decay(values, 1, border), 100 * decay(values, border, end)
    said = f"Fall per 100 epochs {spread(early)} before {border}, {spread(late)} up to {end}."
    parts.append((id, early - late, per_100, 0.0, said))

  if config.report == "short":
    slower("S-1.2.2.1", norms, 100, 400)
    late = 100 * decay(norms, 100, 400)
    parts.append(("S-1.2.2.2", late, per_100, 0.0, f"Norm at epoch 400 over that at 100: "
                  f"{spread(np.exp(-3 * late))}."))  # fmt: skip
  else:
    slower("L-1.2.2a.1", norms, 200, 800)
    around = {epoch: smoothed(norms, epoch) for epoch in (800, 900, 1000)}
    medians = ", ".join(f"{spread(values)} around {epoch}" for epoch, values in around.items())
    parts += [
      (id, np.log(around[900] / around[other]), "log ratio", RISE, f"Norm: {medians}.")
      for id, other in (("L-1.2.2a.2", 800), ("L-1.2.2a.3", 1000))
    ]
    late = np.where(np.isfinite(norms[:, 900:]), norms[:, 900:], -np.inf).max(axis=1)
    peak = np.where(result.stop_epoch > 950, late, np.nan)
    ratio = peak / np.median(norms[:, 800:900], axis=1)
    said = f"Largest norm after epoch 900 over its median from 800 to 900: {spread(ratio)}."
    parts.append(("L-1.2.2a.4", np.log(ratio / BURST), "log ratio", 0.0, said))
    slower("L-1.2.2b.1", loss, 400, 1000)
    left = at(loss, 400) / loss[:, 0]
    parts.append(("L-1.2.2b.2", np.log(1 / 3 / left), "log ratio", statistics.LOSS_REGION,
                  f"Loss at epoch 400 over the first one: {spread(left)}."))  # fmt: skip
  return [
    compared(id, TOPIC.claims[id].format(burst=BURST), effects, said, region=region, unit=unit)
    for id, effects, unit, region, said in parts
  ]


RISE = float(np.log(1.05))  # a smaller rise or dip of the norm is none; our choice
BURST = 2  # a burst: this many times the norm before it; our choice


def smoothed(values: np.ndarray, epoch: int) -> np.ndarray:
  """Returns each run's median over the 41 epochs around `epoch`, [M]; NaN if it ended before."""
  return np.median(values[:, epoch - 21 : epoch + 20], axis=1)
