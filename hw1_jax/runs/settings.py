"""Settings of an experiment: a frozen dataclass whose fields carry their own bounds and help.

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Config(Settings):
      learning_rate: float = setting(1e-3, "Adam's learning rate; notebook", above=0)

A wrong value raises `UserError` with the setting, what it got and what is expected.
"""

import dataclasses
import math
import re
import types
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hw1_jax import data
from hw1_jax.errors import UserError, show


def setting(
  default: Any,
  help: str,
  *,
  minimum: float | None = None,
  maximum: float | None = None,
  above: float | None = None,
  below: float | None = None,
  choices: Sequence[str] | None = None,
  pattern: tuple[str, str] | None = None,
  nonempty: bool = True,
  unique: bool = False,
  later: bool = False,
) -> Any:
  """Returns a dataclass field. Bounds hold for the value, or for each entry of a tuple.

  `minimum` and `maximum` are inclusive, `above` and `below` exclusive. `pattern` is a regular
  expression for the whole text, and what it means in words; beside `choices`, what else is right.
  `nonempty` and `unique` concern tuples. `later`: run folders from before the setting existed are
  opened as if it had its default, which is then what was computed.
  """
  return dataclasses.field(
    default=default,
    metadata={
      "help": help,
      "minimum": minimum,
      "maximum": maximum,
      "above": above,
      "below": below,
      "choices": tuple(choices) if choices else None,
      "pattern": pattern,
      "nonempty": nonempty,
      "unique": unique,
      "later": later,
    },
  )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Checked:
  """Base of dataclasses whose fields are checked against their annotations and bounds."""

  def __post_init__(self) -> None:
    hints = field_types(type(self))
    for field in dataclasses.fields(self):
      value = _checked(field, hints[field.name], getattr(self, field.name))
      object.__setattr__(self, field.name, value)

  def require(self, condition: bool, name: str, expected: str) -> None:
    """Raises UserError for the field `name` unless `condition` holds."""
    if not condition:
      raise _wrong(name, getattr(self, name), expected)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings(Checked):
  """Base of every experiment's Config: what decides its numbers."""

  seed: int = setting(
    0, "seed of every random stream; same seed, same bits", minimum=0, maximum=2**32 - 1
  )

  def memory_need(self) -> Any:
    """Returns a `memory.Need` of what is known to be large beforehand; None: nothing."""
    return None


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageSettings(Settings):
  """Base of the Config of an experiment on an image set, which `main` loads for it."""

  dataset: str = setting("mnist", "the image set", choices=data.IMAGE_SETS, pattern=data.PATH)
  train_examples: int | None = setting(None, "train on the first so many; none: all", minimum=1)
  test_examples: int | None = setting(None, "test on the first so many; none: all", minimum=1)

  def check_images(self, images: data.ImageData) -> None:
    """Raises UserError where the settings do not fit the images; for experiments that need it."""


def _wrong(name: str, value: Any, expected: str) -> UserError:
  return UserError(name, show(value), expected)


def later_defaults(cls: type) -> dict[str, Any]:
  """Returns {setting: default} of those that older run folders lack: see `setting`."""
  return {f.name: f.default for f in dataclasses.fields(cls) if f.metadata.get("later")}


def field_types(cls: type) -> dict[str, Any]:
  """Returns each field's resolved annotation."""
  return typing.get_type_hints(cls)


def scalar_type(annotation: Any) -> tuple[type, bool, bool]:
  """Returns (scalar type, is a tuple, may be None) of an annotation such as tuple[int, ...]."""
  optional = False
  if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union:
    (annotation,) = [a for a in typing.get_args(annotation) if a is not type(None)]
    optional = True
  if typing.get_origin(annotation) is tuple:
    return typing.get_args(annotation)[0], True, optional
  return annotation, False, optional


def describe(field: dataclasses.Field) -> str:
  """Returns the bounds of a field in words, such as 'above 0 and at most 1'."""
  meta, parts, alternatives = field.metadata, [], []
  if meta.get("choices"):
    alternatives.append("one of " + ", ".join(meta["choices"]))
  if meta.get("pattern"):
    alternatives.append(meta["pattern"][1])
  if alternatives:
    parts.append(", or ".join(alternatives))
  for key, words in (("minimum", "at least"), ("above", "above"), ("maximum", "at most"),
                     ("below", "below")):  # fmt: skip
    if meta.get(key) is not None:
      parts.append(f"{words} {meta[key]:g}" if abs(meta[key]) < 1e6 else f"{words} {meta[key]}")
  return " and ".join(parts)


def _checked(field: dataclasses.Field, annotation: Any, value: Any) -> Any:
  kind, is_tuple, optional = scalar_type(annotation)
  if value is None and optional:
    return None
  if not is_tuple:
    return _checked_scalar(field, kind, value, value)
  if isinstance(value, str) or not isinstance(value, Sequence):
    raise _wrong(field.name, value, f"a list of {kind.__name__}")
  entries = tuple(_checked_scalar(field, kind, entry, value) for entry in value)
  if field.metadata.get("nonempty", True) and not entries:
    raise _wrong(field.name, value, "at least one entry")
  if field.metadata.get("unique") and len(set(entries)) < len(entries):
    raise _wrong(field.name, value, "entries that differ from each other")
  return entries


def _checked_scalar(field: dataclasses.Field, kind: type, value: Any, shown: Any) -> Any:
  if kind is Path:
    return _checked_path(field, value)
  if kind is float and isinstance(value, int) and not isinstance(value, bool):
    value = float(value)
  if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
    names = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
    raise _wrong(field.name, shown, names.get(kind, kind.__name__))
  if isinstance(value, float) and not math.isfinite(value):
    raise _wrong(field.name, shown, "a finite number")
  meta = field.metadata
  if isinstance(value, int) and meta.get("maximum") is None and value > 2**31 - 1:
    raise _wrong(field.name, shown, f"at most {2**31 - 1}")
  choices, pattern = meta.get("choices") or (), meta.get("pattern")
  fits = bool(pattern and re.fullmatch(pattern[0], str(value)))
  if (choices or pattern) and value not in choices and not fits:
    raise _wrong(field.name, shown, describe(field))
  if kind in (int, float) and (
    (meta.get("minimum") is not None and value < meta["minimum"])
    or (meta.get("maximum") is not None and value > meta["maximum"])
    or (meta.get("above") is not None and value <= meta["above"])
    or (meta.get("below") is not None and value >= meta["below"])
  ):
    raise _wrong(field.name, shown, describe(field))
  return value


def _checked_path(field: dataclasses.Field, value: Any) -> Path:
  """Returns the path that a text or Path names; a leading ~ is the home folder, as in a shell."""
  text = str(value)
  if not isinstance(value, str | Path) or not text.strip():
    raise _wrong(field.name, value, "the name of a file or folder")
  if any(ord(character) < 32 or ord(character) == 127 for character in text):
    raise _wrong(field.name, value, "a name without control characters")
  try:
    return Path(text).expanduser()
  except RuntimeError:
    raise _wrong(field.name, value, "a user whose home folder is known after ~") from None
