"""What a user can get wrong, as one exception of one line: what, got, expected, what to do."""

from typing import Any


class UserError(ValueError):
  """A mistake of the user, told in one line: `what: got ..., expected ...; remedy`.

  Settings are named without dashes, and in remedies as `name=VALUE`: whoever calls from Python
  passes arguments. The command line turns these names into flags (`runs.flags.as_flags`).

  Args:
    what: a setting's name, or what is wrong with which file.
    got: its value; text stands in the message as it is, anything else by `show`.
    expected: what would be right; without it the message is `what` and the remedy.
    remedy: what to do.
  """

  def __init__(self, what: str, got: Any = None, expected: str = "", remedy: str = ""):
    got = got if isinstance(got, str) else show(got)
    text = f"{what}: got {got}, expected {expected}" if expected else what
    super().__init__(f"{text}; {remedy}" if remedy else text)
    self.what, self.got, self.expected, self.remedy = what, got, expected, remedy


def show(value: Any) -> str:
  """Returns a value as a message shows it: text in quotes, at most 80 characters, ends kept."""
  if isinstance(value, list | tuple):
    value = ",".join(str(entry) for entry in value)
  return shortened(repr(value) if isinstance(value, str) else str(value))


def shortened(text: str) -> str:
  """Returns text of at most 80 characters: the middle goes, for paths differ at their ends."""
  return text if len(text) <= 80 else f"{text[:38]}...{text[-39:]}"
