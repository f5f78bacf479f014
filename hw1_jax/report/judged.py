"""A claim as summary.json holds it, in words and as a small picture."""

import math
import re
from typing import Any, NamedTuple

from hw1_jax import statistics
from hw1_jax import summary as summaries
from hw1_jax.report.numbers import is_number

SHARE = "share of runs"  # the unit of a claim that is true or false of a single run


class Judged(NamedTuple):
  """A claim as summary.json holds it; what an older file does not say is None."""

  id: str
  text: str
  verdict: str
  evidence: str
  true_in_runs: int | None = None
  runs: int | None = None
  effect: float | None = None
  interval: tuple[float, float] | None = None
  region: tuple[float, float] | None = None  # of no practical difference
  turn: float = 0.0  # the effect at which the claim turns
  unit: str = ""
  runs_needed: int | None = None  # to decide an undecided claim

  @property
  def claimed(self) -> str:
    """What the report says, without our reading of it."""
    return re.sub(r"\s*\(our reading.*\)", "", self.text, flags=re.DOTALL)

  @property
  def reading(self) -> str:
    """What we take it to mean, '' where the claim says it itself."""
    found = re.search(r"\(our reading[:,]?\s*(.*)\)", self.text, flags=re.DOTALL)
    return found[1] if found else ""


def parse_claim(entry: Any) -> Judged:
  """Returns a claim of summary.json. Raises KeyError, TypeError or ValueError for another shape."""
  if not isinstance(entry, dict):
    raise TypeError(f"expected an object, got {type(entry)}")
  texts = [entry[key] for key in ("id", "text", "verdict", "evidence")]
  if not all(isinstance(text, str) for text in texts):
    raise TypeError("expected texts")
  if texts[2] not in summaries.VERDICTS:
    raise ValueError(f"no such verdict: {texts[2]}")
  known = entry.get("numbers")
  known = {**known, **entry} if isinstance(known, dict) else entry

  def count(key: str) -> int | None:
    value = known.get(key)
    return int(value) if is_number(value) and math.isfinite(value) and value >= 0 else None

  effect, turn, unit = known.get("effect"), known.get("turn"), known.get("unit")
  id, text, verdict, evidence = texts
  return Judged(
    id,
    text,
    verdict,
    evidence,
    count("true_in_runs"),
    count("runs"),
    float(effect) if is_number(effect) and math.isfinite(effect) else None,
    _pair(known.get("interval")),
    _pair(known.get("region")),
    float(turn) if is_number(turn) and math.isfinite(turn) else 0.0,
    unit if isinstance(unit, str) else "",
    count("runs_needed"),
  )


def _pair(value: Any) -> tuple[float, float] | None:
  if is_number(value):  # a half-width around zero
    value = [-abs(value), abs(value)]
  if not isinstance(value, list) or len(value) != 2:
    return None
  low, high = value
  if not (is_number(low) and is_number(high) and math.isfinite(low) and math.isfinite(high)):
    return None
  return (float(low), float(high)) if low <= high else None


class Picture(NamedTuple):
  """An interval on an axis, places in percent of its width."""

  low: float
  high: float
  point: float
  line: float  # where the claim turns: no effect, or half of the runs
  band: tuple[float, float] | None  # the region of no practical difference
  text: str  # the same in words


def picture(claim: Judged) -> Picture | None:
  """Returns a claim's effect with its interval; without one, that of the share of true runs."""
  if claim.effect is None and claim.runs and claim.true_in_runs is not None:
    if claim.true_in_runs > claim.runs:
      return None
    share = statistics.share_interval(claim.true_in_runs, claim.runs)
    claim = claim._replace(
      effect=share.effect, interval=(share.low, share.high), turn=0.5, unit=SHARE
    )
  if claim.effect is None or claim.interval is None:
    return None
  (low, high), turn = claim.interval, claim.turn
  if claim.unit == SHARE:
    left, right = 0.0, 1.0
  else:
    places = [low, high, claim.effect, turn, *(claim.region or ())]
    left, right = min(places), max(places)
  margin = 0.04 * (right - left) or 1.0

  def place(value: float) -> float:
    return round(100 * (value - left + margin) / (right - left + 2 * margin), 1)

  region = claim.region and (place(claim.region[0]), place(claim.region[1]))
  text = f"{_show(claim.effect)} ({_show(low)} to {_show(high)}) {claim.unit}".strip()
  if claim.unit == SHARE and claim.true_in_runs is not None:
    text = f"true in {claim.true_in_runs} of {claim.runs} runs"
  return Picture(place(low), place(high), place(claim.effect), place(turn), region, text)


def _show(value: float) -> str:
  return summaries.show(value).replace("-", "−")


def sentences(text: str) -> list[str]:
  """Returns the sentences of a text; decimal points and the colon of a list end none."""
  return [part for part in re.split(r"(?<=[.!?])(?<!vs\.)\s+(?=[A-Z0-9α‖|])", text.strip()) if part]


def first_sentence(text: str) -> str:
  return next(iter(sentences(text)), text)
