"""Our numbers, the judged claims, the sentences."""

import numpy as np

from hw1_jax import analysis
from hw1_jax.analysis.lanczos import Quadrature
from hw1_jax.report.assignment import topic_of
from hw1_jax.summary import Claim, Number, Summary, claim, show, spread

from .run import Config, Result

TOPIC = topic_of("hessian_spectrum")
THRESHOLD = 1e-2  # of the largest eigenvalue; our choice: above the bulk, where signs can be told
NEAR = 0.15  # our reading of "stays at 2 / learning rate": the median of the last fifth within 15 %


def quadratures(result: Result, name: str, run: int, snapshot: int) -> Quadrature:
  """Returns one spectrum's nodes and weights."""
  return Quadrature(
    result.spectra[f"{name}_nodes"][run, snapshot], result.spectra[f"{name}_weights"][run, snapshot]
  )


def count_outliers(values: np.ndarray, classes: int) -> int:
  """Returns the place of the largest ratio of neighbours among the top 2 C eigenvalues."""
  top = np.maximum(values[: 2 * classes], 1e-12)
  return int(np.argmax(top[:-1] / top[1:])) + 1


def outliers(result: Result) -> np.ndarray:
  """Returns how many eigenvalues stand apart, [C, M]."""
  return np.array(
    [
      [count_outliers(values, int(count)) for values in runs]
      for count, runs in zip(result.classes, result.class_top)
    ]
  )


def at_the_edge(result: Result) -> np.ndarray:
  """Returns rate x largest eigenvalue / 2, median over the last fifth, [R]; 1: the edge."""
  last = result.sharpness[:, -max(1, result.sharpness.shape[1] // 5) :]
  return np.median(last, axis=1) * result.descent_rates / 2


TINY = np.finfo(np.float32).tiny  # below errors and norms, which are 0 of a zero matrix


def agreement(result: Result, name: str) -> np.ndarray:
  """Returns the two estimates of the trace, quadrature less Hutch++, in standard errors, [M, S].

  The quadrature's first moment is the mean of v'A v over K random signs v, whose variance is at
  most 2 ||A||_F^2 / K: known better than from K values.
  """
  nodes, weights = (result.spectra[f"{name}_{key}"] for key in ("nodes", "weights"))
  probes = np.sum(nodes * weights, axis=-1) * float(result.num_parameters)  # [M, S, K]
  variance = 2 * result.spectra[f"{name}_square"] / probes.shape[-1]
  error = np.sqrt(variance + result.spectra[f"{name}_trace_error"] ** 2)
  apart = probes.mean(-1) - result.spectra[f"{name}_trace"]
  return apart / np.maximum(error, TINY)


def positive(result: Result, name: str, run: int, snapshot: int) -> tuple[float, float, float]:
  """Returns the fraction of eigenvalues above THRESHOLD of the largest, with its interval."""
  limit = THRESHOLD * float(result.spectra[f"{name}_top"][run, snapshot, 0])
  return analysis.positive_fraction(quadratures(result, name, run, snapshot), limit)


def make_numbers(result: Result) -> list[Number]:
  """Returns the spectra at the end of training, the edge and the outliers, per run."""
  numbers = [Number("parameters", (int(result.num_parameters),))]
  for name, words in (("hessian", "Hessian"), ("gauss_newton", "Gauss-Newton matrix")):
    last = {
      key.removeprefix(f"{name}_"): values[:, -1]
      for key, values in result.spectra.items()
      if key.startswith(name)
    }
    unit = "nats per squared unit of θ"
    residual = f"residual norms up to {show(last['residuals'][:, 0].max())}"
    lowest = f"residual norms up to {show(last['residuals'][:, -1].max())}"
    numbers += [
      Number(f"{words}: largest eigenvalue", tuple(last["top"][:, 0]), unit, note=residual),
      Number(f"{words}: smallest eigenvalue", tuple(last["bottom"]), unit, note=lowest),
      Number(f"{words}: trace", tuple(last["trace"]), unit,
             note=f"standard errors up to {show(last['trace_error'].max())}"),
      Number(f"{words}: Frobenius norm", tuple(np.sqrt(last["square"])), unit,
             note="relative standard errors up to "
             f"{show((last['square_error'] / np.maximum(last['square'], TINY) / 2).max())}"),
    ]  # fmt: skip
    found = np.array([positive(result, name, run, -1) for run in range(len(result.loss))])
    numbers.append(
      Number(f"{words}: eigenvalues above {THRESHOLD:g} of the largest", tuple(100 * found[:, 0]),
             "%", note=f"95 % intervals within {show(100 * found[:, 1].min())} to "
             f"{show(100 * found[:, 2].max())}")
    )  # fmt: skip
  for rate, edge in zip(result.descent_rates, at_the_edge(result)):
    numbers.append(
      Number(f"learning rate {rate:g}: largest eigenvalue over 2 / learning rate, at the end",
             (float(edge),))
    )  # fmt: skip
  for count, found in zip(result.classes, outliers(result)):
    numbers.append(Number(f"{count} classes: eigenvalues that stand apart", tuple(map(int, found))))
  return numbers


def judge_claims(result: Result) -> list[Claim]:
  """Returns the literature's two claims, judged by learning rate and by training."""
  edge, found = at_the_edge(result), outliers(result)
  return [
    claim(
      "O-edge",
      TOPIC.claims["O-edge"].format(near=100 * NEAR),
      np.abs(edge - 1) <= NEAR,
      "Largest eigenvalue over 2 / learning rate, by rate: "
      + ", ".join(f"{show(e)} at {rate:g}" for rate, e in zip(result.descent_rates, edge))
      + ".",
    ),
    claim(
      "O-outliers",
      TOPIC.claims["O-outliers"],
      (found == result.classes[:, None] - 1).ravel(),
      "Eigenvalues that stand apart: "
      + "; ".join(f"{spread(n)} with {count} classes" for count, n in zip(result.classes, found))
      + ".",
    ),
  ]


def summarize(config: Config, result: Result) -> Summary:
  """Returns the numbers, the claims, and a sentence on each of the three computations."""
  spectra, first, last = result.spectra, 0, -1
  top, bottom = spectra["hessian_top"][:, :, 0], spectra["hessian_bottom"]
  fraction, low, high = positive(result, "hessian", 0, last)
  parameters = int(result.num_parameters)
  density = (
    f"After epoch {result.epochs[last]} the Hessian of {parameters:,} parameters has its largest "
    f"eigenvalue at {spread(top[:, last])} and its smallest at {spread(bottom[:, last])} "
    f"(at the start {spread(top[:, first])} and {spread(bottom[:, first])}); "
    f"{show(100 * fraction)} % ({show(100 * low)} to {show(100 * high)}) of run 1's eigenvalues "
    f"lie above {THRESHOLD:g} of the largest."
  )
  apart = np.array([agreement(result, name) for name in ("hessian", "gauss_newton")])
  check = (
    f"Quadrature and Hutch++, independent estimates of the trace, differ by at most "
    f"{show(np.abs(apart).max())} standard errors over {apart.size} spectra (root mean square "
    f"{show(np.sqrt(np.mean(apart**2)))}); the residual norm of the "
    f"largest eigenvalue's vector at the end is {spread(spectra['hessian_residuals'][:, last, 0])}."
  )
  claims = judge_claims(result)
  edge = "Full-batch gradient descent. " + claims[0].evidence.partition(". ")[2]
  by_class = claims[1].evidence.partition(". ")[2]
  return Summary(
    tuple(make_numbers(result)),
    tuple(claims),
    (density, check, edge.replace("descent. Largest", "descent: largest"), by_class),
    {
      "density": f"After epoch {result.epochs[last]} {show(100 * fraction)} % of run 1's "
      f"eigenvalues lie above {THRESHOLD:g} of the largest, and the Gauss-Newton matrix's largest "
      f"is {spread(spectra['gauss_newton_top'][:, last, 0] / top[:, last])} times the Hessian's "
      f"(mean of {config.num_probes} probes, band: one standard error).",
      "edge": "Full-batch gradient descent ends with a largest eigenvalue of "
      f"{by_edge(result)} (dashed).",
      "outliers": f"Eigenvalues that stand apart number {by_class_words(result)}: C - 1 in "
      f"{claims[1].numbers['true_in_runs']} of {claims[1].numbers['runs']} trainings.",
    },
    {"eigenvalues": tables(result)},
    f"After training {show(100 * fraction)} % of {parameters:,} eigenvalues lie above "
    f"{THRESHOLD:g} of the largest, {spread(top[:, last])}. Those that stand apart number "
    f"{by_class_words(result)}.",
  )


def by_edge(result: Result) -> str:
  """Returns where gradient descent ends, in units of 2 / learning rate."""
  return ", ".join(
    f"{show(edge)} times 2 / learning rate at {rate:g}"
    for rate, edge in zip(result.descent_rates, at_the_edge(result))
  )


def by_class_words(result: Result) -> str:
  """Returns how many eigenvalues stand apart by the number of classes."""
  return ", ".join(
    f"{spread(found)} with {count} classes"
    for count, found in zip(result.classes, outliers(result))
  )


def tables(result: Result) -> list[dict]:
  """Returns the eigenpairs of every spectrum, a row each."""
  rows = []
  for name in ("hessian", "gauss_newton"):
    top, residuals = result.spectra[f"{name}_top"], result.spectra[f"{name}_residuals"]
    for m, s, k in np.ndindex(top.shape):
      rows.append(
        {"matrix": name, "run": m + 1, "epoch": int(result.epochs[s]), "rank": k + 1,
         "eigenvalue": float(top[m, s, k]), "residual": float(residuals[m, s, k])}
      )  # fmt: skip
  return rows
