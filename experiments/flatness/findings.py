"""Our numbers, the judged claims, the sentences."""

from typing import NamedTuple

import numpy as np

from hw1_jax import analysis
from hw1_jax.analysis.rank_analysis import Correlation
from hw1_jax.report.assignment import topic_of
from hw1_jax.summary import Claim, Number, Summary, claim, show, spread

from .measures import INVARIANT, NAMES
from .run import Config, Result

TOPIC = topic_of("flatness")
SETTINGS = ("batch size", "learning rate", "width", "depth", "label noise")
MOVES = 0.05  # our reading of "does not move" in the audit: within 5 %; ascent is not exact


class Ranking(NamedTuple):
  """What one measure says of the gap over the networks that reached the target loss."""

  all: Correlation  # over all networks
  clean: Correlation  # over those without label noise
  granulated: np.ndarray  # [h]
  score: float  # conditional independence


def used(result: Result) -> np.ndarray:
  """Returns which networks count, [n] bool: those that reached the target loss."""
  return result.reached


def gap(result: Result) -> np.ndarray:
  """Returns test error (true labels) less training error (the labels trained on), [n]."""
  return result.test_error - result.train_error


def rank(result: Result, name: str, rows: np.ndarray) -> Correlation:
  """Returns Kendall's tau of a measure with the gap; resampled are settings, not repetitions."""
  _, group = np.unique(result.settings[rows], axis=0, return_inverse=True)
  if rows.sum() < 3:
    return Correlation(np.nan, np.nan, np.nan)
  return analysis.kendall(result.measures[name][rows], gap(result)[rows], groups=group.ravel())


def rankings(result: Result) -> dict[str, Ranking]:
  """Returns every measure's ranking, the best first."""
  rows = used(result)
  clean = rows & (result.settings[:, -1] == result.settings[:, -1].min())
  gaps, runs = gap(result)[rows], with_run(result, rows)
  found = {
    name: Ranking(
      rank(result, name, rows),
      rank(result, name, clean),
      analysis.granulated(values[rows], gaps, runs)[: len(SETTINGS)],
      analysis.conditional_independence(values[rows], gaps, result.settings[rows]).score,
    )
    for name, values in result.measures.items()
  }
  return dict(sorted(found.items(), key=lambda item: -np.nan_to_num(item[1].all.tau, nan=-2)))


def with_run(result: Result, rows: np.ndarray) -> np.ndarray:
  """Returns settings and repetition, [n, h + 1]: runs are compared within a repetition."""
  return np.column_stack([result.settings[rows], result.run[rows]])


def factor_ranges(result: Result) -> dict[str, np.ndarray]:
  """Returns each measure's largest change in the audit, as a factor >= 1.

  [A'], of those audited networks that reached the target loss.
  """
  rows = {name: values[used(result)[: len(values)]] for name, values in result.audit.items()}
  return {
    name: np.exp(np.abs(np.log(np.maximum(np.abs(values), 1e-12))).max(axis=1))
    for name, values in rows.items()
  }


def judge_claims(result: Result) -> list[Claim]:
  """Returns the claims of the audit, judged network by network."""
  moved = factor_ranges(result)
  still = np.all([moved[name] <= 1 + MOVES for name in INVARIANT], axis=0)
  others = [name for name in NAMES if name not in (*INVARIANT, "pac_bayes")]
  away = np.all([moved[name] > 1 + MOVES for name in others], axis=0)

  def told(names: tuple[str, ...] | list[str]) -> str:
    return "; ".join(f"{NAMES[name]} {spread(moved[name])}" for name in names)

  return [
    claim("O-invariant", TOPIC.claims["O-invariant"].format(moves=100 * MOVES), still,
          f"Largest factor by which each moved: {told(INVARIANT)}."),
    claim("O-moves", TOPIC.claims["O-moves"].format(moves=100 * MOVES), away,
          f"Largest factor by which each moved: {told(others)}."),
  ]  # fmt: skip


def interval(found: Correlation) -> str:
  """Returns 'tau (low to high)'."""
  return f"{show(found.tau, 2)} ({show(found.low, 2)} to {show(found.high, 2)})"


def unranked(result: Result, found: dict[str, Ranking]) -> str:
  """Returns a sentence on the measures that tell no network from another, or nothing."""
  values = {name: result.measures[name][used(result)].max() for name in found}
  same = [name for name in found if np.isnan(found[name].all.tau)]
  told = ", ".join(f"{NAMES[name]} ({show(values[name])})" for name in same)
  return f" The same for all networks, so that it ranks none: {told}." if same else ""


def summarize(config: Config, result: Result) -> Summary:
  """Returns correlations, the audit, the claims and the sentences."""
  rows, found = used(result), rankings(result)
  null = analysis.null_score(gap(result)[rows], result.settings[rows])
  numbers = [
    Number("networks that reached the target loss", (int(rows.sum()),), note=f"of {len(rows)}"),
    Number("training loss", tuple(result.train_loss[rows]), "nats"),
    Number("gap: test error less training error", tuple(100 * gap(result)[rows]), "%"),
    Number("conditional-independence score of a random measure", (null,)),
  ]
  for name, ranking in found.items():
    numbers += [
      Number(f"{NAMES[name]}: Kendall's τ with the gap", (ranking.all.tau,),
             note=f"95 % interval {show(ranking.all.low, 2)} to {show(ranking.all.high, 2)}"),
      Number(f"{NAMES[name]}: conditional-independence score", (ranking.score,)),
    ]  # fmt: skip
  ranked = [name for name in found if np.isfinite(found[name].all.tau)]
  if not ranked or not used(result)[: len(result.audit["trace"])].any():
    return too_few(config, result, numbers[:3])
  claims = judge_claims(result)
  best, worst = ranked[0], ranked[-1]
  by_score = max(found, key=lambda name: np.nan_to_num(found[name].score, nan=-1))
  sure = sum(ranking.all.low > 0 for ranking in found.values())
  clean = max(found, key=lambda name: np.nan_to_num(found[name].clean.tau, nan=-2))
  first = (
    f"{int(rows.sum())} of {len(rows)} networks reached the training loss "
    f"{config.target_loss:g} (theirs: {spread(result.train_loss[rows])} nats); their gap between "
    f"test and training error is {spread(100 * gap(result)[rows])} %."
  )
  second = (
    f"Of {len(found)} measures {sure} rank the networks as the gap does with an interval above 0; "
    f"the best is {NAMES[best]}, τ {interval(found[best].all)}, the worst {NAMES[worst]}, "
    f"τ {interval(found[worst].all)}.{unranked(result, found)}"
  )
  third = (
    f"Among networks trained with the least label noise ({show(result.settings[:, -1].min())}) the "
    f"best is {NAMES[clean]}, τ {interval(found[clean].clean)}, and {NAMES[best]} has τ "
    f"{interval(found[best].clean)}."
  )
  fourth = (
    f"Given any two settings, {NAMES[by_score]} still tells most of the gap (score "
    f"{show(found[by_score].score, 2)}; a random measure {show(null, 2)})."
  )
  moved = factor_ranges(result)
  most = max(moved, key=lambda name: np.median(moved[name]))
  fifth = (
    f"Rescaling the first layer by {', '.join(f'{f:g}' for f in result.factors)}, which leaves the "
    f"function as it is, moves {sum(np.median(v) > 1 + MOVES for v in moved.values())} of "
    f"{len(moved)} measures by more than {100 * MOVES:g} %, most of all {NAMES[most]}: by a factor "
    f"up to {spread(moved[most])}."
  )
  return Summary(
    tuple(numbers), tuple(claims), (first, second, third, fourth, fifth),
    {
      "correlation": second,
      "audit": fifth,
      "scatter": first,
    },
    {"networks": networks(result), "measures": table(found)},
    second,
  )  # fmt: skip


def too_few(config: Config, result: Result, numbers: list[Number]) -> Summary:
  """Returns the summary of a run whose networks cannot be ranked, or audited."""
  rows = used(result)
  said = (
    f"{int(rows.sum())} of {len(rows)} networks reached the training loss {config.target_loss:g}: "
    "too few, or too much alike, to rank measures and to audit them."
  )
  captions = dict.fromkeys(("correlation", "audit", "scatter"), said)
  return Summary(tuple(numbers), (), (said,), captions, {"networks": networks(result)}, said)


def networks(result: Result) -> list[dict]:
  """Returns a row a network."""
  fields = ("epochs", "reached", "train_loss", "train_error", "test_loss", "test_error")
  return [
    {**dict(zip(SETTINGS, map(float, result.settings[i]))), "run": int(result.run[i]) + 1,
     **{field: float(getattr(result, field)[i]) for field in fields},
     **{name: float(values[i]) for name, values in result.measures.items()}}
    for i in range(len(result.run))
  ]  # fmt: skip


def table(found: dict[str, Ranking]) -> list[dict]:
  """Returns a row a measure."""
  return [
    {"measure": name, "tau": r.all.tau, "low": r.all.low, "high": r.all.high,
     "tau_least_noise": r.clean.tau,
     **{f"granulated, {setting}": float(v) for setting, v in zip(SETTINGS, r.granulated)},
     "independence": r.score}
    for name, r in found.items()
  ]  # fmt: skip
