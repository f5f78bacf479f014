"""Formulas in x as text, such as 'x*sin(8*x)': read, never executed as Python."""

import ast
import operator
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hw1_jax.errors import UserError, show

FUNCTIONS = ("sin", "cos", "tan", "exp", "log", "sqrt", "abs", "sign", "tanh")
_BINARY: dict[type, Callable[[Any, Any], Any]] = {
  ast.Add: operator.add,
  ast.Sub: operator.sub,
  ast.Mult: operator.mul,
  ast.Div: operator.truediv,
  ast.Pow: operator.pow,
}
_UNARY: dict[type, Callable[[Any], Any]] = {ast.USub: operator.neg, ast.UAdd: operator.pos}
EXPECTED = f"a formula of x, numbers, pi, + - * / **, {' '.join(FUNCTIONS)}"
MOST_CHARACTERS = 500  # our choice: Python's parser nests no deeper than this can

Evaluate = Callable[[Any, Any], Any]  # (NumPy or jax.numpy, x) -> value


def parse_formula(text: str) -> Callable[[Any], Any]:
  """Returns the function that a formula describes; it takes NumPy or JAX arrays, returns the same.

  Numbers are floats, so 2**-1 is 1/2. UserError for everything that is not `EXPECTED`.
  """
  try:
    if len(text) > MOST_CHARACTERS:
      raise ValueError
    evaluate = _compile(ast.parse(text.strip(), mode="eval").body, text)
  except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
    if isinstance(error, UserError):
      raise
    raise UserError("target", show(text), EXPECTED) from None

  def function(x: Any) -> Any:
    xp = jnp if isinstance(x, jax.Array) else np
    with np.errstate(all="ignore"):  # whoever asks looks at whether the values are finite
      return evaluate(xp, x) + xp.zeros_like(x)  # a constant has the shape of x, too

  return function


def _compile(node: ast.expr, text: str) -> Evaluate:
  match node:
    case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
      number = float(value)
      return lambda xp, x: number
    case ast.Name(id="x"):
      return lambda xp, x: x
    case ast.Name(id="pi"):
      return lambda xp, x: np.pi
    case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
      apply, first, second = _BINARY[type(op)], _compile(left, text), _compile(right, text)
      return lambda xp, x: apply(xp.asarray(first(xp, x), x.dtype), second(xp, x))
    case ast.UnaryOp(op=op, operand=operand) if type(op) in _UNARY:
      change, value_of = _UNARY[type(op)], _compile(operand, text)
      return lambda xp, x: change(value_of(xp, x))
    case ast.Call(func=ast.Name(id=name), args=[argument], keywords=[]) if name in FUNCTIONS:
      inner = _compile(argument, text)
      return lambda xp, x: getattr(xp, name)(xp.asarray(inner(xp, x), x.dtype))
  part = ast.get_source_segment(text.strip(), node)
  raise UserError("target", f"{show(part or text)} in {show(text)}", EXPECTED)
