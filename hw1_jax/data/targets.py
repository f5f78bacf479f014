"""Target functions on a grid in [-1, 1]."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

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


Target = Callable[[Any], Any]
TARGETS: dict[str, Target] = {"sinc": _sinc, "sign_sine": _sign_sine, "sigmoid": _sigmoid}
TARGET_LABELS = {
  "sinc": "sin(5πx) / (5πx)",
  "sign_sine": "sgn(sin(5πx))",
  "sigmoid": "1 / (1 + exp(-x))",
}


def function_data(
  target: str, num_points: int, *, low: float = -1.0, high: float = 1.0, dtype: Any = np.float32
) -> tuple[np.ndarray, np.ndarray]:
  """Returns (x, y), each [N, 1]: an evenly spaced grid with both ends, and the target on it.

  NumPy computes both in float64 and then casts, so that neither x64 nor the device matters.
  The interval is the long report's (notebook). Raises UserError for an unknown target, fewer than
  two points, or an empty interval.
  """
  if target not in TARGETS:
    raise UserError("target", show(target), f"one of {', '.join(TARGETS)}")
  if num_points < 2:
    raise UserError("num_points", num_points, "at least 2")
  if not low < high:
    raise UserError("low and high", f"{low} and {high}", "low below high")
  x = np.linspace(low, high, num_points, dtype=np.float64)[:, None]
  return x.astype(dtype), TARGETS[target](x).astype(dtype)
