"""How the page writes numbers, settings and durations."""

import math
import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, TypeGuard, TypeVar

import numpy as np

from hw1_jax.summary import Number

T = TypeVar("T")

LABELS = {
  "alpha_max": "Largest α",
  "alpha_min": "Smallest α",
  "data_dir": "Data folder",
  "dataset": "Data set",
  "fraction": "Fraction of labels drawn at random",
  "grad_tolerance": "Gradient norm to reach",
  "manual_dir": "Folder with the original data files",
  "num_epochs": "Epochs (at most)",
  "num_runs": "Independent runs",
  "retrain_epochs": "Epochs of training after the interpolation",
}


# Writing numbers


class Aligned(NamedTuple):
  """A number cut before its decimal point; `tail` takes `width` characters in its column."""

  head: str
  tail: str
  width: int


def show_number(value: float, decimals: int | None) -> str:
  """Returns `value` with so many decimals; as a power of ten for None, or where it would be 0."""
  if not math.isfinite(value):
    return "–"
  if decimals is None or (value != 0 and round(value, decimals) == 0):
    mantissa, exponent = f"{value:.2e}".split("e")
    raised = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    text = f"{mantissa} × 10{raised}"
  else:
    text = f"{value:,.{decimals}f}" if abs(value) >= 10_000 else f"{value:.{decimals}f}"
  return text.replace("-", "−")


def decimals_of(values: Iterable[float], *, of_smallest: bool = False) -> int | None:
  """Returns how many decimals show 4 digits of the largest value, None for powers of ten.

  `of_smallest`: of the smallest value but 0, and at most 6.
  """
  sizes = [abs(value) for value in values if math.isfinite(value) and value != 0]
  if all(size == int(size) for size in sizes) and max(sizes, default=0) < 1e9:
    return 0
  if max(sizes) >= 1e7 or (min(sizes) if of_smallest else max(sizes)) < 1e-5:
    return None
  digits = 3 - math.floor(math.log10(min(sizes) if of_smallest else max(sizes)))
  return min(max(digits, 0), 6 if of_smallest else 8)


def align(texts: Sequence[str]) -> list[Aligned]:
  """Returns one column, cut so that decimal points stand in line. Words stay whole."""
  number = re.compile(r"(−?[\d,]+|–)((?:\.\d+)?(?: × 10\S+)?)")
  cuts = [number.fullmatch(text) for text in texts]
  width = max((len(cut[2]) for cut in cuts if cut), default=0)
  return [
    Aligned(cut[1], cut[2], width) if cut else Aligned(text, "", 0)
    for text, cut in zip(texts, cuts)
  ]


class NumberRow(NamedTuple):
  """A row of the table "our numbers beside the reported ones"."""

  number: Number
  reported: Aligned  # empty where the report prints none
  median: Aligned
  least: Aligned  # empty, as is `most`, where only one run has a value
  most: Aligned
  runs: str  # "8", or "7 of 8" have a value


def number_rows(numbers: Sequence[Number]) -> list[NumberRow]:
  """Returns the rows of the table, numbers aligned by column."""
  texts, runs = [], []
  for number in numbers:
    finite = [value for value in number.values if math.isfinite(value)]
    shown = [float(np.median(finite)), min(finite), max(finite)] if finite else [math.nan]
    reported = _show_reported(number.reported)
    decimals = decimals_of(shown)
    if decimals is not None and re.fullmatch(rf"\S+\.\d{{{decimals + 1},}}", reported):
      decimals += 1  # the report prints more
    ours = [show_number(value, decimals) for value in shown]
    texts.append([reported, *(ours if len(finite) > 1 else [ours[0], "", ""])])
    total = len(number.values)
    runs.append(str(total) if len(finite) == total else f"{len(finite)} of {total}")
  columns = [align(column) for column in zip(*texts)]
  return [NumberRow(*row) for row in zip(numbers, *columns, runs)]


def _show_reported(reported: float | str | None) -> str:
  if reported is None or isinstance(reported, str):
    return reported or ""
  text = f"{reported:.10g}"  # as many digits as the report prints
  if "e" in text or "n" in text:
    return show_number(reported, None)
  return show_number(reported, len(text.partition(".")[2]))


def some_rows(rows: Sequence[T], max_rows: int) -> list[T]:
  """Returns at most `max_rows` of the rows, evenly spaced, the first and the last among them."""
  if len(rows) <= max_rows:
    return list(rows)
  return [rows[i] for i in np.linspace(0, len(rows) - 1, max_rows).round().astype(int)]


def table_columns(
  rows: Sequence[dict[str, Any]],
) -> tuple[list[tuple[str, bool]], list[list[str]]]:
  """Returns [(column name, it holds numbers)] and the rows as texts.

  A column of numbers has one format, so that right-aligned digits stand in line.
  """
  names = list(dict.fromkeys(name for row in rows for name in row))
  columns, texts = [], []
  for name in names:
    cells = [row.get(name) for row in rows]
    numeric = all(is_number(cell) or cell is None for cell in cells)
    if numeric:
      values = [math.nan if cell is None else float(cell) for cell in cells]
      decimals = decimals_of(values, of_smallest=True)
      texts.append([show_number(value, decimals) for value in values])
    else:
      texts.append([show_value(cell) for cell in cells])
    columns.append((name, numeric))
  return columns, [list(row) for row in zip(*texts)]


def is_number(value: Any) -> TypeGuard[float]:
  return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300


def show_value(value: Any, depth: int = 4) -> str:
  """Returns a setting or another JSON value as a reader writes it, nested at most `depth` deep."""
  if value is None or value == "":
    return "–"
  if isinstance(value, bool):
    return "yes" if value else "no"
  if isinstance(value, list | dict) and depth == 0:
    return "…"
  if isinstance(value, list):
    return ", ".join(show_value(entry, depth - 1) for entry in value)
  if isinstance(value, dict):
    return ", ".join(f"{key} {show_value(entry, depth - 1)}" for key, entry in value.items())
  if isinstance(value, int) and 10_000 <= abs(value) < 1e15:
    return f"{value:,}"
  return str(value) if not isinstance(value, int) or abs(value) < 1e300 else "…"


def show_seconds(seconds: float) -> str:
  """Returns a duration, '4 min 12 s'."""
  if seconds < 60:
    return f"{seconds:.1f} s"
  minutes, rest = divmod(round(seconds), 60)
  hours, minutes = divmod(minutes, 60)
  return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def setting_name(setting: str) -> str:
  return LABELS.get(setting) or words(setting.replace("num_", "number of "))


def words(name: str) -> str:
  text = name.replace("_", " ")
  return text[:1].upper() + text[1:]
