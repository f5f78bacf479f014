"""Objects of your own, named in a setting as `module:name`, and called with what they ask for."""

import hashlib
import importlib
import importlib.util
import inspect
import re
from collections.abc import Callable, Iterable
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


def sha256(settings: Iterable[Any]) -> str:
  """Returns the SHA-256 (hex) of the modules that settings' values name; '' where none does.

  Of a package it is the code of the module named, not of what that imports.
  """
  texts = (t for value in settings for t in (value if isinstance(value, tuple) else (value,)))
  modules = {t.partition(":")[0] for t in texts if isinstance(t, str) and re.fullmatch(NAME[0], t)}
  digest, found = hashlib.sha256(), False
  for module in sorted(modules):
    try:
      place = importlib.util.find_spec(module)
    except (ImportError, ValueError):
      continue  # `load` says what is wrong
    if place and place.origin and place.has_location:
      with open(place.origin, "rb") as file:
        digest.update(module.encode() + b"\0" + file.read().replace(b"\r\n", b"\n"))
      found = True
  return digest.hexdigest() if found else ""


def parameters(function: Callable[..., Any]) -> list[str]:
  """Returns the names of a function's parameters; none where it does not tell."""
  try:
    return list(inspect.signature(function).parameters)
  except (TypeError, ValueError):
    return []


def call(function: Callable[..., Any], *args: Any, **offered: Any) -> Any:
  """Returns `function(*args, ...)` with those of the offered arguments that it names."""
  names = parameters(function)
  return function(*args, **{name: value for name, value in offered.items() if name in names})
