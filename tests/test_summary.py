"""Verdicts follow the stated rule."""

import numpy as np
import pytest

from hw1_jax import summary


@pytest.mark.parametrize(
  ("outcomes", "verdict"),
  [
    ([], "undecided"),
    ([True] * 3, "undecided"),  # three of three say little: lower end 0.29
    ([True] * 5, "undecided"),  # 0.478
    ([True] * 6, "holds"),  # 0.541
    ([False] * 6, "does not hold"),
    ([True] * 9 + [False], "holds"),  # 0.555
    ([True] * 8 + [False] * 2, "undecided"),  # 0.444
    ([True, False] * 100, "no difference"),  # 0.43 to 0.57
  ],
)
def test_judge(outcomes, verdict):
  assert summary.judge(outcomes) == verdict


def test_claim_counts_its_runs_and_says_how_many_would_decide():
  claim = summary.claim("X-1", "text", np.array([True, False, True]), "Because.", extra=1)
  assert claim.evidence == "True in 2 of 3 runs. Because."
  assert claim.numbers == {"true_in_runs": 2, "runs": 3, "extra": 1}
  assert claim.verdict == "undecided"
  assert claim.runs_needed is not None
  assert claim.runs_needed > 10
  assert claim.turn == 0.5
  assert claim.effect == pytest.approx(2 / 3)


def test_compared_reads_its_verdict_off_the_interval():
  close = summary.compared("X", "t", [0.01, 0.02, 0.0, 0.01], "", region=0.1, unit="points")
  assert close.verdict == "no difference"
  same = summary.compared("X", "t", [0.01, 0.02, 0.0, 0.01], "", region=0.1, unit="", equality=True)
  assert same.verdict == "holds"
  apart = summary.compared("X", "t", [-1.0, -1.1, -0.9, np.nan], "So.", region=0.1, unit="points")
  assert apart.verdict == "does not hold"
  assert apart.runs == 3
  assert apart.evidence == (
    "Effect -1 (95 % interval -1.25 to -0.752) points, 3 runs. 1 of 4 runs have no such effect. So."
  )
  none = summary.compared("X", "t", [np.nan], "", region=0.1, unit="")
  assert none.verdict == "undecided"


def test_one_run_decides_nothing():
  claim = summary.compared("X", "t", [5.0], "", region=0.1, unit="nats")
  assert claim.verdict == "undecided"
  assert claim.evidence == "Effect 5 (95 % interval unbounded) nats, 1 runs."


def test_spread():
  assert summary.spread([3.0, 1.0, 2.0]) == "2 (1 to 3)"
  assert summary.spread([1.0]) == "1"
  assert summary.spread([np.nan, np.inf]) == "none"
  assert summary.spread([np.nan, 4.0]) == "4"
  assert summary.spread([1638.0, 25000.0, 2.5]) == "1,638 (2.5 to 25,000)"
  assert summary.spread([1.23456e-5]) == "1.23e-05"
