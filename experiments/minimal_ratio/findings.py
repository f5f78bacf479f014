"""Our numbers beside the reported ones, the judged claims, the sentences."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from hw1_jax import analysis, models
from hw1_jax.report.assignment import topic_of
from hw1_jax.summary import Claim, Number, Summary, claim, rank_correlation, spread

from .run import Config, Result

TOPIC = topic_of("minimal_ratio")


class Counts(NamedTuple):
  """Fractions of the eigenvalues, each [M] in [0, 1]."""

  plain: np.ndarray  # the assignment's minimal ratio: lambda > 0
  positive: np.ndarray  # lambda > rtol max|lambda|
  zero: np.ndarray
  negative: np.ndarray


def count(config: Config, result: Result) -> Counts:
  """Returns the fractions of positive, zero and negative eigenvalues of each run."""
  signs = analysis.count_signs(jnp.asarray(result.eigenvalues), config.rtol)
  size = result.eigenvalues.shape[1]
  plain = np.asarray(analysis.minimal_ratio(jnp.asarray(result.eigenvalues)))
  return Counts(plain, *(np.asarray(number) / size for number in signs))


def summarize(config: Config, result: Result) -> Summary:
  """Returns ratios, counts and gradient norms over the runs, and the claim."""
  counts = count(config, result)
  runs, size = result.eigenvalues.shape
  reached = result.converged
  note = f"{int(reached.sum())} of {runs} runs reached ||grad|| <= {config.grad_tolerance:g}"
  told = TOPIC.reported.get(config.report, {}).get("minimal_ratio")
  zero = f"|lambda| <= {config.rtol:g} max|lambda|"
  numbers = (
    Number("minimal ratio, plain lambda > 0", tuple(counts.plain), "", told),
    Number(f"minimal ratio, zero being {zero}", tuple(counts.positive), ""),
    Number("fraction of zero eigenvalues", tuple(counts.zero), "", None, zero),
    Number("fraction of negative eigenvalues", tuple(counts.negative), "", None, zero),
    Number("gradient norm after training", tuple(result.gradient_norm_before)),
    Number("gradient norm after the search", tuple(result.gradient_norm), "", None, note),
    Number("loss after training", tuple(result.loss_before), "MSE"),
    Number("loss after the search", tuple(result.loss), "MSE"),
  )
  minima = counts.negative == 0
  plainly = rank_correlation(result.loss, counts.plain) if runs > 2 else float("nan")
  strictly = rank_correlation(result.loss, counts.positive) if runs > 2 else float("nan")
  zeros_taken = (counts.plain - counts.positive) / np.where(counts.zero > 0, counts.zero, np.nan)
  stalled = ~reached
  at_kinks = int((stalled & result.kink_limited).sum())
  units = sum(models.parse_widths(config.widths))
  findings = [
    f"{note} after {spread(result.iterations)} search steps; the norm went from "
    f"{spread(result.gradient_norm_before)} to {spread(result.gradient_norm)}, the loss from "
    f"{spread(result.loss_before)} to {spread(result.loss)}.",
    f"The plain count says that {spread(counts.plain)} of the {size} eigenvalues are positive. "
    f"With zeros told apart ({zero}) it is {spread(counts.positive)} positive, "
    f"{spread(counts.zero)} zero and {spread(counts.negative)} negative: the plain count takes "
    f"{spread(zeros_taken)} of the zeros for positive, by the sign of their rounding errors.",
    f"{int(minima.sum())} of {runs} end points have no negative eigenvalue; rank correlation of "
    f"loss and ratio: {plainly:.2f} by the plain count, {strictly:.2f} with zeros told apart.",
  ]
  if stalled.any() and config.activation in ("relu", "leaky_relu"):
    findings.append(
      f"Of the {int(stalled.sum())} runs that did not get there, {at_kinks} are limited by a kink: "
      "the stationary point of their linear piece lies outside the piece, and at the kink itself "
      "the gradient jumps without being zero; they are kept and marked."
    )
  if config.activation == "relu":
    findings.append(
      f"Zeros are expected: at a point of zero gradient every one of the {units} ReLU units has a "
      "scaling symmetry (one zero eigenvalue each), and a unit that is inactive at all points "
      f"({spread(result.dead_units)} of them a run) adds its other parameters."
    )
  table = [
    {"run": m, "loss": float(result.loss[m]), "gradient_norm": float(result.gradient_norm[m]),
     "converged": bool(reached[m]), "kink_limited": bool(result.kink_limited[m]),
     "iterations": int(result.iterations[m]), "ratio_plain": float(counts.plain[m]),
     "ratio_at_rtol": float(counts.positive[m]), "zero": float(counts.zero[m]),
     "negative": float(counts.negative[m]), "loss_before": float(result.loss_before[m]),
     "gradient_norm_before": float(result.gradient_norm_before[m])}
    for m in range(runs)
  ]  # fmt: skip
  return Summary(
    numbers,
    tuple(judge_claims(config, result)),
    tuple(findings),
    {
      "minimal_ratio": findings[1] + " Open symbols: gradient norm above the tolerance.",
      "eigenvalue_signs": "Positive, zero and negative eigenvalues of every run, in the order of "
      "the loss. " + findings[2],
      "gradient_norms": findings[0],
    },
    {"minimal_ratio": table},
  )


def judge_claims(config: Config, result: Result) -> list[Claim]:
  """Returns the long report's claim on the loss at epoch 100, judged run by run."""
  if config.report != "long" or result.training_loss.shape[1] < 100:
    return []
  loss = result.training_loss[:, 99]
  return [
    claim(
      "L-1.2.3",
      TOPIC.claims["L-1.2.3"],
      loss > 1e-3,
      f"Loss at epoch 100: {spread(loss)}.",
    )
  ]
