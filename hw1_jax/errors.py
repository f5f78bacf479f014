"""What a user can get wrong, as exceptions of one line: what, got, expected, what to do."""

from typing import Any


class DataError(ValueError):
  """Data that cannot be had: what, got, expected and what to do, in one line."""


class SettingError(ValueError):
  """A setting out of its bounds: which flag, what it got, what is expected."""

  def __init__(self, name: str, got: Any, expected: str):
    super().__init__(f"--{name}: got {_show(got)}, expected {expected}")
    self.name = name


def _show(value: Any) -> str:
  if isinstance(value, list | tuple):
    value = ",".join(str(entry) for entry in value)
  text = repr(value) if isinstance(value, str) else str(value)
  return text if len(text) <= 80 else text[:77] + "..."


class RunError(Exception):
  """A run folder that cannot be used or written: one line with what to do."""
