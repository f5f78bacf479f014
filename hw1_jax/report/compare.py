"""Two folders of runs side by side: which numbers differ by more than their spread, which verdicts.

    python -m hw1_jax.report results/one results/other

Two seeds, two machines, a student's folder and a reference.
"""

import collections
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import scipy

from hw1_jax.report.reading import Run, collect
from hw1_jax.summary import Number, show

# Of Welch's test: of 100 numbers without any difference about one is named. Our choice.
LEVEL = 0.01


class Difference(NamedTuple):
  """A number or verdict of two runs of one experiment."""

  experiment: str
  name: str
  first: str
  second: str
  verdict: str  # "differs", "agrees", or "cannot say"


def compare_numbers(first: Number, second: Number) -> str:
  """Returns whether the means of two numbers differ by more than their spread over runs.

  Welch's t-test at LEVEL. Numbers without spread differ where they are not equal; of single runs,
  whose spread is unknown, only equal ones can be judged.
  """
  one, other = (np.array([v for v in n.values if math.isfinite(v)]) for n in (first, second))
  if not len(one) or not len(other):
    return "agrees" if len(one) == len(other) else "cannot say"
  if len(one) == len(other) and np.array_equal(one, other):
    return "agrees"
  if min(len(one), len(other)) < 2:
    return "cannot say"
  if np.ptp(one) == 0 and np.ptp(other) == 0:
    return "differs"  # else they were equal, or of unequal numbers of runs
  p_value = scipy.stats.ttest_ind(one, other, equal_var=False).pvalue
  return "differs" if p_value < LEVEL else "agrees"


def compare_runs(name: str, first: Run, second: Run) -> Iterator[Difference]:
  """Yields every number and every verdict that both runs have, and those that one of them lacks."""
  theirs = {number.name: number for number in second.summary.numbers}
  for number in first.summary.numbers:
    other = theirs.pop(number.name, None)
    if other is None:
      yield Difference(name, number.name, _spread(number), "none", "cannot say")
    else:
      verdict = compare_numbers(number, other)
      yield Difference(name, number.name, _spread(number), _spread(other), verdict)
  for number in theirs.values():
    yield Difference(name, number.name, "none", _spread(number), "cannot say")
  verdicts = {claim.id: claim.verdict for claim in second.claims}
  for claim in first.claims:
    other_verdict = verdicts.get(claim.id)
    same = "agrees" if claim.verdict == other_verdict else "differs"
    said = other_verdict or "none"
    yield Difference(name, claim.id, claim.verdict, said, same if other_verdict else "cannot say")


def compare(first: Path, second: Path) -> list[Difference]:
  """Returns what two folders of runs say of the same experiments. Raises OSError without them."""
  theirs = {s.topic.experiment: s.runs[0] for s in collect(second)}
  found: list[Difference] = []
  for section in collect(first):
    run, other = section.runs[0], theirs.get(section.topic.experiment)
    if other is None or "missing" in (run.status, other.status):
      continue
    found += compare_runs(section.topic.experiment, run, other)
  return found


def lines(differences: Sequence[Difference], names: tuple[str, str]) -> list[str]:
  """Returns the comparison as lines, an experiment after the other, differences first."""
  counts = collections.Counter(difference.verdict for difference in differences)
  if not differences:
    return ["The two folders have no experiment in common."]
  told = [
    f"{len(differences)} numbers and verdicts: {counts['differs']} differ by more than their"
    f" spread, {counts['agrees']} agree, of {counts['cannot say']} nothing can be said."
  ]
  for experiment in dict.fromkeys(d.experiment for d in differences):
    own = [d for d in differences if d.experiment == experiment]
    told += ["", f"{experiment}: {sum(d.verdict == 'agrees' for d in own)} of {len(own)} agree"]
    for verdict in ("differs", "cannot say"):
      for d in own:
        if d.verdict == verdict:
          told.append(f"  {verdict}: {d.name}: {names[0]} {d.first}; {names[1]} {d.second}")
  return told


def _spread(number: Number) -> str:
  values = [value for value in number.values if math.isfinite(value)]
  if not values:
    return "none"
  unit = f" {number.unit}" if number.unit else ""
  if len(values) == 1:
    return f"{show(values[0], 4)}{unit}"
  deviation = float(np.std(values, ddof=1))
  return f"{show(float(np.mean(values)), 4)} ± {show(deviation, 2)}{unit} ({len(values)} runs)"
