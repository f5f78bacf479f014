"""Does a measure rank networks as their generalization gap does? NumPy only; n networks.

Kendall's tau with an interval, its granulated form, and the conditional-independence test of Jiang
et al., Fantastic Generalization Measures and Where to Find Them (2020).

What they cannot do: networks that differ in one setting are no independent sample, so an interval
over networks says how much tau depends on the networks at hand, not how a new design would rank.
"""

import itertools
from typing import NamedTuple

import numpy as np


class Correlation(NamedTuple):
  """Kendall's tau, in [-1, 1], with a bootstrap interval; NaN where a series is constant."""

  tau: float
  low: float
  high: float


def kendall(
  measure: np.ndarray,
  gap: np.ndarray,
  *,
  groups: np.ndarray | None = None,
  num_samples: int = 1000,
  confidence: float = 0.95,
  seed: int = 0,
) -> Correlation:
  """Returns tau-b of two series [n] and a percentile bootstrap interval.

  Resampled are networks, or whole `groups` of them [n] (such as the repetitions of one setting,
  which are not independent). Pairs of a network with itself, which resampling makes, are ties and
  tau-b leaves ties out.

  Raises:
    ValueError: the lengths differ, or are less than 3.

  >>> kendall([1, 2, 3, 4, 5], [1, 2, 3, 5, 4]).tau
  0.8
  """
  measure, gap = np.asarray(measure, float), np.asarray(gap, float)
  if measure.shape != gap.shape or measure.ndim != 1 or len(gap) < 3:
    raise ValueError(
      f"measure, gap: got shapes {measure.shape} and {gap.shape}, expected one length of at least 3"
    )
  groups = np.arange(len(gap)) if groups is None else np.asarray(groups)
  names, group = np.unique(groups, return_inverse=True)
  drawn = np.random.default_rng(seed).integers(len(names), size=(num_samples, len(names)))
  times = np.stack([np.bincount(sample, minlength=len(names)) for sample in drawn])
  times = times[:, group.ravel()].astype(float)  # [samples, n]: how often each network is drawn
  taus = _tau_of_signs(_signs(measure), _signs(gap), times)
  found = taus[np.isfinite(taus)]
  tail = 100 * (1 - confidence) / 2
  low, high = np.percentile(found, [tail, 100 - tail]) if len(found) else (np.nan, np.nan)
  return Correlation(_tau(measure, gap), float(low), float(high))


def _tau(x: np.ndarray, y: np.ndarray) -> float:
  return float(_tau_of_signs(_signs(x), _signs(y), np.ones((1, len(x))))[0])


def _signs(values: np.ndarray) -> np.ndarray:
  """Returns the sign of every difference, [n, n]: all that tau needs to know."""
  return np.sign(np.subtract.outer(values, values))


def _tau_of_signs(x: np.ndarray, y: np.ndarray, times: np.ndarray) -> np.ndarray:
  """Returns tau-b = sum x y / sqrt(sum x^2 sum y^2) over pairs; NaN where a series is constant.

  x, y are signs [n, n]; times [S, n] says how often sample s holds each network; the result is [S].
  """
  together, one, other = (
    np.sum((times @ pairs) * times, axis=1) for pairs in (x * y, x * x, y * y)
  )
  scale = np.sqrt(one * other)
  return np.round(np.divide(together, scale, out=np.full(len(scale), np.nan), where=scale > 0), 12)


def granulated(measure: np.ndarray, gap: np.ndarray, settings: np.ndarray) -> np.ndarray:
  """Returns, for each of h settings, the mean of tau within groups that differ in it alone, [h].

  Jiang et al., eq. 5: settings [n, h] are the networks' hyperparameters, any comparable values.
  Their mean is Psi. NaN where no group has two different values. Unlike tau over all networks it
  cannot be won by following one strong setting.

  >>> settings = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
  >>> granulated(np.array([1, 0, 3, 2]), np.array([1, 2, 3, 4]), settings).tolist()
  [1.0, -1.0]
  """
  settings = np.asarray(settings)
  columns = settings.shape[1]
  result = np.full(columns, np.nan)
  for column in range(columns):
    others = np.delete(settings, column, axis=1)
    _, group = np.unique(others, axis=0, return_inverse=True)
    taus = [
      _tau(np.asarray(measure)[rows], np.asarray(gap)[rows])
      for rows in (np.flatnonzero(group.ravel() == name) for name in np.unique(group))
      if len(np.unique(settings[rows, column])) > 1
    ]
    if np.isfinite(taus).any():
      result[column] = np.nanmean(taus)
  return result


class Independence(NamedTuple):
  """How much a measure tells of the gap that the settings do not tell, in [0, 1]."""

  score: float  # the smallest over the sets of settings
  settings: tuple[int, ...]  # the set that takes most of it away
  by_set: dict[tuple[int, ...], float]


def conditional_independence(
  measure: np.ndarray, gap: np.ndarray, settings: np.ndarray, *, most: int = 2
) -> Independence:
  """Returns min over sets S of at most `most` settings of I(V_m; V_g | U_S) / H(V_g | U_S).

  Jiang et al., section 2.2.3: over all pairs of networks, V is the sign of the difference of the
  measure or of the gap, and U_S are both networks' values of the settings in S. 0: given S the
  measure says nothing of the gap; 1: it says everything. Pairs in both orders, so that the signs
  are balanced; pairs with a tie in the gap are left out. Plug-in estimates of the entropies: biased
  upwards where few pairs share a U_S, so compare with `null_score`.

  Raises:
    ValueError: `settings` is not [n, h].

  >>> gap, settings = np.array([1.0, 2.0, 3.0, 4.0]), np.array([[0], [0], [1], [1]])
  >>> conditional_independence(gap, gap, settings).score  # the gap itself says everything
  1.0
  """
  settings = np.asarray(settings)
  if settings.ndim != 2 or len(settings) != len(gap):
    raise ValueError(f"settings: got shape {settings.shape}, expected [{len(gap)}, h]")
  first, second = np.nonzero(~np.eye(len(gap), dtype=bool))
  gap_sign = np.sign(np.asarray(gap)[first] - np.asarray(gap)[second])
  measure_sign = np.sign(np.asarray(measure)[first] - np.asarray(measure)[second])
  told = gap_sign != 0
  by_set = {}
  for count in range(most + 1):
    for subset in itertools.combinations(range(settings.shape[1]), count):
      values = np.concatenate([settings[first], settings[second]], axis=1)
      columns = [c + offset for offset in (0, settings.shape[1]) for c in subset]
      cell = np.unique(values[:, columns], axis=0, return_inverse=True)[1].ravel()
      by_set[subset] = _information_ratio(gap_sign[told], measure_sign[told], cell[told])
  finite = {key: value for key, value in by_set.items() if np.isfinite(value)}
  least = min(finite, key=lambda key: finite[key]) if finite else ()
  return Independence(finite.get(least, float("nan")), least, by_set)


def null_score(
  gap: np.ndarray, settings: np.ndarray, *, most: int = 2, num_samples: int = 20, seed: int = 0
) -> float:
  """Returns the mean `conditional_independence` of random measures: what bias alone gives.

  >>> gap, settings = np.arange(30.0), np.zeros((30, 1))
  >>> 0 <= null_score(gap, settings, num_samples=3) < 0.05  # little: all pairs share one setting
  True
  """
  generator = np.random.default_rng(seed)
  return float(
    np.mean(
      [
        conditional_independence(generator.normal(size=len(gap)), gap, settings, most=most).score
        for _ in range(num_samples)
      ]
    )
  )


def _information_ratio(x: np.ndarray, y: np.ndarray, cell: np.ndarray) -> float:
  """Returns I(x; y | cell) / H(x | cell) of signs; NaN if x is known from the cell."""
  num_cells = cell.max() + 1 if len(cell) else 0
  joint = np.zeros((num_cells, 3, 3))
  np.add.at(joint, (cell, x.astype(int) + 1, y.astype(int) + 1), 1)
  entropy = _entropy(joint.sum(2)) - _entropy(joint.sum((1, 2)))
  given = _entropy(joint) - _entropy(joint.sum(1))
  return float((entropy - given) / entropy) if entropy > 1e-12 else float("nan")


def _entropy(counts: np.ndarray) -> float:
  p = counts[counts > 0] / max(counts.sum(), 1)
  return float(-np.sum(p * np.log(p)))
