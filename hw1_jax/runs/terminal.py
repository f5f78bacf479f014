"""The terminal: standard streams that may be closed, full or gone."""

import contextlib
import os
import sys
from typing import Any

PROGRESS = "HW1_PROGRESS"  # "lines" in the environment: no bars, as where several runs share stderr


def shows_bars() -> bool:
  """Returns whether stderr is a terminal that this process may draw on."""
  return sys.stderr.isatty() and os.environ.get(PROGRESS) != "lines"


def secure_streams() -> None:
  """Gives a process whose standard streams are closed streams into nowhere.

  Else the next files that it opens get their numbers, and what is meant for stderr lands in them.
  """
  for number in range(3):
    try:
      os.fstat(number)
    except OSError:
      os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free: this one
  sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115 open as long as the process
  sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115


def keep_stdout() -> None:
  """Sends what libraries in C++ print to stdout nowhere; Python's own prints still come through.

  gloo, which moves arrays between processes on CPU, prints a line for each group of processes, on
  every process. For `main`'s processes, whose stdout is file 1; elsewhere nothing is done.
  """
  try:
    if sys.stdout.fileno() != 1:
      return
    sys.stdout.flush()
    own = os.fdopen(os.dup(1), "w", encoding=sys.stdout.encoding, errors=sys.stdout.errors)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
  except (OSError, ValueError):  # no such file, as under a notebook
    return
  sys.stdout = own


def announce(text: str) -> None:
  """Prints a line on stdout. Where that fails the run is none the worse: stderr says so."""
  try:
    print(text, flush=True)
  except OSError as error:
    with contextlib.suppress(OSError, ValueError):  # or Python fails once more when it ends
      os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if not isinstance(error, BrokenPipeError):
      with contextlib.suppress(OSError):
        print(f"{text} (stdout: {error.strerror})", file=sys.stderr, flush=True)


class CalmStream:
  """A terminal to draw progress on that may be closed, full or gone: what fails is left out."""

  def __init__(self, stream: Any):
    self._stream = stream

  def write(self, text: str) -> None:
    """Writes, if it can."""
    with contextlib.suppress(OSError, ValueError, RuntimeError):
      self._stream.write(text)

  def flush(self) -> None:
    """Flushes, if it can."""
    with contextlib.suppress(OSError, ValueError, RuntimeError):
      self._stream.flush()

  def __getattr__(self, name: str) -> Any:
    return getattr(self._stream, name)
