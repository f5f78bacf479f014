"""Target functions on a grid in [-1, 1]."""

import re
import zlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hw1_jax import own
from hw1_jax.data.formula import EXPECTED, parse_formula
from hw1_jax.errors import UserError, show

# Target functions. Each takes a NumPy array or a JAX array and returns the same kind.


def _namespace(x: Any) -> Any:
  """Returns the module, NumPy or jax.numpy, whose functions fit `x`."""
  return jnp if isinstance(x, jax.Array) else np


def _sinc(x: Any) -> Any:
  """Returns sin(5 pi x)/(5 pi x), and 1 with slope 0 at x = 0."""
  return _namespace(x).sinc(5 * x)  # both sinc's are sin(pi t)/(pi t) and know the limit at 0


def _sign_sine(x: Any) -> Any:
  """Returns sgn(sin(5 pi x)): -1, 0 or 1. 0 at x = 0; at other k/5 rounding decides the sign."""
  xp = _namespace(x)
  return xp.sign(xp.sin(5 * np.pi * x))


def _sigmoid(x: Any) -> Any:
  """Returns 1/(1 + e^-x), as the same function 1/2 + tanh(x/2)/2, which never overflows."""
  return 0.5 + 0.5 * _namespace(x).tanh(x / 2)


def _square(x: Any) -> Any:
  """Returns x^2."""
  return x * x


def _stair(x: Any) -> Any:
  """Returns floor(5 x)/5: ten steps of 1/5."""
  return _namespace(x).floor(5 * x) / 5


def _step(x: Any) -> Any:
  """Returns 0 below 0 and 1 above; 1/2 at 0."""
  return _namespace(x).heaviside(x, 0.5)


Target = Callable[[Any], Any]
TARGETS: dict[str, Target] = {
  "sinc": _sinc,
  "sign_sine": _sign_sine,
  "sigmoid": _sigmoid,
  "square": _square,  # this and the next ones are in no report: other solutions of the course
  "stair": _stair,
  "step": _step,
}
TARGET_LABELS = {
  "sinc": "sin(5πx) / (5πx)",
  "sign_sine": "sgn(sin(5πx))",
  "sigmoid": "1 / (1 + exp(-x))",
  "square": "x²",
  "stair": "floor(5x) / 5",
  "step": "0 for x < 0, 1 for x > 0",
}
# What else a setting may say: (regular expression, meaning).
OWN_TARGET = (
  rf"[0-9a-zA-Z+\-*/(). ]+|{own.NAME[0]}",
  "a formula such as 'x*sin(8*x)', or module:function of your own",
)


def make_target(name: str) -> Target:
  """Returns the target called `name`: one of TARGETS, your own function, or a formula.

  A function of your own, 'module:name', takes x [N, 1] float64 and returns as many values.
  """
  if name in TARGETS:
    return TARGETS[name]
  if own.is_own(name):
    return own.load("target", name)
  if name.isidentifier() and name not in ("x", "pi"):
    raise UserError("target", show(name), f"one of {', '.join(TARGETS)}, or {EXPECTED}")
  return parse_formula(name)


def target_label(name: str) -> str:
  """Returns a target as figures write it."""
  return TARGET_LABELS.get(name, name)


def target_file(name: str) -> str:
  """Returns a target as file names write it: of a formula letters and digits, and a checksum."""
  if name in TARGETS:
    return name
  return f"{re.sub(r'[^0-9A-Za-z]+', '_', name).strip('_')}_{zlib.crc32(name.encode()):08x}"


def function_data(
  target: str, num_points: int, *, low: float = -1.0, high: float = 1.0, dtype: Any = np.float32
) -> tuple[np.ndarray, np.ndarray]:
  """Returns (x, y), each [N, 1]: an evenly spaced grid with both ends, and the target on it.

  NumPy computes both in float64 and then casts, so that neither x64 nor the device matters.
  The interval is the long report's (notebook). Raises UserError for an unknown target, or one that
  is not finite on the grid, fewer than two points, or an empty interval.
  """
  function = make_target(target)
  if num_points < 2:
    raise UserError("num_points", num_points, "at least 2")
  if not low < high:
    raise UserError("low and high", f"{low} and {high}", "low below high")
  x = np.linspace(low, high, num_points, dtype=np.float64)[:, None]
  y = np.asarray(function(x))
  if y.size != x.size:
    raise UserError("target", f"{target} with {y.size} values", f"{x.size}, one a point")
  if not np.isfinite(y).all():
    where = float(x.ravel()[~np.isfinite(y.ravel())][0])
    raise UserError("target", f"{show(target)}, not finite at x = {where:.3g}", "finite values")
  return x.astype(dtype), y.reshape(x.shape).astype(dtype)
