"""What an experiment says of its result: numbers beside the reported ones, and judged claims.

`Summary` is what summary.json holds and what the report page shows. All of it is computed from the
result; nothing here is typed in by hand but the reported numbers and the claims' wording.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from hw1_jax import statistics
from hw1_jax.statistics import CONFIDENCE, FAILS, HOLDS, NO_DIFFERENCE, UNDECIDED, VERDICTS

__all__ = [
  "CONFIDENCE", "FAILS", "HOLDS", "NO_DIFFERENCE", "UNDECIDED", "VERDICTS", "Claim", "Number",
  "Summary", "at_end", "claim", "compared", "judge", "rank_correlation", "show", "spread",
  "with_interval",
]  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Number:
  """One measured quantity over runs, beside the reported value."""

  name: str  # "test accuracy, CNN-1"
  values: tuple[float, ...]  # one per run; NaN where a run has none (said in `note`)
  unit: str = ""
  reported: float | str | None = None  # None: the report prints no number
  note: str = ""


@dataclasses.dataclass(frozen=True)
class Claim:
  """A claim of a report and what our runs say of it; `statistics` states the rule."""

  id: str  # "L-1.1.1a", protocols' numbering; ".1", ".2" are the parts of a conjunction
  text: str  # the claim, in our words, and our reading of it
  verdict: str  # one of VERDICTS
  evidence: str  # sentences with numbers, computed
  numbers: dict[str, Any] = dataclasses.field(default_factory=dict)  # JSON-able
  effect: float | None = None  # mean over runs, above `turn` as the claim says; or share of runs
  interval: tuple[float, float] | None = None  # 95 %
  region: tuple[float, float] | None = None  # of practical equivalence, around `turn`
  turn: float = 0.0  # the effect at which the claim turns: 0, or 1/2 for a share of runs
  unit: str = ""  # of effect, interval, region
  runs: int = 0
  runs_needed: int | None = None  # of an undecided claim: about so many would decide
  p_value: float | None = None  # two-sided, of an effect at `turn`; for statistics.holm
  # With numbers["effects"], or "true_in_runs" and "runs", what the verdict can be computed from:
  resolution: float = 0.0  # the grid that effects lie on
  equality: bool = False  # the claim says that there is practically no effect


@dataclasses.dataclass(frozen=True)
class Summary:
  """Everything the page says of one experiment."""

  numbers: tuple[Number, ...] = ()
  claims: tuple[Claim, ...] = ()
  findings: tuple[str, ...] = ()  # sentences computed from the data
  captions: dict[str, str] = dataclasses.field(default_factory=dict)  # figure name -> one sentence
  tables: dict[str, list[dict[str, Any]]] = dataclasses.field(default_factory=dict)  # CSV each
  answer: str = ""  # to the section's question, in one or two sentences with its number


def judge(outcomes: Sequence[bool] | np.ndarray) -> str:
  """Returns the verdict on a reading that is true in the runs where `outcomes`, [M] bool, is.

  It holds if the 95 % interval of the share of such runs lies above one half: 6 of 6, 9 of 10.
  """
  return claim("", "", outcomes, "").verdict


def claim(
  id: str, text: str, outcomes: Sequence[bool] | np.ndarray, evidence: str, **numbers: Any
) -> Claim:
  """Returns a Claim judged by the share of runs in which its reading is true, `outcomes` [M].

  For readings that are true or false of a single run and have no size; see `compared`.
  """
  outcomes = np.asarray(outcomes, dtype=bool)
  true, runs = int(outcomes.sum()), int(outcomes.size)
  counted = f"True in {true} of {runs} runs. {evidence}"
  numbers = {"true_in_runs": true, "runs": runs, **numbers}
  if not runs:
    return Claim(id, text, UNDECIDED, counted, numbers)
  share, region = statistics.share_interval(true, runs), statistics.SHARE_REGION
  verdict = str(statistics.verdicts(share, region, 0.5))
  return Claim(
    id, text, verdict, counted, numbers,
    effect=share.effect,
    interval=(share.low, share.high),
    region=(0.5 - region, 0.5 + region),
    turn=0.5,
    unit="share of runs",
    runs=runs,
    runs_needed=statistics.runs_to_decide_share(true, runs) if verdict == UNDECIDED else None,
    p_value=share.p_value,
  )  # fmt: skip


def compared(
  id: str,
  text: str,
  effects: Sequence[float] | np.ndarray,
  evidence: str,
  *,
  region: float,
  unit: str,
  resolution: float = 0.0,
  equality: bool = False,
  **numbers: Any,
) -> Claim:
  """Returns a Claim judged by the mean of an effect over runs and its interval.

  Args:
    id, text, evidence, numbers: as in Claim; the effect with its interval opens the evidence.
    effects: [M] one per run, positive as the claim says; NaN where a run has none (it is said).
    region: half-width around zero that makes no practical difference; 0: any difference counts.
    unit: of the effects.
    resolution: the grid they lie on, see `statistics.mean_interval`.
    equality: the claim says that there is practically no effect.
  """
  effects = np.asarray(effects, float)
  finite = effects[np.isfinite(effects)]
  missing = len(effects) - len(finite)
  lost = f" {missing} of {len(effects)} runs have no such effect." if missing else ""
  numbers = {"effects": effects.tolist(), **numbers}
  if not len(finite):
    said = f"No run has the effect.{lost} {evidence}"
    return Claim(id, text, UNDECIDED, said, numbers, resolution=resolution, equality=equality)
  found = statistics.mean_interval(finite, resolution)
  rule = statistics.equality_verdicts if equality else statistics.verdicts
  verdict = str(rule(found, region))
  needed = None
  if verdict == UNDECIDED:
    needed = statistics.runs_to_decide(finite, region, equality=equality)
  said = f"Effect {with_interval(found)} {unit}, {len(finite)} runs.{lost} {evidence}"
  return Claim(
    id, text, verdict, said.strip(), numbers,
    effect=float(found.effect),
    interval=(float(found.low), float(found.high)),
    region=(-region, region) if region else None,
    unit=unit,
    runs=len(finite),
    runs_needed=needed,
    p_value=float(found.p_value),
    resolution=float(resolution),
    equality=equality,
  )  # fmt: skip


def with_interval(found: statistics.Interval) -> str:
  """Returns '0.12 (95 % interval 0.08 to 0.16)'."""
  ends = "unbounded" if not np.isfinite(found.low) else f"{show(found.low)} to {show(found.high)}"
  return f"{show(found.effect)} (95 % interval {ends})"


# What `at_end` is of, of networks trained on images: words and unit.
AT_END = {
  "train_accuracy": ("training accuracy, running", "%"),
  "exact_train_accuracy": ("training accuracy, exact", "%"),
  "test_accuracy": ("test accuracy", "%"),
  "train_loss": ("training loss, running", "nats"),
  "exact_train_loss": ("training loss, exact", "nats"),
  "test_loss": ("test loss", "nats"),
  "minibatch_loss": ("training loss, last minibatch", "nats"),
}


def at_end(result: Any, field: str) -> np.ndarray:
  """Returns a field of a result after the last epoch, without a last axis [E]; accuracies in %.

  `result` is of models trained side by side: histories are [K, M, E], end values [K, M].
  """
  values = getattr(result, field)
  values = values[..., -1] if values.ndim == 3 else values
  return np.asarray(values, float) * (100 if field.endswith("accuracy") else 1)


def rank_correlation(x: Sequence[float] | np.ndarray, y: Sequence[float] | np.ndarray) -> float:
  """Returns Spearman's rank correlation of two series [N]; NaN if one of them is constant."""
  if np.ptp(x) == 0 or np.ptp(y) == 0:  # a series of one value, too
    return float("nan")
  return float(statistics.rank_correlations(x, np.asarray(y)[None])[0])


def show(value: float, digits: int = 3) -> str:
  """Returns a number with `digits` significant digits; whole from 1000 on."""
  if not np.isfinite(value) or value == 0:
    return f"{value:g}"
  if 1000 <= abs(value) < 1e7:
    return f"{value:,.0f}"
  return f"{value:.{digits}g}"


def spread(values: Any, digits: int = 3) -> str:
  """Returns 'median (min to max)' over runs, 'x' where all are x, 'none' for none.

  >>> spread([0.1, 0.2, 0.4]), spread([3.0, 3.0])
  ('0.2 (0.1 to 0.4)', '3')
  """
  finite = np.asarray(values, dtype=float)
  finite = finite[np.isfinite(finite)]
  if finite.size == 0:
    return "none"
  median, least, most = (show(f(finite), digits) for f in (np.median, np.min, np.max))
  return median if least == most else f"{median} ({least} to {most})"
