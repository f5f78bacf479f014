"""What an experiment says of its result: numbers beside the reported ones, and judged claims.

`Summary` is what summary.json holds and what the report page shows. All of it is computed from the
result; nothing here is typed in by hand but the reported numbers and the claims' wording.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import stats

HOLDS, FAILS, UNDECIDED = "holds", "does not hold", "undecided"

# A claim about trainings is judged run by run. With a uniform prior on the fraction of trainings
# for which it is true, it holds if the posterior probability that this fraction exceeds 1/2 is at
# least 0.9 (3 of 3 runs: 0.94; 2 of 2: 0.88), fails if at most 0.1, else is undecided. Our choice.
CONFIDENCE = 0.9


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
  """A claim of a report and what our runs say of it."""

  id: str  # "L-1.1.1a", protocols' numbering
  text: str  # the claim, in our words
  verdict: str  # HOLDS, FAILS or UNDECIDED
  evidence: str  # one sentence with numbers, computed
  numbers: dict[str, Any] = dataclasses.field(default_factory=dict)  # JSON-able


@dataclasses.dataclass(frozen=True)
class Summary:
  """Everything the page says of one experiment."""

  numbers: tuple[Number, ...] = ()
  claims: tuple[Claim, ...] = ()
  findings: tuple[str, ...] = ()  # sentences computed from the data
  captions: dict[str, str] = dataclasses.field(default_factory=dict)  # figure name -> finding
  tables: dict[str, list[dict[str, Any]]] = dataclasses.field(default_factory=dict)  # CSV each


def judge(outcomes: Sequence[bool] | np.ndarray) -> str:
  """Returns the verdict on a claim that is true in the runs where `outcomes`, [M] bool, is.

  The rule stands above `CONFIDENCE`. No run at all is undecided.
  """
  outcomes = np.asarray(outcomes, dtype=bool)
  successes, failures = int(outcomes.sum()), int((~outcomes).sum())
  probability = stats.beta.sf(0.5, successes + 1, failures + 1)
  if probability >= CONFIDENCE:
    return HOLDS
  return FAILS if probability <= 1 - CONFIDENCE else UNDECIDED


def claim(
  id: str, text: str, outcomes: Sequence[bool] | np.ndarray, evidence: str, **numbers: Any
) -> Claim:
  """Returns a Claim judged from `outcomes`, [M], with the count of runs in its evidence."""
  outcomes = np.asarray(outcomes, dtype=bool)
  counted = f"True in {int(outcomes.sum())} of {outcomes.size} runs. {evidence}"
  numbers = {"true_in_runs": int(outcomes.sum()), "runs": int(outcomes.size), **numbers}
  return Claim(id, text, judge(outcomes), counted, numbers)


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
  return float(stats.spearmanr(x, y).statistic)


def show(value: float, digits: int = 3) -> str:
  """Returns a number with `digits` significant digits; whole from 1000 on."""
  if not np.isfinite(value) or value == 0:
    return f"{value:g}"
  if 1000 <= abs(value) < 1e7:
    return f"{value:,.0f}"
  return f"{value:.{digits}g}"


def spread(values: Any, digits: int = 3) -> str:
  """Returns 'median (min to max)' over runs, 'x' for a single run, 'none' for none."""
  finite = np.asarray(values, dtype=float)
  finite = finite[np.isfinite(finite)]
  if finite.size == 0:
    return "none"
  median = show(np.median(finite), digits)
  if finite.size == 1:
    return median
  return f"{median} ({show(finite.min(), digits)} to {show(finite.max(), digits)})"
