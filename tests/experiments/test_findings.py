"""The experiments' readings, asked of made-up results whose answer is known."""

import numpy as np
import pytest
from scipy import stats

from experiments.flatness import figures as flat_figures
from experiments.flatness import findings as flat_findings
from experiments.flatness import run as flat_run
from experiments.flatness.measures import NAMES
from experiments.gradient_norm import findings as norm_findings
from experiments.gradient_norm import run as norm_run
from experiments.interpolation import findings as line_findings
from experiments.parameter_count import findings as size_findings
from experiments.sensitivity import findings as batch_findings
from experiments.sensitivity import run as batch_run
from experiments.simulate_function import findings as function_findings
from experiments.simulate_function import run as function_run
from experiments.train_on_task import findings as task_findings
from experiments.train_on_task import run as task_run
from hw1_jax.command.catalog import experiment, flagfiles
from hw1_jax.runs import flags
from hw1_jax.summary import UNDECIDED

DRAWS = np.random.default_rng(0)


def by_id(claims):
  return {claim.id: claim for claim in claims}


def function_result(epochs, limit=1000):
  """Returns a Result in which model i of each target stops at epochs[i]; `limit`: never."""
  keys = [f"{target}/model_{i}" for target in ("sinc", "sign_sine") for i in (1, 2, 3)]
  stop = {key: np.asarray(epochs[int(key[-1]) - 1]) for key in keys}
  runs = len(epochs[0])
  loss = {key: np.full((runs, limit), 1e-3) for key in keys}
  x = np.linspace(-1, 1, 5)
  return function_run.Result(
    x, {"sinc": x, "sign_sine": x}, {}, {}, loss, stop,
    {key: stop[key] < limit for key in keys},
    {key: x + DRAWS.normal(0, 0.01, (runs, 5)) for key in keys},
  )  # fmt: skip


CONFIG = function_run.Config(num_epochs=1000)


def test_runs_that_never_converge_count_against_a_model():
  # Model 1 is fast in 3 runs of 12 and never converges in 9; model 3 always converges, late.
  result = function_result([[10] * 3 + [1000] * 9, [10] * 12, [900] * 12])
  claims = by_id(function_findings.judge_claims(CONFIG, result))
  assert np.median([10, 10, 10]) < 900  # its survivors alone would have won
  assert claims["L-1.1.1a.1"].effect == pytest.approx(0.25)
  assert claims["L-1.1.1a.1"].verdict != "holds"
  assert claims["L-1.1.1a.2"].verdict == "holds"
  assert claims["L-1.1.1c.3"].verdict == "does not hold"


def test_pairs_in_which_neither_converges_decide_nothing():
  result = function_result([[1000] * 12] * 3)
  claims = by_id(function_findings.judge_claims(CONFIG, result))
  assert claims["L-1.1.1a.1"].verdict == UNDECIDED
  assert "in 12 of 12 neither did" in claims["L-1.1.1a.1"].evidence


def test_equal_losses_at_the_stop_do_not_make_predictions_equal():
  result = function_result([[10] * 12] * 3)  # every last loss is 1e-3
  far = result.prediction["sinc/model_1"].copy()
  far[:, 2] += 0.5  # one point far off
  result.prediction["sinc/model_1"] = far
  claims = by_id(function_findings.judge_claims(CONFIG, result))
  assert claims["L-1.1.1b.1"].verdict == "does not hold"


def test_a_curve_levels_off_between_two_models_of_the_grid():
  counts = np.array([100, 200, 400, 800])
  # Half of the improvement is made at 200, all of it at 400: 90 % lies 0.8 doublings beyond 200.
  values = np.array([[0.0], [5.0], [10.0], [10.0]])
  found = size_findings.level_off(counts, values)
  assert found == pytest.approx([np.log2(200) + 0.8])
  assert size_findings.level_off(counts, np.zeros((4, 1))) == pytest.approx([np.log2(100)])


@pytest.mark.parametrize("profile", ["quick", "long_report", "short_report"])
def test_every_published_profile_has_models_enough_for_the_claims_on_their_number(profile):
  found = flagfiles(profile, "parameter_count")
  config, _ = flags.parse(experiment("parameter_count"), ["parameter_count", *found])
  assert len(config.specs) >= size_findings.FEWEST


def test_a_trend_with_one_swap_of_neighbours_counts_as_monotone():
  sizes = np.array([10, 385, 760, 1135, 1510])
  values = np.tile([5.0, 4.0, 3.0, 1.0, 2.0], (4, 1))  # rank correlation -0.9, in floats
  table = {key: values for key in (*batch_run.PERFORMANCE, *batch_findings.DEFINITIONS)}
  result = batch_run.Result(sizes, table, sizes, sizes, np.asarray(10_000))
  claim = batch_findings.trend(result, "L-1.3.4b", "jacobian", -1)
  assert "at least 0.9 in 4 of 4 runs" in claim.evidence
  assert claim.verdict == "holds"
  assert batch_findings.trend(result, "L-1.3.4a.3", "test_loss", 1).verdict == "does not hold"


def task_result(last):
  """Returns a Result of three models whose accuracies differ by less than the noise, or more."""
  shape = (3, 10, 1)
  accuracy = np.full(shape, 0.987) + DRAWS.normal(0, 5e-4, shape)
  accuracy[2] += last
  loss = np.full(shape, 0.04) * np.exp(DRAWS.normal(0, 0.01, shape))
  exact = (loss[..., 0], accuracy[..., 0])
  return task_run.Result(np.array([1, 2, 3]), loss, accuracy, loss, accuracy, *exact, loss,
                         np.full(3, 10_000))  # fmt: skip


def test_accuracies_within_the_test_sets_standard_error_are_no_difference():
  alike = by_id(task_findings.judge_claims(task_run.Config(), task_result(0.0)))
  assert alike["L-1.1.2.5"].verdict == "no difference"
  assert alike["L-1.1.2.5"].region[1] == pytest.approx(0.113, abs=0.002)
  better = by_id(task_findings.judge_claims(task_run.Config(), task_result(0.005)))
  assert better["L-1.1.2.5"].verdict == "holds"


def test_a_run_that_ended_early_has_no_burst_and_is_not_held():
  epochs = np.arange(1, 1201)
  norms = np.tile(np.exp(-epochs / 300), (4, 1))
  norms[:3, 950] = 1.0
  norms[3, 700:] = np.nan  # stopped at 700
  loss = norms.copy()
  result = norm_run.Result(loss, norms, np.array([1200, 1200, 1200, 700]), np.ones(4, bool),
                           np.zeros((4, 1)), np.zeros((4, 1)))  # fmt: skip
  claims = by_id(norm_findings.judge_claims(norm_run.Config(), result))
  assert claims["L-1.2.2a.4"].verdict == "holds"
  assert claims["L-1.2.2a.4"].runs == 3
  assert "1 of 4 runs have no such effect" in claims["L-1.2.2a.4"].evidence


def test_the_improvement_beyond_one_half_is_not_met_by_construction():
  alphas = np.linspace(-2, 2, 31)
  worse = 0.98 - 0.01 * np.abs(alphas)
  curves = {"batch/test_loss": np.tile(0.05 + alphas**2, (10, 1)),
            "batch/test_accuracy": np.tile(worse, (10, 1))}  # fmt: skip
  claims = by_id(line_findings.batch_claims(alphas, curves, "", 10_000))
  assert claims["L-1.3.3a.1"].verdict == "holds"
  assert claims["L-1.3.3a.3"].verdict == "does not hold"


def line_claims(accuracy, num_test):
  alphas = np.linspace(-2, 2, 31)
  curves = {"batch/test_loss": np.tile(0.05 + alphas**2, (10, 1)),
            "batch/test_accuracy": np.tile(accuracy, (10, 1))}  # fmt: skip
  return by_id(line_findings.batch_claims(alphas, curves, "", num_test))


def test_the_region_of_no_difference_follows_the_number_of_test_images():
  few, many = (line_claims(np.full(31, 0.9), n)["L-1.3.3a.2"] for n in (100, 10_000))
  assert few.region[1] == pytest.approx(3.0)  # 100 sqrt(0.9 * 0.1 / 100)
  assert many.region[1] == pytest.approx(0.3)


def test_a_place_on_a_grid_is_no_better_known_than_the_grid():
  best = line_claims(np.full(31, 0.9), 10_000)["L-1.3.3a.1"]
  step = 4 / 30
  half = stats.t.ppf(0.975, 9) * np.sqrt(step**2 / 12 / 10)  # ten runs, all at the same point
  assert best.interval[1] - best.effect == pytest.approx(half)


def test_a_barrier_needs_a_point_between_the_ends():
  ends, loss = np.array([[1.0, 2.0]]), np.array([[3.0, 1.0, 4.0]])
  assert np.isnan(line_findings.barrier(np.array([-2.0, 0.0, 2.0]), loss, ends)).all()
  assert line_findings.barrier(np.array([0.0, 0.5, 1.0]), loss, ends) == pytest.approx([2.0])


def test_a_grid_that_is_too_coarse_for_the_readings_is_not_judged():
  assert line_findings.covers(np.linspace(-2, 2, 9))
  assert not line_findings.covers(np.linspace(-2, 2, 3))
  assert not line_findings.covers(np.linspace(-1, 1, 31))


def test_every_claim_that_is_judged_has_its_text_in_the_registry_and_the_other_way_round():
  ids = set(by_id(function_findings.judge_claims(CONFIG, function_result([[10] * 3] * 3))))
  listed = {id for id in function_findings.TOPIC.claims if id.startswith("L-")}
  assert ids == listed


def test_spectra_are_told_of_the_runs_whose_gradient_is_zero():
  """Three of four searches got there; the fourth, with other eigenvalues, must not count."""
  from experiments.minimal_ratio import findings
  from experiments.minimal_ratio.run import Config, Result

  fields = dict.fromkeys(Result._fields, np.zeros(4))
  eigenvalues = np.array([[-1e-13, 0.0, 1.0, 2.0]] * 3 + [[-3.0, -2.0, -1.0, 4.0]])
  counts = np.array([[[2, 2, 0]]] * 3 + [[[1, 0, 3]]])
  result = Result(**fields)._replace(
    certificate=np.array([1e-7, 2e-7, 1e-6, 1e-2]), end=np.array([0, 0, 0, 3]),
    eigenvalues=eigenvalues, counts=counts, rtols=np.array([1e-10]),
  )  # fmt: skip
  there = findings.there(Config(), result)
  np.testing.assert_array_equal(there.eigenvalues, eigenvalues[:3])
  assert findings.most_negative(there).max() < 1e-12
  assert findings.without_negative(there).startswith("; from a tolerance of 1.0e-10")
  assert "1 runs have a negative one" in findings.without_negative(result)
  nowhere = findings.there(Config(), result._replace(certificate=np.ones(4)))
  np.testing.assert_array_equal(nowhere.eigenvalues, eigenvalues)


def test_a_measure_that_is_the_same_for_all_networks_is_said_to_rank_none():
  """Such as a vacuous bound; its row in the figure stays within the axes."""
  draws, sizes = np.random.default_rng(0), (2, 2, 1, 1, 3)
  settings = np.stack([part.ravel() for part in np.indices(sizes)], axis=1).astype(float)
  count = len(settings)
  found = {name: draws.random(count) for name in NAMES} | {"pac_bayes": np.ones(count)}
  result = flat_run.Result(
    settings, np.zeros(count, int), np.ones(count), np.ones(count, bool), np.full(count, 0.1),
    np.zeros(count), np.ones(count), draws.random(count), found,
    {name: np.ones((count, 3)) for name in NAMES}, np.array([0.25, 4, 16]),
  )  # fmt: skip
  summary = flat_findings.summarize(flat_run.Config(), result)
  assert summary.findings[1].endswith("ranks none: PAC-Bayes bound on the error (1).")
  low, high = flat_figures.draw_correlation(result).axes[0].get_ylim()
  assert low < 0 < len(found) - 1 < high
