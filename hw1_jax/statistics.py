"""What a few seeds can say: intervals, verdicts, and how many more runs would decide.

A verdict is read off a 95 % interval of an effect over independent runs. Effects are signed so that
a positive one is what the claim says, and zero is where it turns:

    no difference   the whole interval lies within the region of practical equivalence
    holds           the whole interval is above zero
    does not hold   the whole interval is below zero
    undecided       none of these

docs/verdicts.md states how often the rule errs, measured by scripts/verdict_rates.py.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import scipy

HOLDS, FAILS, UNDECIDED = "holds", "does not hold", "undecided"
NO_DIFFERENCE = "no difference"
VERDICTS = (HOLDS, FAILS, NO_DIFFERENCE, UNDECIDED)

CONFIDENCE = 0.95  # of every interval; the usual one
LOSS_REGION = float(np.log(1.05))  # of log ratios: losses within 5 % are alike; our choice
SHARE_REGION = 0.1  # around 1/2: a reading true in 40 to 60 % of runs says nothing; our choice
SLACK = 1e-9  # relative, of comparisons with a stated bound: far above rounding, far below meaning
LEAST_RUNS = 3  # below this no verdict: one or two runs show no spread, or one degree of freedom
MOST_RUNS = 10_000  # beyond this, "how many runs would decide" is not a number anyone would run


class Interval(NamedTuple):
  """An effect with its interval over runs; floats, or arrays over leading axes."""

  effect: Any
  low: Any
  high: Any
  p_value: Any  # two-sided, of no effect (of a share of one half)
  runs: int


# Comparisons of floats


def at_least(values: Any, bound: float) -> np.ndarray:
  """Returns whether values reach a bound, with SLACK: -0.9 computed as -0.8999999999999998 does.

  >>> bool(at_least(0.8999999999999998, 0.9)), bool(at_least(0.8999, 0.9))
  (True, False)
  """
  return np.asarray(values, float) >= bound - SLACK * max(1.0, abs(bound))


def at_most(values: Any, bound: float) -> np.ndarray:
  """Returns whether values stay at or below a bound, with SLACK."""
  return np.asarray(values, float) <= bound + SLACK * max(1.0, abs(bound))


# Effects over runs


def mean_interval(differences: Any, resolution: float = 0.0) -> Interval:
  """Returns the mean over runs of per-run effects [..., M] with Student's t interval.

  For paired comparisons: run m of both sides shares its random streams, so their difference is one
  effect. t, because with 3 to 10 runs it keeps its confidence where a BCa bootstrap does not and a
  Hodges-Lehmann interval needs at least six runs for 95 % (docs/verdicts.md has the measured
  coverages). Effects that are skewed by nature, such as losses, come as log ratios.

  Args:
    differences: [..., M]; a single run has an infinite interval.
    resolution: the grid that the effects lie on, such as one test image in 10,000; its rounding
      variance, resolution^2 / 12, is added, so that a few equal values do not look certain.
  """
  values = np.asarray(differences, float)
  runs = values.shape[-1]
  if runs == 0:
    raise ValueError("differences: no run; expected at least one")
  mean = values.mean(axis=-1)
  if runs == 1:
    nothing = np.full_like(mean, np.inf)
    return Interval(mean, -nothing, nothing, np.ones_like(mean), 1)
  variance = values.var(axis=-1, ddof=1) + resolution**2 / 12
  error = np.sqrt(variance / runs)
  half = scipy.stats.t.ppf((1 + CONFIDENCE) / 2, runs - 1) * error
  return Interval(mean, mean - half, mean + half, _p_value(mean, error, runs - 1), runs)


def unpaired_interval(first: Any, second: Any) -> Interval:
  """Returns the mean of `first` [..., M] minus that of `second` [..., K], with Welch's t interval.

  For runs that share nothing; neither equal numbers nor equal variances are assumed.
  """
  first, second = np.asarray(first, float), np.asarray(second, float)
  sizes = first.shape[-1], second.shape[-1]
  if min(sizes) < 2:
    raise ValueError(f"first, second: {sizes[0]} and {sizes[1]} runs; expected at least 2 each")
  parts = [values.var(axis=-1, ddof=1) / n for values, n in zip((first, second), sizes)]
  mean, total = first.mean(axis=-1) - second.mean(axis=-1), parts[0] + parts[1]
  squares = sum(part**2 / (n - 1) for part, n in zip(parts, sizes))
  degrees = np.where(
    squares > 0, total**2 / np.where(squares > 0, squares, 1.0), float(min(sizes) - 1)
  )
  half = scipy.stats.t.ppf((1 + CONFIDENCE) / 2, degrees) * np.sqrt(total)
  p_value = _p_value(mean, np.sqrt(total), degrees)
  return Interval(mean, mean - half, mean + half, p_value, min(sizes))


def _p_value(mean: np.ndarray, error: np.ndarray, degrees: Any) -> np.ndarray:
  """Returns the two-sided p of a mean of zero; without any spread 0, or 1 for a mean of zero."""
  ratio = np.divide(mean, error, out=np.full_like(mean, np.inf), where=error > 0)
  return np.where((mean == 0) & (error == 0), 1.0, 2 * scipy.stats.t.sf(np.abs(ratio), degrees))


def share_interval(true: int, runs: int) -> Interval:
  """Returns the share of runs in which a reading is true, with Clopper and Pearson's interval.

  The exact one, because a verdict is a decision: its error stays below the stated 2.5 % on either
  side at any number of runs, which Wilson's shorter interval only reaches on average.

  >>> [round(float(value), 3) for value in share_interval(6, 6)[:3]]
  [1.0, 0.541, 1.0]
  """
  if not 0 <= true <= runs or runs == 0:
    raise ValueError(f"true: {true} of {runs} runs; expected 0 to runs, and at least one run")
  tail = (1 - CONFIDENCE) / 2
  low = 0.0 if true == 0 else float(scipy.stats.beta.ppf(tail, true, runs - true + 1))
  high = 1.0 if true == runs else float(scipy.stats.beta.ppf(1 - tail, true + 1, runs - true))
  p_value = float(scipy.stats.binomtest(true, runs).pvalue)
  return Interval(true / runs, low, high, p_value, runs)


def accuracy_region(accuracies: Any, num_examples: int) -> float:
  """Returns the binomial standard error, in %, of the mean of `accuracies` in %, on so many images.

  Models whose accuracies differ by less cannot be told apart by a set of that size: another sample
  of images would move each by as much. 98.7 % on 10,000 images: 0.113 points.
  """
  mean = float(np.mean(accuracies)) / 100
  # A set that is met entirely still resolves no more than half an example.
  return 100 * max(np.sqrt(max(mean * (1 - mean), 0.0) / num_examples), 0.5 / num_examples)


# Verdicts


def verdicts(interval: Interval, region: float, turn: float = 0.0) -> np.ndarray:
  """Returns the verdicts on "the effect is above `turn`", text [...]; the rule stands above.

  `region` is the half-width around `turn` within which an effect makes no practical difference;
  0 if any difference counts.
  """
  low, high = np.asarray(interval.low) - turn, np.asarray(interval.high) - turn
  within = (low > -region) & (high < region)
  enough = interval.runs >= LEAST_RUNS
  conditions = [within & enough, (low > 0) & enough, (high < 0) & enough]
  return np.select(conditions, [NO_DIFFERENCE, HOLDS, FAILS], UNDECIDED)


def equality_verdicts(interval: Interval, region: float) -> np.ndarray:
  """Returns the verdicts on "the effect is practically zero": two one-sided tests, text [...].

  It holds if the whole interval lies within +- region, does not if it lies outside on one side.
  """
  low, high = np.asarray(interval.low), np.asarray(interval.high)
  within, beyond = (low > -region) & (high < region), (low > region) | (high < -region)
  enough = interval.runs >= LEAST_RUNS
  return np.select([within & enough, beyond & enough], [HOLDS, FAILS], UNDECIDED)


def _fewest(decides: Callable[[int], bool], start: int) -> int | None:
  """Returns the fewest runs from `start` that decide, by doubling and halving; None: too many."""
  most = max(start, 2)
  while not decides(most):
    most *= 2
    if most > MOST_RUNS:
      return None
  least = max(start, most // 2)
  while least < most:
    middle = (least + most) // 2
    least, most = (least, middle) if decides(middle) else (middle + 1, most)
  return most


def runs_to_decide(differences: Any, region: float, *, equality: bool = False) -> int | None:
  """Returns about how many runs would decide, if mean and spread over runs [M] stay as they are.

  None for fewer than two runs, which show no spread, and for more than MOST_RUNS.
  """
  values = np.asarray(differences, float)
  if len(values) < 2:
    return None
  mean, deviation = abs(float(values.mean())), float(values.std(ddof=1))

  def decides(runs: int) -> bool:
    half = scipy.stats.t.ppf((1 + CONFIDENCE) / 2, runs - 1) * deviation / np.sqrt(runs)
    if mean + half < region:
      return True
    return bool(mean - half > (region if equality else 0.0))

  return _fewest(decides, max(len(values), LEAST_RUNS))


def runs_to_decide_share(true: int, runs: int) -> int | None:
  """Returns about how many runs would decide on a share, if it stays as it is; or None."""
  share = true / runs

  def decides(more: int) -> bool:
    interval = share_interval(round(share * more), more)
    return str(verdicts(interval, SHARE_REGION, 0.5)) != UNDECIDED

  return _fewest(decides, runs)


def holm(p_values: Any) -> np.ndarray:
  """Returns which of the claims [C] still differ from no effect at a family-wise 5 %, bool [C].

  Holm's step-down: the k-th smallest p must be at most 0.05 / (C - k + 1), and all before it.
  """
  values = np.asarray(p_values, float)
  order = np.argsort(values)
  bounds = (1 - CONFIDENCE) / np.arange(len(values), 0, -1)
  passed = np.cumprod(values[order] <= bounds).astype(bool)
  kept = np.zeros(len(values), bool)
  kept[order] = passed
  return kept


# Trends over levels


def rank_correlations(x: Any, values: Any) -> np.ndarray:
  """Returns Spearman's coefficient [M] between x [L] and each row of values [M, L]; 0: constant."""
  ranks = scipy.stats.rankdata(x)
  ranks = ranks - ranks.mean()
  others = scipy.stats.rankdata(np.asarray(values, float), axis=1)
  others = others - others.mean(axis=1, keepdims=True)
  norms = np.linalg.norm(ranks) * np.linalg.norm(others, axis=1)
  return np.divide(others @ ranks, norms, out=np.zeros(len(others)), where=norms > 0)


def slopes(x: Any, values: Any) -> np.ndarray:
  """Returns each run's least-squares slope [M] of values [M, L] against x [L]; NaN for one level.

  >>> slopes([0, 1, 2], [[1, 3, 5], [0, 0, 0]]).tolist()
  [2.0, 0.0]
  """
  centred = np.asarray(x, float) - np.mean(x)
  squares = centred @ centred
  if squares == 0:
    return np.full(len(values), np.nan)
  return np.asarray(values, float) @ centred / squares
