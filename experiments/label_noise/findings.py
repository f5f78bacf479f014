"""The numbers, the judged claims, the sentences."""

from typing import Any

import numpy as np

from hw1_jax import statistics
from hw1_jax.report.assignment import topic_of
from hw1_jax.summary import Claim, Number, Summary, compared, show, spread

from .run import Config, Result

TOPIC = topic_of("label_noise")
FITTED = 0.01  # our reading of "fits": a training error of at most this, exact


def epochs_to_fit(result: Result) -> np.ndarray:
  """Returns the first epoch with a training error of at most FITTED, [F, M]; inf where none has."""
  reached = result.train_error <= FITTED
  return np.where(reached.any(axis=2), reached.argmax(axis=2) + 1.0, np.inf)


def final_gap(result: Result) -> np.ndarray:
  """Returns test error less training error after the last epoch, [F, M]."""
  return result.test_error[..., -1] - result.train_error[..., -1]


def lowest_test_error(result: Result) -> np.ndarray:
  """Returns the lowest test error of all epochs, [F, M]: what stopping at the right time gives."""
  return result.test_error.min(axis=2)


def gap_at_best(result: Result) -> np.ndarray:
  """Returns test less training error at the epoch of the lowest test error, [F, M]."""
  best = result.test_error.argmin(axis=2)[..., None]
  gaps = result.test_error - result.train_error
  return np.take_along_axis(gaps, best, axis=2)[..., 0]


def each(config: Config, values: np.ndarray, scale: float = 100.0) -> str:
  """Returns 'median (range) at fraction' for every fraction."""
  return "; ".join(
    f"{show(fraction)}: {spread(scale * row)}" for fraction, row in zip(config.fractions, values)
  )


def summarize(config: Config, result: Result) -> Summary:
  """Returns time to fit, test errors and gaps by fraction, and the claims."""
  epochs, final, lowest = (
    epochs_to_fit(result),
    result.test_error[..., -1],
    lowest_test_error(result),
  )
  numbers: list[Number] = [Number("parameters", (int(result.num_parameters),))]
  for f, fraction in enumerate(config.fractions):
    fitted = np.isfinite(epochs[f])
    at = f"fraction {fraction:g}"
    numbers += [
      Number(f"{at}: epochs until the training error is at most {100 * FITTED:g} %",
             tuple(np.where(fitted, epochs[f], np.nan)), "epochs",
             note=f"reached by {fitted.sum()} of {len(fitted)} runs"),
      Number(f"{at}: training error at the end", tuple(100 * result.train_error[f, :, -1]), "%"),
      Number(f"{at}: test error at the end", tuple(100 * final[f]), "%"),
      Number(f"{at}: lowest test error of all epochs", tuple(100 * lowest[f]), "%"),
      Number(f"{at}: test less training error at the end", tuple(100 * final_gap(result)[f]), "%"),
      Number(f"{at}: the same at the lowest test error", tuple(100 * gap_at_best(result)[f]), "%"),
    ]  # fmt: skip
  ends = f"{100 * config.fractions[0]:g} % to {100 * config.fractions[-1]:g} % random labels"
  slower = epochs[-1] / np.where(np.isfinite(epochs[0]), epochs[0], np.nan)
  fit = (
    f"From {ends} the network needs {spread(epochs[0])} and {spread(epochs[-1])} epochs to fit "
    f"{100 * (1 - FITTED):g} % of its labels, a factor of {spread(slower)}."
    if np.isfinite(slower).all()
    else f"Of {len(slower)} runs {int(np.isfinite(epochs[-1]).sum())} fit {100 * (1 - FITTED):g} % "
    f"of labels with a fraction of {config.fractions[-1]:g} at random within {config.num_epochs} "
    f"epochs, {int(np.isfinite(epochs[0]).sum())} with {config.fractions[0]:g}."
  )
  error = f"Test error at the end in % by fraction of random labels: {each(config, final)}."
  early = (
    f"Stopped at its lowest, the test error in % is {each(config, lowest)}: the largest rise from "
    f"there to the end is {spread(100 * (final - lowest).max(axis=0))} points."
  )
  gap = (
    f"The gap, test less training error, in points, is at the end "
    f"{each(config, final_gap(result))}; at the lowest test error it is "
    f"{each(config, gap_at_best(result))}."
  )
  last, best = 100 * final, 100 * lowest
  grows = f"he test error grows from {spread(last[0])} to {spread(last[-1])} %"
  captions = {
    "fit": f"{fit} Above: the error on the labels trained on; below: epochs until it is at most "
    f"{100 * FITTED:g} %; median and every run.",
    "error": f"From {ends} t{grows} at the end, and from {spread(best[0])} to {spread(best[-1])} % "
    f"at its lowest. Below: the gap between test and training error. {early}",
  }
  answer = (
    f"{fit} T{grows}; stopping at its "
    f"lowest would keep up to {spread((last - best).max(axis=0))} points of that."
  )
  claims = tuple(judge_claims(config, result))
  return Summary(
    tuple(numbers), claims, (fit, error, early, gap), captions, {"runs": rows(result)}, answer
  )


def judge_claims(config: Config, result: Result) -> list[Claim]:
  """Returns the claims, run by run."""
  epochs, final, lowest = (
    epochs_to_fit(result),
    result.test_error[..., -1],
    lowest_test_error(result),
  )
  bounded = np.where(np.isfinite(epochs), epochs, config.num_epochs)  # a lower bound
  unfitted = 100 * result.train_error[..., -1].max(axis=0)
  ratio = np.log(bounded[-1] / bounded[0])
  ranks = statistics.rank_correlations(np.array(config.fractions), final.T)
  later = 100 * (final - lowest).max(axis=0)
  return [
    compared("O-2.5a", TOPIC.claims["O-2.5a"].format(fitted=100 * FITTED),
             100 * FITTED - unfitted,
             f"Largest training error of all fractions at the end: {spread(unfitted)} %.",
             region=0.0, unit="points"),
    compared("O-2.5b", TOPIC.claims["O-2.5b"], ratio,
             f"Epochs {spread(epochs[0])} at fraction {config.fractions[0]:g}, "
             f"{spread(epochs[-1])} at {config.fractions[-1]:g}; where they never fit, their "
             f"length counts.",
             region=0.0, unit="log ratio of epochs"),
    compared("O-2.5c", TOPIC.claims["O-2.5c"], ranks - RANKED,
             f"Rank correlation of fraction and test error: {spread(ranks)}.",
             region=0.0, unit="of a rank correlation"),
    compared("O-2.5d", TOPIC.claims["O-2.5d"].format(points=LATER), later - LATER,
             f"Largest rise of the test error from its lowest to the end: {spread(later)} points.",
             region=0.0, unit="points"),
  ]  # fmt: skip


RANKED = 0.9  # our reading of "grows with": the rank correlation of a run over the fractions
LATER = 5.0  # our reading of "much": points of test error


def rows(result: Result) -> list[dict[str, Any]]:
  """Returns a row a fraction and run."""
  columns = {
    "wrong": result.wrong,
    "epochs_to_fit": epochs_to_fit(result),
    "train_error": result.train_error[..., -1],
    "test_error": result.test_error[..., -1],
    "lowest_test_error": lowest_test_error(result),
    "gap": final_gap(result),
    "gap_at_lowest_test_error": gap_at_best(result),
  }
  return [
    {"fraction": float(fraction), "run": m + 1, **{k: float(v[f, m]) for k, v in columns.items()}}
    for f, fraction in enumerate(result.fractions)
    for m in range(result.wrong.shape[1])
  ]
