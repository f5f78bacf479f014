"""Our numbers beside the reported ones, the judged claims, the sentences."""

from typing import NamedTuple

import numpy as np

from hw1_jax import analysis, own
from hw1_jax.analysis import levenberg_marquardt as lm
from hw1_jax.report.assignment import topic_of
from hw1_jax.summary import Claim, Number, Summary, claim, rank_correlation, spread

from .points import SLOPES
from .run import Config, Result

TOPIC = topic_of("minimal_ratio")
# What a search ended with, of `Result`, one row a run.
OF_SEARCH = ("held", "loss", "gradient_norm", "certificate", "eigenvalues", "counts", "rank",
             "residual", "unexplained", "no_effect", "scalings", "dead_units",
             "output_range")  # fmt: skip
CONSTANT = 1e-6  # outputs that span less are constant: dead networks; our choice


class Counts(NamedTuple):
  """Fractions of the eigenvalues outside kink directions, each [M] in [0, 1]."""

  plain: np.ndarray  # the assignment's minimal ratio: lambda > 0
  positive: np.ndarray  # lambda > rtol max|lambda|
  zero: np.ndarray
  negative: np.ndarray


def count(eigenvalues: np.ndarray, rtol: float) -> Counts:
  """Returns the fractions of positive, zero and negative eigenvalues, of [..., P] with NaN."""
  real = np.isfinite(eigenvalues)
  sizes = real.sum(-1)
  filled = np.where(real, eigenvalues, 0.0)
  signs = analysis.count_signs(filled, rtol)
  plain = analysis.count_signs(filled, 0.0).positive
  positive, negative = signs.positive, signs.negative
  return Counts(
    plain / sizes, positive / sizes, (sizes - positive - negative) / sizes, negative / sizes
  )


def reached(config: Config, result: Result) -> np.ndarray:
  """Returns which runs ended where the gradient is zero to tolerance, or the loss to rounding."""
  return (result.certificate <= config.grad_tolerance * 1.01) | (result.end == lm.LOW_LOSS)


def there(config: Config, result: Result) -> Result:
  """Returns what was found where runs reached a zero gradient; of all runs where none did.

  A spectrum elsewhere is not what the section asks for.
  """
  ended = reached(config, result)
  rows = ended if ended.any() else np.ones_like(ended)
  return result._replace(**{name: getattr(result, name)[rows] for name in OF_SEARCH})


def most_negative(result: Result) -> np.ndarray:
  """Returns the most negative eigenvalue as a fraction of the largest, [M], 0 if there is none."""
  values = result.eigenvalues
  return np.maximum(-np.nanmin(values, axis=1), 0) / np.nanmax(np.abs(values), axis=1)


def summarize(config: Config, result: Result) -> Summary:
  """Returns ratios, counts and gradient norms over the runs, and the claim."""
  ended, zeroed = reached(config, result), there(config, result)
  counts = count(zeroed.eigenvalues, config.rtol)
  told = TOPIC.reported.get(config.report, {}).get("minimal_ratio")
  zero = f"|lambda| <= {config.rtol:g} max|lambda|"
  held = (zeroed.held >= 0).sum(1)
  note = f"{int(ended.sum())} of {len(ended)} runs got there"
  where = f"of the {len(held)} runs whose gradient is zero" if ended.any() else note
  numbers = (
    Number("minimal ratio, plain lambda > 0", tuple(counts.plain), "", told, where),
    Number(f"minimal ratio, zero being {zero}", tuple(counts.positive), "", None, where),
    Number("fraction of zero eigenvalues", tuple(counts.zero), "", None, zero),
    Number("fraction of negative eigenvalues", tuple(counts.negative), "", None, zero),
    Number("most negative eigenvalue, of the largest", tuple(most_negative(zeroed))),
    Number("gradient norm after training", tuple(result.gradient_norm_before)),
    Number("smallest gradient after the search", tuple(result.certificate), "", None, note),
    *([] if own.is_own(config.widths) else [Number("kinks held", tuple(held))]),
    Number("loss after training", tuple(result.loss_before), "MSE"),
    Number("loss after the search", tuple(result.loss), "MSE"),
  )
  sentences = describe(config, result, zeroed, counts)
  zeros = f"{spread(counts.zero)} of the eigenvalues are zero to a tolerance of {config.rtol:g}"
  captions = {
    "minimal_ratio": sentences["path"],
    "spectra": sentences["negative"],
    "counts": f"How many eigenvalues are zero depends on the tolerance: {zeros}.",
    "ratio_and_loss": f"At points of zero gradient, with losses of {spread(zeroed.loss)}, the "
    f"minimal ratio is {spread(counts.plain)} by the plain count and {spread(counts.positive)} "
    "with zeros told apart.",
    "gradient_norms": f"The search takes the gradient norm from "
    f"{spread(result.gradient_norm_before)} to {spread(result.certificate)}, to zero within the "
    f"tolerance in {int(ended.sum())} of {len(ended)} runs.",
    "saddles": sentences["saddles"],
  }
  answer = (
    f"{int(ended.sum())} of {len(ended)} runs reach a zero gradient, and there "
    f"{spread(counts.positive)} of the eigenvalues are positive, {spread(counts.zero)} zero and "
    f"{spread(counts.negative)} negative. A plain count of λ > 0, which counts rounding too, "
    f"says {spread(counts.plain)}."
  )
  findings = tuple(sentences.values())
  return Summary(
    numbers, tuple(judge_claims(config, result)), findings, captions,
    {"minimal_ratio": table(config, result, count(result.eigenvalues, config.rtol))}, answer,
  )  # fmt: skip


def describe(config: Config, result: Result, zeroed: Result, counts: Counts) -> dict[str, str]:
  """Returns the sentences, by what they speak of; of spectra, those of `there`."""
  ended = reached(config, result)
  runs, size = result.eigenvalues.shape
  held = (zeroed.held >= 0).sum(1)
  ends = [f"{n} by {lm.ENDS[i]}" for i, n in enumerate(np.bincount(result.end, minlength=4)) if n]
  at = int(np.argmin(np.abs(np.log(result.rtols / config.rtol)))) if config.rtol > 0 else 0
  constant = zeroed.output_range <= CONSTANT
  nullity = zeroed.counts[:, at].sum(-1) - zeroed.rank[:, at]
  at_zero = np.all(result.path_gradient_norm[:, -1] <= config.grad_tolerance * 1.01)
  goal = "the point of zero gradient" if at_zero else "where the search ends"
  norms, path = result.path_gradient_norm, count(result.path_eigenvalues, config.rtol)
  kinks = (
    f" {int((held > 0).sum())} end on kinks, {spread(held)} of them a run; the norm is "
    f"{'at least ' if '-' in config.widths else ''}the smallest in the convex hull of the adjacent "
    "pieces' gradients (Clarke)."
    if config.activation in SLOPES
    else ""
  )
  scalings, dead = (
    f"{spread(zeroed.scalings)} scaling symmetries, ",
    f"; {spread(zeroed.dead_units)} units a run are dead",
  )
  if own.is_own(config.widths):
    kinks = " Where a network of your own has kinks is not known: the norm is the gradient's alone."
    scalings, dead = "", "; symmetries and dead units of a network of your own are not counted"
  return {
    "path": f"From initialization to {goal}, ||grad|| falls from "
    f"{spread(norms[:, 0])} to {spread(norms[:, -1])}; the fraction of negative eigenvalues goes "
    f"from {spread(path.negative[:, 0])} to {spread(path.negative[:, -1])} and the plain ratio "
    f"from {spread(path.plain[:, 0])} to {spread(path.plain[:, -1])}.",
    "search": f"{int(ended.sum())} of {runs} runs reach a zero gradient (<= "
    f"{config.grad_tolerance:g}) after {spread(result.iterations)} steps: {', '.join(ends)}. The "
    f"norm goes from {spread(result.gradient_norm_before)} to {spread(result.certificate)}, the "
    f"loss from {spread(result.loss_before)} to {spread(result.loss)}.{kinks}",
    "negative": f"The most negative eigenvalue is {spread(most_negative(zeroed))} of the largest"
    f"{without_negative(zeroed)}.",
    "ratio": f"The plain count says that {spread(counts.plain)} of the {size} eigenvalues are "
    f"positive; with zeros told apart (rtol {config.rtol:g}) {spread(counts.positive)} are, "
    f"{spread(counts.zero)} are zero and {spread(counts.negative)} negative. rank(J)/P is "
    f"{spread(zeroed.rank[:, at] / size)}.",
    "zeros": f"At rtol {result.rtols[at]:.1e}, {spread(nullity)} directions a run change no output "
    f"to first order (P - rank(J)): {spread(zeroed.no_effect)} are parameters without effect, "
    f"{scalings}the others what rank J lacks for few examples "
    f"and shared pieces. {spread(zeroed.counts[:, at, 1])} eigenvalues are zero; "
    f"{spread(zeroed.unexplained[:, at])} of them are not among these directions. "
    f"{int(constant.sum())} of {len(constant)} "
    f"networks are constant{dead}.",
    "saddles": describe_saddles(config, result),
  }


def describe_saddles(config: Config, result: Result) -> str:
  """Returns the sentences on critical points near early networks, and of narrower networks."""
  limit = analysis.critical_points.GRAD_TOLERANCE
  near, found = count(result.saddle_eigenvalues, config.rtol), result.saddle_gradient_norm <= limit
  wide, good = (
    count(result.embedded_eigenvalues, config.rtol),
    result.embedded_gradient_norm <= limit,
  )
  told = (
    f"{int(found.sum())} of {found.size} barely trained networks (hidden widths "
    f"{config.saddle_widths}, {config.saddle_activation}) lie near a point of zero gradient (<= "
    f"{limit:g})"
  )
  if found.any():
    told += (
      f", at a loss of {spread(result.saddle_loss[found])}, where "
      f"{spread(near.positive[found])} of the eigenvalues are positive and "
      f"{spread(near.negative[found])} negative"
    )
  told += "."
  if good.sum() > 2:
    correlation = rank_correlation(result.embedded_loss[good], wide.positive[good])
    told += (
      f" Minima of narrower networks, their units split, are critical points of the wide one, too "
      f"(Fukumizu & Amari 2000): {int(good.sum())} of {good.size}, at losses of "
      f"{spread(result.embedded_loss[good])}, have {spread(wide.positive[good])} of the "
      f"eigenvalues positive and {spread(wide.negative[good])} negative; rank correlation of loss "
      f"and ratio {correlation:.2f}."
    )
  return told


def without_negative(result: Result) -> str:
  """Returns from which tolerance on no run has a negative eigenvalue, or how many still do."""
  some = (result.counts[..., 2] > 0).sum(0)
  for tolerance, left in zip(result.rtols, some):
    if left == 0:
      return f"; from a tolerance of {tolerance:.1e} of that on, no run has a negative one"
  return f"; at a tolerance of {result.rtols[-1]:.1e} of that, {some[-1]} runs have a negative one"


def table(config: Config, result: Result, counts: Counts) -> list[dict[str, object]]:
  """Returns one row per run."""
  ended = reached(config, result)
  return [
    {"run": m + 1, "loss": float(result.loss[m]), "gradient_norm": float(result.gradient_norm[m]),
     "certificate": float(result.certificate[m]), "reached": bool(ended[m]),
     "end": lm.ENDS[int(result.end[m])], "iterations": int(result.iterations[m]),
     "kinks_held": int((result.held[m] >= 0).sum()), "ratio_plain": float(counts.plain[m]),
     "ratio_at_rtol": float(counts.positive[m]), "zero": float(counts.zero[m]),
     "negative": float(counts.negative[m]), "loss_before": float(result.loss_before[m]),
     "gradient_norm_before": float(result.gradient_norm_before[m]),
     "output_range": float(result.output_range[m])}
    for m in range(len(ended))
  ]  # fmt: skip


def judge_claims(config: Config, result: Result) -> list[Claim]:
  """Returns the long report's claim on the loss at epoch 100, judged run by run."""
  if config.report != "long" or result.training_loss.shape[1] < 100:
    return []
  loss = result.training_loss[:, 99]
  evidence = f"Loss at epoch 100: {spread(loss)}."
  return [claim("L-1.2.3", TOPIC.claims["L-1.2.3"], loss > 1e-3, evidence)]
