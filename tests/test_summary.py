"""Verdicts follow the stated rule."""

import numpy as np
import pytest

from hw1_jax import summary


@pytest.mark.parametrize(
  ("outcomes", "verdict"),
  [
    ([], "undecided"),
    ([True], "undecided"),  # posterior 0.75
    ([True] * 2, "undecided"),  # 0.875
    ([True] * 3, "holds"),  # 0.9375
    ([False] * 3, "does not hold"),
    ([True] * 7 + [False], "holds"),  # 0.98
    ([True] * 6 + [False] * 2, "holds"),  # 0.91
    ([True] * 5 + [False] * 3, "undecided"),  # 0.75
    ([False] * 6 + [True] * 2, "does not hold"),
  ],
)
def test_judge(outcomes, verdict):
  assert summary.judge(outcomes) == verdict


def test_posterior_by_counting():
  # 3 of 3 true, uniform prior on p: P(p > 1/2) = 1 - (1/2)^4.
  draws = np.random.default_rng(0).beta(4, 1, 200_000)
  assert np.mean(draws > 0.5) == pytest.approx(1 - 0.5**4, abs=3e-3)


def test_claim_counts_its_runs():
  claim = summary.claim("X-1", "text", np.array([True, False, True]), "Because.", extra=1)
  assert claim.evidence == "True in 2 of 3 runs. Because."
  assert claim.numbers == {"true_in_runs": 2, "runs": 3, "extra": 1}
  assert claim.verdict == "undecided"


def test_spread():
  assert summary.spread([3.0, 1.0, 2.0]) == "2 (1 to 3)"
  assert summary.spread([1.0]) == "1"
  assert summary.spread([np.nan, np.inf]) == "none"
  assert summary.spread([np.nan, 4.0]) == "4"
  assert summary.spread([1638.0, 25000.0, 2.5]) == "1,638 (2.5 to 25,000)"
  assert summary.spread([1.23456e-5]) == "1.23e-05"
