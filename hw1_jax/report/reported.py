"""The values that the reports print or draw, with source and quantity (experiments/reported)."""

import csv
import functools
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from hw1_jax.report.assignment import EXPERIMENTS

FOLDER = EXPERIMENTS / "reported"


class Table(NamedTuple):
  """A file of reported values; rows N."""

  source: str  # the report's section, or the published file with its commit
  precision: str  # printed, or read from a figure with its error
  quantities: Mapping[str, str]  # column -> what it is: last minibatch, running mean, exact, ...
  columns: Mapping[str, np.ndarray]  # column -> [N] float64, NaN where empty; or [N] text

  def where(self, **values: float | str) -> "Table":
    """Returns the rows in which the named columns have these values."""
    kept = np.all([self.columns[name] == value for name, value in values.items()], axis=0)
    columns = {name: column[kept] for name, column in self.columns.items()}
    return self._replace(columns=columns)

  def points(self, x: str, y: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns two columns, [K] each, without the rows in which `y` is empty."""
    known = np.isfinite(self.columns[y])
    return self.columns[x][known], self.columns[y][known]


@functools.cache
def read(name: str) -> Table:
  """Returns a table by its file's name without .csv.

  Raises ValueError for a file without source, precision or the quantity of a column.
  """
  path = FOLDER / f"{name}.csv"
  lines = path.read_text(encoding="utf-8").splitlines()
  told = dict(line[2:].split(": ", 1) for line in lines if line.startswith("# "))
  rows = list(csv.DictReader(line for line in lines if not line.startswith("# ")))
  columns = {key: _column([row[key] for row in rows]) for key in rows[0]}
  missing = {"source", "precision", *columns} - set(told)
  if missing:
    raise ValueError(f"{path.name}: no line '# NAME: ...' for {', '.join(sorted(missing))}; add it")
  return Table(told["source"], told["precision"], {key: told[key] for key in columns}, columns)


def _column(texts: list[str]) -> np.ndarray:
  try:
    return np.array([float(text) if text else np.nan for text in texts])
  except ValueError:
    return np.array(texts)
