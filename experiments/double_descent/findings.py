"""The numbers, the judged claims, the sentences."""

from typing import Any

import numpy as np

from hw1_jax.report.assignment import topic_of
from hw1_jax.summary import Claim, Number, Summary, compared, show, spread

from .run import Config, Result

TOPIC = topic_of("double_descent")
FITTED = 0.01  # our reading of "just fits": a training error of at most this, exact, at the end
MEASURES = {"test_error": ("test error", 100.0, "%"), "test_loss": ("test loss", 1.0, "nats")}


def at_end(result: Result, name: str) -> np.ndarray:
  """Returns a quantity after the last epoch, [W, M]."""
  return np.asarray(getattr(result, name)[..., -1], float)


def threshold(result: Result) -> np.ndarray:
  """Returns the smallest width whose network fits its labels, [M]; inf where none does."""
  fits = at_end(result, "train_error") <= FITTED
  return np.where(fits.any(axis=0), result.widths[fits.argmax(axis=0)], np.inf)


class Peak:
  """The highest point behind the first descent, of each run: [M] each."""

  def __init__(self, result: Result, name: str) -> None:
    """From a quantity after the last epoch: the width between others with the largest rise."""
    values = at_end(result, name)
    before = np.minimum.accumulate(values, axis=0)  # the lowest of all narrower ones and itself
    self.index = (values - before).argmax(axis=0)
    runs = np.arange(values.shape[1])
    rises = self.index > 0
    self.width = np.where(rises, result.widths[self.index], np.nan)  # NaN: only falls
    self.low = before[self.index, runs]
    self.high = values[self.index, runs]
    self.last = values[-1]


def summarize(config: Config, result: Result) -> Summary:
  """Returns errors and losses by width, peak and threshold, and the claims."""
  numbers: list[Number] = []
  for w, (width, count) in enumerate(zip(result.widths, result.num_parameters)):
    at = f"width {width}, {count:,} parameters"
    numbers.append(
      Number(f"{at}: training error", tuple(100 * at_end(result, "train_error")[w]), "%")
    )
    numbers += [
      Number(f"{at}: {words}", tuple(scale * at_end(result, name)[w]), unit)
      for name, (words, scale, unit) in MEASURES.items()
    ]
  fits = threshold(result)
  numbers.append(
    Number(f"smallest width that fits {100 * (1 - FITTED):g} % of its labels",
           tuple(np.where(np.isfinite(fits), fits, np.nan)), "units",
           note=f"reached by {int(np.isfinite(fits).sum())} of {len(fits)} runs")
  )  # fmt: skip
  sentences = [
    f"With {100 * config.noise:g} % random labels a network fits {100 * (1 - FITTED):g} % of them "
    f"from width {spread(fits)} on; as many parameters as training outputs, "
    f"{int(result.num_outputs):,}, it has from width {equal_width(result)}."
  ]
  changes = []
  for name, (words, scale, unit) in MEASURES.items():
    peak = Peak(result, name)
    ends = (
      f"{spread(scale * at_end(result, name)[0])} {unit} at width {result.widths[0]} and "
      f"{spread(scale * peak.last)} {unit} at {result.widths[-1]}"
    )
    changes.append(
      f"{words} goes from {spread(scale * at_end(result, name)[0])} to "
      f"{spread(scale * peak.last)} {unit}"
    )
    rises = np.isfinite(peak.width)
    between = f"; it rises nowhere in {len(rises)} runs"
    if rises.any():
      between = (
        f"; between them it rises from {spread(scale * peak.low[rises])} to "
        f"{spread(scale * peak.high[rises])} {unit}, at width {spread(peak.width[rises])} "
        f"({int(rises.sum())} of {len(rises)} runs)"
      )
    sentences.append(f"The {words} is {ends}{between}.")
  best = 100 * result.test_error.min(axis=2)
  sentences.append(
    f"Stopped at its lowest, the test error is {spread(best[0])} % at width {result.widths[0]} and "
    f"{spread(best[-1])} % at {result.widths[-1]}; the lowest over all widths is "
    f"{spread(best.min(axis=0))} %."
  )
  captions = {
    "widths": f"From width {result.widths[0]} to {result.widths[-1]} the "
    + " and the ".join(changes)
    + f"; dashed: the smallest width that fits its labels. {sentences[2]}",
    "epochs": f"{sentences[3]} The test error over the epochs at {len(shown(result))} widths.",
  }
  claims = tuple(judge_claims(result))
  answer = " ".join(sentences[i] for i in (2, 1))
  return Summary(tuple(numbers), claims, tuple(sentences), captions, {"runs": rows(result)}, answer)


def equal_width(result: Result) -> str:
  """Returns the width with as many parameters as training examples times classes, in words."""
  x, y = result.num_parameters.astype(float), result.widths.astype(float)
  if not x[0] <= result.num_outputs <= x[-1]:
    return f"outside of {result.widths[0]} to {result.widths[-1]}"
  return show(np.interp(float(result.num_outputs), x, y))


def shown(result: Result) -> list[int]:
  """Returns the rows of at most four widths, from the narrowest to the widest, for a figure."""
  peak = int(np.median(Peak(result, "test_error").index))
  return sorted({0, peak, (peak + len(result.widths) - 1) // 2, len(result.widths) - 1})


def judge_claims(result: Result) -> list[Claim]:
  """Returns the claims, run by run."""
  error, loss = (Peak(result, name) for name in MEASURES)
  claims = []
  for i, (peak, (words, scale, unit)) in enumerate(zip((error, loss), MEASURES.values()), 1):
    both = scale * np.minimum(peak.high - peak.low, peak.high - peak.last)
    said = (
      f"Lowest before the peak {spread(scale * peak.low)}, at the peak "
      f"{spread(scale * peak.high)}, at the widest {spread(scale * peak.last)} {unit}."
    )
    text = TOPIC.claims["2.6a"].format(what=words)
    claims.append(compared(f"O-2.6a.{i}", text, both, said, region=0.0, unit=unit))
  fits = threshold(result)
  distance = np.abs(np.log2(loss.width / np.where(np.isfinite(fits), fits, np.nan)))
  claims += [
    compared("O-2.6b", TOPIC.claims["O-2.6b"].format(fitted=100 * FITTED), 1 - distance,
             f"Test loss highest at width {spread(loss.width)}, fitting from {spread(fits)} on.",
             region=0.0, unit="doublings"),
    compared("O-2.6c", TOPIC.claims["O-2.6c"], 100 * (error.low - error.last),
             f"Test error {spread(100 * error.low)} % before the peak, {spread(100 * error.last)} "
             f"% at the widest.", region=0.0, unit="points"),
  ]  # fmt: skip
  return claims


def rows(result: Result) -> list[dict[str, Any]]:
  """Returns a row a width and run, at the end and at the lowest test error."""
  names = ("train_loss", "train_error", "test_loss", "test_error")
  return [
    {"width": int(width), "parameters": int(result.num_parameters[w]), "run": m + 1,
     **{name: float(at_end(result, name)[w, m]) for name in names},
     "lowest_test_error": float(result.test_error[w, m].min())}
    for w, width in enumerate(result.widths)
    for m in range(result.test_error.shape[1])
  ]  # fmt: skip
