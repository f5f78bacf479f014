"""Intervals and verdicts keep the error rates of docs/verdicts.md, and edges have slack."""

import doctest
import pathlib
import warnings

import numpy as np
import pytest
from scipy import stats

from hw1_jax import statistics, survival
from scripts import verdict_rates

ROOT = pathlib.Path(__file__).resolve().parent.parent
REGION = verdict_rates.REGION
# 20,000 studies: a rate of 2.5 % has a standard error of 0.11 %; four of them.
NOISE = 0.0045


def test_examples_in_docstrings_run():
  assert doctest.testmod(statistics).failed == 0


@pytest.mark.parametrize("runs", [3, 10, 30, 100])
def test_an_effect_of_zero_is_seldom_called_one(runs):
  found = verdict_rates.rates(0.0, runs)
  assert found["holds"] <= 0.025 + NOISE
  assert found["does not hold"] <= 0.025 + NOISE


@pytest.mark.parametrize("runs", [3, 10, 30, 100])
def test_an_effect_at_the_border_of_the_region_is_seldom_called_no_difference(runs):
  assert verdict_rates.rates(REGION, runs)["no difference"] <= 0.025 + NOISE


def test_outliers_do_not_raise_the_errors_and_skewness_does_so_by_the_stated_amount():
  for runs in (3, 10, 30):
    assert verdict_rates.rates(0.0, runs, "outliers")["holds"] <= 0.025
    wrong = verdict_rates.rates(0.0, runs, "skewed")
    assert wrong["holds"] + wrong["does not hold"] <= 0.10


def test_a_hundred_runs_tell_an_effect_from_none():
  assert verdict_rates.rates(0.0, 100)["no difference"] > 0.99
  assert verdict_rates.rates(2 * REGION, 100)["holds"] > 0.99


def test_a_share_of_one_half_is_called_otherwise_in_at_most_five_percent_of_studies():
  for runs in range(1, 120):
    found = verdict_rates.share_rates(0.5, runs)
    assert found["holds"] <= 0.025
    assert found["does not hold"] <= 0.025
    assert sum(found.values()) == pytest.approx(1)


def test_the_documented_table_is_the_simulated_one():
  page = (ROOT / "docs" / "verdicts.md").read_text()
  for effect, runs in ((0.0, 10), (0.5, 30)):
    found = verdict_rates.percents(verdict_rates.rates(effect, runs))
    assert f"| {effect:g} | {runs} | {' | '.join(found)} |" in page
  found = verdict_rates.percents(verdict_rates.share_rates(0.8, 10))
  assert f"| 0.8 | 10 | {' | '.join(found)} |" in page


# Intervals


def test_paired_interval_is_scipys():
  values = np.array([0.3, -0.1, 0.4, 0.9, 0.2])
  found = statistics.mean_interval(values)
  other = stats.ttest_1samp(values, 0).confidence_interval(0.95)
  assert (found.low, found.high) == pytest.approx((other.low, other.high), rel=1e-12)
  assert found.p_value == pytest.approx(stats.ttest_1samp(values, 0).pvalue, rel=1e-12)


def test_unpaired_interval_is_scipys_welch():
  draws = np.random.default_rng(0)
  a, b = draws.normal(1, 1, 7), draws.normal(0, 4, 12)
  found = statistics.unpaired_interval(a, b)
  other = stats.ttest_ind(a, b, equal_var=False)
  ends = other.confidence_interval(0.95)
  assert (found.low, found.high) == pytest.approx((ends.low, ends.high), rel=1e-10)
  assert found.p_value == pytest.approx(other.pvalue, rel=1e-10)


@pytest.mark.parametrize(("true", "runs"), [(0, 3), (3, 3), (7, 10), (50, 100)])
def test_share_interval_is_scipys_exact_one(true, runs):
  found = statistics.share_interval(true, runs)
  other = stats.binomtest(true, runs).proportion_ci(0.95, "exact")
  assert (found.low, found.high) == pytest.approx((other.low, other.high), abs=1e-12)


def test_equal_values_on_a_grid_are_not_certain():
  assert statistics.mean_interval([0.01] * 3).low == pytest.approx(0.01)
  found = statistics.mean_interval([0.01] * 3, resolution=0.01)
  assert found.low == pytest.approx(0.01 - 4.302653 * 0.01 / 12**0.5 / 3**0.5, abs=1e-6)


def test_accuracy_region_is_the_binomial_standard_error():
  assert statistics.accuracy_region([98.7], 10_000) == pytest.approx(0.11327, abs=1e-5)
  assert statistics.accuracy_region([100.0], 200) == pytest.approx(0.25)


def test_no_run_is_an_error_that_says_so():
  with pytest.raises(ValueError, match="no run; expected at least one"):
    statistics.mean_interval([])
  with pytest.raises(ValueError, match="2 of 1 runs; expected 0 to runs"):
    statistics.share_interval(2, 1)
  with pytest.raises(ValueError, match="1 and 4 runs; expected at least 2 each"):
    statistics.unpaired_interval([1.0], [1, 2, 3, 4])


# Verdicts


def verdict(low, high, region=0.1, runs=10, rule=statistics.verdicts):
  return str(rule(statistics.Interval((low + high) / 2, low, high, 0.5, runs), region))


def test_verdicts_by_where_the_interval_lies():
  assert verdict(0.2, 0.3) == "holds"
  assert verdict(0.01, 0.3) == "holds"
  assert verdict(-0.3, -0.01) == "does not hold"
  assert verdict(-0.05, 0.09) == "no difference"
  assert verdict(0.01, 0.09) == "no difference"  # surely positive, and surely of no consequence
  assert verdict(-0.05, 0.11) == "undecided"
  assert verdict(0.2, 0.3, runs=2) == "undecided"


def test_equality_holds_within_the_region_only():
  rule = statistics.equality_verdicts
  assert verdict(-0.05, 0.09, rule=rule) == "holds"
  assert verdict(0.11, 0.2, rule=rule) == "does not hold"
  assert verdict(0.05, 0.2, rule=rule) == "undecided"


def test_readings_at_the_edge_of_a_stated_bound_have_slack():
  # Spearman's coefficient of five levels with one swap, as floats give it in another order.
  assert statistics.at_most(-0.8999999999999998, -0.9)
  assert not statistics.at_most(-0.8999, -0.9)
  assert statistics.at_least([0.9 - 1e-16, 0.9, 0.8], 0.9).tolist() == [True, True, False]


def test_as_many_runs_as_it_says_decide():
  draws = np.random.default_rng(3)
  few = draws.normal(0.3, 1, 8)
  assert str(statistics.verdicts(statistics.mean_interval(few), 0.1)) == "undecided"
  needed = statistics.runs_to_decide(few, 0.1)
  assert needed is not None
  assert needed > 8
  standard = (few - few.mean()) / few.std(ddof=1)

  def decided(runs):  # the same mean and spread over that many runs
    more = np.resize(standard, runs)
    more = (more - more.mean()) / more.std(ddof=1) * few.std(ddof=1) + few.mean()
    return str(statistics.verdicts(statistics.mean_interval(more), 0.1)) != "undecided"

  assert decided(needed)
  assert not decided(needed - 1)


def test_runs_needed_for_shares():
  assert statistics.runs_to_decide_share(3, 3) == 6
  needed = statistics.runs_to_decide_share(7, 10)
  assert needed is not None
  assert 10 < needed < 40
  assert statistics.runs_to_decide([1.0], 0.1) is None


def test_holm_is_between_bonferroni_and_nothing():
  p_values = [0.01, 0.04, 0.03, 0.005]
  assert statistics.holm(p_values).tolist() == [True, False, False, True]


def test_false_findings_among_forty_true_nulls():
  draws = np.random.default_rng(5).normal(size=(500, 40, 10))
  found = statistics.mean_interval(draws)
  alone = (np.asarray(found.p_value) < 0.05).sum(axis=1)
  assert alone.mean() == pytest.approx(2.0, abs=0.25)  # 0.05 x 40
  any_left = np.mean([statistics.holm(study).any() for study in np.asarray(found.p_value)])
  assert any_left <= 0.05 + 4 * np.sqrt(0.05 * 0.95 / 500)


# Trends


def test_trends_per_run():
  x = [10, 20, 40, 80]
  values = np.array([[1, 2, 3, 4], [4, 3, 2, 1], [1, 1, 1, 1], [1, 3, 2, 4]], float)
  expected = [stats.spearmanr(x, row).statistic for row in values[[0, 1, 3]]]
  found = statistics.rank_correlations(x, values)
  assert found[[0, 1, 3]] == pytest.approx(expected)
  assert found[2] == 0
  assert statistics.slopes(x, values)[0] == pytest.approx(np.polyfit(x, values[0], 1)[0])


# Times to an event


def test_kaplan_meier_by_hand():
  # Six runs: events at 1, 2, 2, 5; censored at 3 and 6.
  curve = survival.kaplan_meier([1, 2, 2, 3, 5, 6], [True, True, True, False, True, False])
  assert curve.times.tolist() == [1, 2, 5]
  assert curve.survival == pytest.approx([5 / 6, 3 / 6, 3 / 6 * 1 / 2])
  greenwood = 1 / (6 * 5) + 2 / (5 * 3) + 1 / (2 * 1)
  assert curve.error[-1] == pytest.approx(0.25 * greenwood**0.5)
  assert survival.median_time(curve) == 2


def test_kaplan_meier_is_scipys():
  draws = np.random.default_rng(0)
  times, observed = draws.integers(1, 30, 40).astype(float), draws.random(40) < 0.6
  found = survival.kaplan_meier(times, observed)
  sample = stats.CensoredData.right_censored(times, ~observed)
  other = stats.ecdf(sample).sf
  place = np.searchsorted(other.quantiles, found.times)
  assert found.survival == pytest.approx(other.probabilities[place])
  with warnings.catch_warnings():  # SciPy says that the interval is undefined where nobody is left
    warnings.simplefilter("ignore", RuntimeWarning)
    ends = other.confidence_interval(0.95, method="log-log")
  inside = found.survival > 0
  assert found.low[inside] == pytest.approx(ends.low.probabilities[place][inside], rel=1e-9)
  assert found.high[inside] == pytest.approx(ends.high.probabilities[place][inside], rel=1e-9)


def test_a_median_that_no_run_reached_is_infinite_and_not_the_survivors():
  curve = survival.kaplan_meier([100, 900, 900], [True, False, False])
  assert survival.median_time(curve) == np.inf


def test_log_rank_is_scipys():
  draws = np.random.default_rng(1)
  a, b = draws.exponential(1, 25), draws.exponential(2, 30)
  seen_a, seen_b = draws.random(25) < 0.7, draws.random(30) < 0.7
  other = stats.logrank(
    stats.CensoredData.right_censored(a, ~seen_a), stats.CensoredData.right_censored(b, ~seen_b)
  )
  found = survival.log_rank(a, seen_a, b, seen_b)
  assert found.p_value == pytest.approx(other.pvalue, rel=1e-9)
  assert abs(found.z) == pytest.approx(abs(other.statistic), rel=1e-9)
  assert found.z > 0  # the first group's events come sooner
  assert survival.log_rank([5, 5], [False, False], [5], [False]) == (0.0, 1.0)


def test_first_to_converge_counts_censored_runs_as_later():
  # (by 10 against not at all), (not against by 20), (neither), (7 against 3), (a tie)
  first, seen = [10, 50, 50, 7, 4], [True, False, False, True, True]
  other, other_seen = [50, 20, 50, 3, 4], [False, True, False, True, True]
  assert survival.first_to_converge(first, seen, other, other_seen) == (1, 2)
