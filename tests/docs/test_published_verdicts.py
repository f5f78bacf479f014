"""Every published verdict, computed again from what its summary.json holds, by the stated rule.

The numbers per run stand in the summary; docs/verdicts.md states the rule, hw1_jax/statistics.py
is it.
"""

import dataclasses
import json
import math
import pathlib
from typing import Any

import numpy as np
import pytest

from hw1_jax import statistics, summary
from hw1_jax.runs import files

RESULTS = pathlib.Path(__file__).parents[2] / "docs" / "results"
OLD = "published by version 0.1.0, whose summaries do not hold what the rule needs"


def marks(folder: pathlib.Path) -> list[pytest.MarkDecorator]:
  """Skips a run published by version 0.1.0, which did not record who made its summary."""
  facts = json.loads((folder / "provenance.json").read_text())
  return [] if "presented_by" in facts else [pytest.mark.skip(reason=f"{folder.name}: {OLD}")]


PUBLISHED = [
  pytest.param(claim, id=f"{folder.parent.name}/{folder.name}/{claim['id']}", marks=marks(folder))
  for folder in sorted(path.parent for path in RESULTS.glob("*/*/summary.json"))
  for claim in json.loads((folder / "summary.json").read_text())["claims"]
]


def recomputed(claim: dict[str, Any]) -> tuple[str, statistics.Interval | None]:
  """Returns a claim's verdict and interval, of its numbers per run alone; None: no run has one."""
  numbers = claim["numbers"]
  if "effects" in numbers:
    effects = np.array([math.nan if e is None else e for e in numbers["effects"]], float)
    effects = effects[np.isfinite(effects)]
    if not len(effects):
      return summary.UNDECIDED, None
    found = statistics.mean_interval(effects, claim["resolution"])
    half_width = claim["region"][1] if claim["region"] else 0.0
    rule = statistics.equality_verdicts if claim["equality"] else statistics.verdicts
    return str(rule(found, half_width)), found
  true, runs = numbers["true_in_runs"], numbers["runs"]
  if not runs:
    return summary.UNDECIDED, None
  share = statistics.share_interval(true, runs)
  return str(statistics.verdicts(share, statistics.SHARE_REGION, 0.5)), share


def disagreement(claim: dict[str, Any]) -> str:
  """Returns what of a claim is not what its numbers per run give, '' if all is."""
  verdict, found = recomputed(claim)
  if claim["verdict"] != verdict:
    return f"verdict {claim['verdict']}, computed again {verdict}"
  if found is None:
    return "" if claim["effect"] is None else f"effect {claim['effect']} of no run"
  # An interval of one run is unbounded, which JSON holds as null.
  for name, stored, again in (
    ("effect", [claim["effect"]], [found.effect]),
    ("interval", claim["interval"], [found.low, found.high]),
    ("p_value", [claim["p_value"]], [found.p_value]),
    ("runs", [claim["runs"]], [found.runs]),
  ):
    stored = [math.nan if value is None else value for value in stored]
    again = [value if np.isfinite(value) else math.nan for value in map(float, again)]
    if not np.allclose(stored, again, rtol=1e-9, atol=1e-12, equal_nan=True):
      return f"{name} {stored}, computed again {again}"
  if bool(claim["runs_needed"]) and verdict != summary.UNDECIDED:
    return f"{claim['runs_needed']} runs would decide what is decided"
  return ""


@pytest.mark.parametrize("claim", PUBLISHED)
def test_a_published_verdict_is_what_the_rule_gives(claim):
  assert disagreement(claim) == ""


MADE = {
  "holds": summary.compared("A", "t", [0.4, 0.5, 0.6], "", region=0.1, unit="nats"),
  "does not hold": summary.compared("B", "t", [-0.4, -0.5, math.nan, -0.6], "", region=0, unit=""),
  "no difference": summary.compared("C", "t", [0.01, 0.0, -0.01], "", region=0.1, unit="nats"),
  "equal": summary.compared("D", "t", [0.01, 0.0, 0.01], "", region=0.1, unit="", equality=True),
  "a grid": summary.compared("E", "t", [0.1] * 3, "", region=0.0, unit="%", resolution=1.0),
  "one run": summary.compared("F", "t", [0.4], "", region=0.1, unit="nats"),
  "no run": summary.compared("G", "t", [math.nan], "", region=0.1, unit="nats", equality=True),
  "a share": summary.claim("H", "t", [True] * 8 + [False], "So."),
  "no share": summary.claim("I", "t", [], "So."),
}


def stored(claim: summary.Claim) -> dict[str, Any]:
  """Returns a claim as summary.json holds it."""
  return json.loads(json.dumps(files.jsonable(dataclasses.asdict(claim))))


@pytest.mark.parametrize("name", MADE)
def test_a_claim_holds_what_its_verdict_is_computed_from(name):
  assert disagreement(stored(MADE[name])) == ""


@pytest.mark.parametrize(
  ("name", "altered"),
  [
    ("holds", {"verdict": "undecided"}),
    ("holds", {"region": [-1.0, 1.0]}),
    ("holds", {"numbers": {"effects": [0.4, 0.5, -0.6]}}),
    ("holds", {"effect": 0.6}),
    ("holds", {"runs_needed": 5}),
    ("no difference", {"equality": True}),
    ("equal", {"equality": False}),
    ("a grid", {"resolution": 0.0}),
    ("one run", {"verdict": "holds"}),
    ("no run", {"verdict": "holds"}),
    ("a share", {"numbers": {"true_in_runs": 5, "runs": 9}}),
    ("a share", {"interval": [0.6, 1.0]}),
  ],
)
def test_a_verdict_or_a_number_typed_in_is_found(name, altered):
  assert disagreement({**stored(MADE[name]), **altered})
