"""Objects of your own, named in a setting as `module:name`, and called with what they ask for."""

import importlib
import inspect
from collections.abc import Callable
from typing import Any

from hw1_jax.errors import UserError, show

# How a setting names one: (regular expression, meaning).
NAME = (r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", "module:function of your own")


def is_own(name: str) -> bool:
  """Returns whether a setting's text names an object of one's own."""
  return ":" in name


def load(setting: str, name: str) -> Callable[..., Any]:
  """Returns the function that `setting` calls 'module:name'; UserError where there is none.

  What goes wrong inside the module is not caught: its traceback says where.
  """
  module_name, _, attribute = name.partition(":")
  try:
    module = importlib.import_module(module_name)
  except ModuleNotFoundError as error:
    if not error.name or not (module_name + ".").startswith(error.name + "."):
      raise
    missing = f"{show(name)}, and no module {error.name}"
    raise UserError(setting, missing, "a module here or on PYTHONPATH") from None
  found = getattr(module, attribute, None)
  if not callable(found):
    names = [n for n, value in vars(module).items() if callable(value) and n[0] != "_"]
    raise UserError(setting, f"{show(name)}, and no such function in {module_name}",
                    f"one of {', '.join(names) or 'none'}")  # fmt: skip
  return found


def parameters(function: Callable[..., Any]) -> list[str]:
  """Returns the names of a function's parameters; none where it does not tell."""
  try:
    return list(inspect.signature(function).parameters)
  except (TypeError, ValueError):
    return []


def takes(function: Callable[..., Any], count: int) -> bool:
  """Returns whether a function can be called with so many arguments; yes where it does not tell."""
  try:
    inspect.signature(function).bind(*range(count))
  except TypeError:
    return False
  except ValueError:
    return True
  return True


def call(function: Callable[..., Any], *args: Any, **offered: Any) -> Any:
  """Returns `function(*args, ...)` with those of the offered arguments that it names."""
  names = parameters(function)
  return function(*args, **{name: value for name, value in offered.items() if name in names})
