"""Times to an event of which some are censored: epochs to convergence, with a limit on the epochs.

A run that did not converge by the limit says "later than that", not nothing: medians over the
converged runs alone are survivors' medians.
"""

from typing import Any, NamedTuple

import numpy as np
import scipy

from hw1_jax.statistics import CONFIDENCE


class Curve(NamedTuple):
  """The Kaplan-Meier estimate after each of K event times."""

  times: np.ndarray  # [K] increasing, at which a run converged
  survival: np.ndarray  # [K] share of runs still going just after it
  error: np.ndarray  # [K] Greenwood's standard error
  low: np.ndarray  # [K] of the 95 % interval, on the log(-log) scale, which stays in [0, 1]
  high: np.ndarray  # [K]


def kaplan_meier(times: Any, observed: Any) -> Curve:
  """Returns the share of runs that have not yet had the event, over time.

  Args:
    times: [M] of the event, or of the end of observation.
    observed: [M] bool, whether the event was seen; a censored run counts as at risk at its time.

  Source: Kaplan and Meier (1958); Greenwood's variance S^2 sum d / (n (n - d)).
  """
  times, observed = np.asarray(times, float), np.asarray(observed, bool)
  events = np.unique(times[observed])
  at_risk = (times[None] >= events[:, None]).sum(axis=1)
  died = ((times[None] == events[:, None]) & observed).sum(axis=1)
  survival = np.cumprod(1 - died / at_risk)
  with np.errstate(divide="ignore", invalid="ignore"):  # the last run of all leaves S = 0
    greenwood = np.cumsum(died / (at_risk * (at_risk - died)))
    error = np.where(survival > 0, survival * np.sqrt(greenwood), 0.0)
    spread = np.exp(
      scipy.stats.norm.ppf((1 + CONFIDENCE) / 2) * np.sqrt(greenwood) / np.abs(np.log(survival))
    )
    low, high = (np.where(survival > 0, survival**power, 0.0) for power in (spread, 1 / spread))
  return Curve(events, survival, error, low, high)


def median_time(curve: Curve) -> float:
  """Returns the first time at which at most half of the runs are left; inf if it never comes."""
  below = curve.survival <= 0.5 + 1e-12
  return float(curve.times[below.argmax()]) if below.any() else float("inf")


class LogRank(NamedTuple):
  """The log-rank test of two groups."""

  z: float  # positive: the first group has the event sooner
  p_value: float  # two-sided


def log_rank(times: Any, observed: Any, other_times: Any, other_observed: Any) -> LogRank:
  """Returns the log-rank test of equal event times in two groups of independent runs.

  z = sum(d1 - e1) / sqrt(sum v1) over event times, v1 the hypergeometric variance; p is 1 and z 0
  where no run of either group had the event.
  """
  groups = [(np.asarray(t, float), np.asarray(o, bool))
            for t, o in ((times, observed), (other_times, other_observed))]  # fmt: skip
  events = np.unique(np.concatenate([t[o] for t, o in groups]))
  risk = np.stack([(t[None] >= events[:, None]).sum(axis=1) for t, _ in groups])
  died = np.stack([((t[None] == events[:, None]) & o).sum(axis=1) for t, o in groups])
  n, d = risk.sum(axis=0), died.sum(axis=0)
  variance = np.divide(d * risk[0] * risk[1] * (n - d), n**2 * (n - 1.0),
                       out=np.zeros(len(n)), where=n > 1).sum()  # fmt: skip
  if variance == 0:
    return LogRank(0.0, 1.0)
  z = float((died[0] - d * risk[0] / np.maximum(n, 1)).sum() / np.sqrt(variance))
  return LogRank(z, float(2 * scipy.stats.norm.sf(abs(z))))


def first_to_converge(
  times: Any, observed: Any, other_times: Any, other_observed: Any
) -> tuple[int, int]:
  """Returns (pairs in which the first side is first, pairs in which the other is).

  Pairs [M] share their limit; where neither converged by it, or both in the same epoch, none was
  first. The sign test of these two numbers is `statistics.share_interval(first, first + other)`.
  """
  a, b = (
    np.where(np.asarray(o, bool), np.asarray(t, float), np.inf)
    for t, o in ((times, observed), (other_times, other_observed))
  )
  return int((a < b).sum()), int((b < a).sum())
