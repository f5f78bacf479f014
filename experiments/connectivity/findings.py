"""The numbers with intervals, the judged claims, the sentences."""

from typing import Any

import numpy as np

from hw1_jax import statistics
from hw1_jax.analysis.connectivity import barrier
from hw1_jax.report.assignment import topic_of
from hw1_jax.summary import Claim, Number, Summary, compared, show, spread, with_interval

from .run import CURVES, WAYS, Config, Result

TOPIC = topic_of("connectivity")
KINDS = {"train_loss": "training", "test_loss": "test"}


def mean(values: np.ndarray) -> str:
  """Returns the mean over pairs [M] with its interval, or the value that all have."""
  if np.ptp(values) == 0:
    return f"{show(float(values[0]))} in all pairs"
  return with_interval(statistics.mean_interval(values))


def barriers(result: Result, name: str) -> dict[str, np.ndarray]:
  """Returns the barrier [M] of a loss on each way."""
  return {way: barrier(result.alphas, result.between[f"{way}/{name}"]) for way in WAYS}


def parted_barriers(result: Result, name: str) -> np.ndarray:
  """Returns the barrier [M, C] of a loss between trainings that parted."""
  return barrier(result.alphas, result.parted[name])


def summarize(config: Config, result: Result) -> Summary:
  """Returns barriers on the three ways and against the common epochs, and the claims."""
  numbers: list[Number] = []
  ways: dict[str, str] = {}
  for name, kind in KINDS.items():
    heights = barriers(result, name)
    numbers += [
      Number(f"{way}: barrier of the {kind} loss", tuple(values), "nats",
             note=f"mean {mean(values)}")
      for way, values in heights.items()
    ]  # fmt: skip
    ways[kind] = (
      f"Between two independent trainings the {kind} loss rises above the mix of its ends by "
      f"{mean(heights['straight'])} nats on the straight line, {mean(heights['aligned'])} after "
      f"alignment, and {mean(heights['curve'])} on the trained curve ({config.num_runs} pairs)."
    )
  lowest = {way: 100 * result.between[f"{way}/test_accuracy"].min(axis=1) for way in WAYS}
  reached = ", ".join(f"{way} {spread(values)} %" for way, values in lowest.items())
  findings = [ways["training"], f"Lowest test accuracy on the way: {reached}."]
  initial, final, aligned = result.distance.T
  findings.append(
    f"Two initial networks are {spread(initial)} apart, two solutions {spread(final)}; alignment "
    f"moves {spread(100 * result.moved_units)} % of the hidden units and leaves {spread(aligned)}, "
    f"{spread(100 * (1 - aligned / final))} % less, the global minimum for one hidden layer."
    if "-" not in config.widths
    else f"Two initial networks are {spread(initial)} apart, two solutions {spread(final)}; "
    f"alignment moves {spread(100 * result.moved_units)} % of the hidden units and leaves "
    f"{spread(aligned)}, {spread(100 * (1 - aligned / final))} % less, a local minimum."
  )
  parted = parted_barriers(result, "train_loss")
  for c, count in enumerate(result.common_epochs):
    numbers.append(
      Number(f"parted after {count} epochs: barrier of the training loss", tuple(parted[:, c]),
             "nats", note=f"mean {mean(parted[:, c])}")
    )  # fmt: skip
  told = "; ".join(f"{count}: {mean(parted[:, c])}" for c, count in enumerate(result.common_epochs))
  findings.append(
    f"Barrier of the training loss in nats between trainings that part after so many common "
    f"epochs of {config.num_epochs}: {told}; they end {spread(result.parted_distance[:, 0])} apart "
    f"after {result.common_epochs[0]} and {spread(result.parted_distance[:, -1])} after "
    f"{result.common_epochs[-1]}."
  )
  before, after = (100 * result.explained[name].sum() for name in ("before", "after"))
  paths_text = (
    f"The first pair's paths in two principal components, {show(before)} % of the variance before "
    f"and {show(after)} % after the second one's units are put in the order of the first one's: "
    f"the ends are then {show(aligned[0])} instead of {show(final[0])} apart."
  )
  findings.append(paths_text)
  captions = {
    "ways": " ".join(ways.values()),
    "common": f"Trainings that part after {result.common_epochs[0]} common epochs end with a "
    f"barrier of {mean(parted[:, 0])} nats of the training loss between them, after "
    f"{result.common_epochs[-1]} with {mean(parted[:, -1])}. {findings[3]}",
    "paths": paths_text,
  }
  tables = {"ways": way_rows(result), "parted": parted_rows(result)}
  claims = tuple(judge_claims(result))
  return Summary(tuple(numbers), claims, tuple(findings), captions, tables, ways["training"])


def judge_claims(result: Result) -> list[Claim]:
  """Returns our three claims, pair by pair."""
  heights, parted = barriers(result, "train_loss"), parted_barriers(result, "train_loss")
  straight, aligned, curve = (heights[way] for way in WAYS)
  with np.errstate(divide="ignore", invalid="ignore"):
    removed = 100 * (1 - aligned / straight)
    left = 100 * curve / straight
  return [
    compared("O-2.4a", TOPIC.claims["O-2.4a"], straight / 2 - aligned,
             f"Alignment removes {spread(removed)} % of the straight line's barrier.",
             region=0.0, unit="nats"),
    compared("O-2.4b", TOPIC.claims["O-2.4b"], straight / 10 - curve,
             f"The curve keeps {spread(left)} % of it.", region=0.0, unit="nats"),
    compared("O-2.4c", TOPIC.claims["O-2.4c"], parted[:, 0] - parted[:, -1],
             f"From {spread(parted[:, 0])} to {spread(parted[:, -1])} nats.", region=0.0,
             unit="nats"),
  ]  # fmt: skip


def way_rows(result: Result) -> list[dict[str, Any]]:
  """Returns the three ways, a row a pair and point."""
  return [
    {"way": way, "pair": m + 1, "alpha": float(alpha),
     **{name: float(result.between[f"{way}/{name}"][m, a]) for name in CURVES}}
    for way in WAYS for m in range(len(result.distance)) for a, alpha in enumerate(result.alphas)
  ]  # fmt: skip


def parted_rows(result: Result) -> list[dict[str, Any]]:
  """Returns the lines between trainings that parted, a row a pair, common epochs and point."""
  return [
    {"common_epochs": int(count), "pair": m + 1, "alpha": float(alpha),
     **{name: float(result.parted[name][m, c, a]) for name in CURVES}}
    for c, count in enumerate(result.common_epochs) for m in range(len(result.distance))
    for a, alpha in enumerate(result.alphas)
  ]  # fmt: skip
