"""What a curve of measured points says: its exponents, and a constant beside a rate."""

import math
import statistics
from typing import Any


def fitted(points: list[dict[str, Any]]) -> dict[str, float]:
  """Returns the exponents of time and of added memory over the upper half of the sizes."""
  upper = upper_half(points)
  sizes = [point["size"] for point in upper]
  return {
    "exponent": exponent(sizes, [point["seconds"] for point in upper]),
    "memory_exponent": exponent(sizes, [added_mib(point) for point in upper]),
  }


def upper_half(points: list[dict[str, Any]]) -> list[dict[str, Any]]:
  """Returns the points from the middle of the logarithmic axis on, at least two."""
  middle = math.sqrt(points[0]["size"] * points[-1]["size"])
  first = min(next(i for i, p in enumerate(points) if p["size"] >= middle), len(points) - 2)
  return points[first:]


def added_mib(point: dict[str, Any]) -> float:
  """Returns what the calls needed on top of packages and inputs, at least 0.1 MiB."""
  return max(point["peak_mib"] - point["inputs_mib"], 0.1)


def exponent(sizes: list[float], values: list[float]) -> float:
  """Returns the least-squares slope of log(value) against log(size)."""
  return statistics.linear_regression(list(map(math.log, sizes)), list(map(math.log, values))).slope


def constant_and_rate(points: list[dict[str, Any]]) -> tuple[float, float]:
  """Returns (a, b), both at least 0, of seconds = a + b size, by least squares of relative errors.

  With weights 1 / seconds the model is linear in a and b: a/s + b size/s = 1.
  """
  rows = [(1 / point["seconds"], point["size"] / point["seconds"]) for point in points]
  uu, uv, vv = (sum(r[i] * r[j] for r in rows) for i, j in ((0, 0), (0, 1), (1, 1)))
  u, v = (sum(r[i] for r in rows) for i in (0, 1))
  determinant = uu * vv - uv * uv
  a, b = (u * vv - v * uv) / determinant, (v * uu - u * uv) / determinant
  if a < 0:
    return 0.0, v / vv
  return (u / uu, 0.0) if b < 0 else (a, b)
