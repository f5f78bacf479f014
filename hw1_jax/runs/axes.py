"""A Result with named axes: what its class says of each array, and an xarray.Dataset of it.

An array's axes stand in the comment behind its field:

    train_loss: np.ndarray  # [M, E] running mean over the epoch
"""

import ast
import inspect
import re
import textwrap
from typing import Any, NamedTuple

import numpy as np

from hw1_jax.errors import UserError


class Described(NamedTuple):
  """What a Result's class says of one of its arrays, or of a dict of them."""

  axes: tuple[str, ...]  # such as ("M", "E"); a fixed size is a number, "2"
  text: str  # type, unit, meaning


def describe(result: type) -> dict[str, Described]:
  """Returns {field: its description} of a Result's class, from its source."""
  source = textwrap.dedent(inspect.getsource(result))
  lines = source.splitlines()
  (body,) = ast.parse(source).body
  assert isinstance(body, ast.ClassDef)
  found = {}
  for field in body.body:
    if isinstance(field, ast.AnnAssign):
      rest = lines[(field.end_lineno or 0) - 1][field.end_col_offset :]
      comment = rest.strip().removeprefix("#").partition("# noqa")[0].strip()
      shape = re.search(r"\[([^\[\]]*)\]", comment)
      axes = tuple(part.strip() for part in shape[1].split(",")) if shape and shape[1] else ()
      found[ast.unparse(field.target)] = Described(axes, comment)
  return found


def to_dataset(result: Any) -> Any:
  """Returns a Result as an xarray.Dataset: 'field', or 'field/key' for the entries of a dict.

  A dimension is called by its letter in the class, such as "M" for runs. One of another size than
  the letter's first array has, or without a letter, is called after its array, as in "loss_1". The
  attribute "axes" of the Dataset says what the letters mean, "description" of an array what it is.

  UserError where xarray is not installed.
  """
  try:
    import xarray  # only this function needs it
  except ImportError:
    raise UserError("xarray is not installed", remedy="pip install xarray") from None
  described = describe(type(result))
  arrays: dict[str, tuple[np.ndarray, tuple[str, ...], str]] = {}
  for field, value in result._asdict().items():
    entries = {field: value}
    if isinstance(value, dict):
      entries = {f"{field}/{key}": entry for key, entry in value.items()}
    arrays |= {name: (np.asarray(entry), *described[field]) for name, entry in entries.items()}
  sizes: dict[str, int] = {}
  for name in sorted(arrays, key=lambda name: "/" in name):  # fields before entries of dicts
    array, axes, _ = arrays[name]
    for letter, size in zip(axes, array.shape if len(axes) == array.ndim else ()):
      sizes.setdefault(letter, size)
  variables = {}
  for name, (array, axes, text) in arrays.items():
    letters = axes if len(axes) == array.ndim else ("",) * array.ndim
    dimensions = [
      letter if letter[:1].isalpha() and sizes[letter] == size else f"{name}_{i}"
      for i, (letter, size) in enumerate(zip(letters, array.shape))
    ]
    variables[name] = (dimensions, array, {"description": text})
  return xarray.Dataset(variables, attrs={"axes": inspect.getdoc(type(result)) or ""})
