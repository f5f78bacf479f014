"""Prints the tables of docs/verdicts.md: how often the rule for verdicts errs, by simulation.

    python -m scripts.verdict_rates

Effects are in units of their standard deviation over runs. Cost: half a minute on one core.
"""

import numpy as np
from scipy import stats

from hw1_jax import statistics

REPETITIONS = 20_000
REGION = 0.5  # half-width of the region of practical equivalence, in standard deviations
RUNS = (3, 5, 10, 30, 100)


def noise(shape: str, size: tuple[int, int], seed: int) -> np.ndarray:
  """Returns draws of mean 0 and standard deviation 1: normal, skewed, or with outliers."""
  draws = np.random.default_rng(seed)
  if shape == "normal":
    return draws.normal(size=size)
  if shape == "skewed":  # log-normal, skewness 2.3: losses that nobody took the log of
    spread = 0.6
    mean, variance = np.exp(spread**2 / 2), np.exp(spread**2) * (np.exp(spread**2) - 1)
    return (draws.lognormal(0, spread, size) - mean) / np.sqrt(variance)
  if shape == "outliers":  # one run in ten spreads five times as wide
    wide = np.where(draws.random(size) < 0.1, 5.0, 1.0)
    return draws.normal(size=size) * wide / np.sqrt(0.9 + 0.1 * 25)
  raise ValueError(f"shape: {shape!r}; expected normal, skewed or outliers")


def rates(effect: float, runs: int, shape: str = "normal", repetitions: int = REPETITIONS,
          seed: int = 0) -> dict[str, float]:  # fmt: skip
  """Returns verdict -> how often it is given where the effect really is `effect`."""
  found = statistics.mean_interval(effect + noise(shape, (repetitions, runs), seed))
  given = statistics.verdicts(found, REGION)
  return {verdict: float((given == verdict).mean()) for verdict in statistics.VERDICTS}


def share_rates(share: float, runs: int) -> dict[str, float]:
  """Returns verdict -> its probability for a reading true in `share` of all trainings; exact."""
  chances = stats.binom.pmf(np.arange(runs + 1), runs, share)
  given = [
    str(statistics.verdicts(statistics.share_interval(true, runs), statistics.SHARE_REGION, 0.5))
    for true in range(runs + 1)
  ]
  return {
    verdict: float(sum(chance for chance, one in zip(chances, given) if one == verdict))
    for verdict in statistics.VERDICTS
  }


def hodges_lehmann(values: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
  """Returns the ends of the 95 % interval of the pseudo-median of each row; None: too few runs."""
  runs = values.shape[1]
  i, j = np.triu_indices(runs)
  walsh = np.sort((values[:, i] + values[:, j]) / 2, axis=1)
  ways = np.ones(1)
  for rank in range(1, runs + 1):  # the signed-rank statistic's exact distribution
    ways = np.convolve(ways, np.eye(1, rank + 1, rank)[0] + np.eye(1, rank + 1, 0)[0])
  cut = int((np.cumsum(ways / 2.0**runs) <= (1 - statistics.CONFIDENCE) / 2).sum())
  return (walsh[:, cut - 1], walsh[:, -cut]) if cut else None


def coverages(runs: int, shape: str, repetitions: int = 2000) -> list[str]:
  """Returns how often three 95 % intervals hold the true mean (Hodges-Lehmann: the median)."""
  values = noise(shape, (repetitions, runs), 1)
  found = statistics.mean_interval(values)
  draws = np.random.default_rng(2)
  boot = stats.bootstrap(
    (values,), np.mean, axis=1, n_resamples=999, batch=50, method="BCa", rng=draws
  ).confidence_interval
  ends = [(found.low, found.high), (boot.low, boot.high), hodges_lehmann(values)]
  shown = []
  for pair in ends:
    if pair is None:
      shown.append("does not exist")
    else:
      shown.append(f"{100 * np.mean((pair[0] <= 0) & (pair[1] >= 0)):.1f} %")
  return shown


def table(heads: list[str], rows: list[list[str]]) -> str:
  lines = [heads, ["---"] * len(heads), *rows]
  return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def percents(given: dict[str, float]) -> list[str]:
  return [f"{100 * given[verdict]:.1f}" for verdict in statistics.VERDICTS]


def main() -> None:
  heads = [f"{verdict} (%)" for verdict in statistics.VERDICTS]
  for shape in ("normal", "skewed", "outliers"):
    print(f"Effects over runs: {shape}.\n")
    rows = [
      [f"{effect:g}", str(runs), *percents(rates(effect, runs, shape))]
      for effect in (0.0, REGION, 2 * REGION, 4 * REGION)
      for runs in RUNS
    ]
    print(table(["true effect", "runs", *heads], rows))
  print("Shares of runs, exact.\n")
  rows = [
    [f"{share:g}", str(runs), *percents(share_rates(share, runs))]
    for share in (0.5, 0.6, 0.8, 0.95)
    for runs in (3, 8, 10, 30, 100, 200)
  ]
  print(table(["true share", "runs", *heads], rows))
  print("Coverage of 95 % intervals.\n")
  rows = [
    [shape, str(runs), *coverages(runs, shape)]
    for shape in ("normal", "skewed")
    for runs in (3, 10, 30)
  ]
  print(table(["effects", "runs", "t", "BCa bootstrap", "Hodges-Lehmann"], rows))


if __name__ == "__main__":
  main()
