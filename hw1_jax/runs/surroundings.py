"""What must be right around a command before JAX can be imported and used at all."""

import contextlib
import functools
import os
import re
import subprocess
import sys

from hw1_jax.errors import UserError, show

# The least that makes XLA read its flags: 0.2 s, nearly all of them Python's and jaxlib's start.
READ_FLAGS = "from jaxlib import xla_client; xla_client._xla.CompileOptions()"
# How XLA says that it cannot, behind time, thread and source line.
UNREADABLE = re.compile(
  r"^[EF]\d+ .*?\.cc:\d+\] ((?:Unknown flag|Couldn't interpret|Could not open).*)", re.MULTILINE
)


def require_jax() -> None:
  """Imports JAX; UserError where a variable of the environment has a value that ends it.

  While `python -m` imports the package of a command, where nobody catches it yet, the error is told
  in one line and the process ends with code 2.
  """
  try:
    import_jax()
    require_xla_flags(os.environ.get("XLA_FLAGS", ""))
  except UserError as wrong:
    if sys.argv[:1] != ["-m"]:
      raise
    print(wrong, file=sys.stderr)
    sys.exit(2)


def import_jax() -> None:
  """Imports JAX; UserError where one of its own variables, JAX_..., has a value it rejects."""
  try:
    import jax  # noqa: F401 it reads its variables now
  except ValueError as error:
    names = sorted(name for name in os.environ if name.startswith("JAX_"))
    told = " ".join(str(error).split())
    guilty = [name for name in names if name in told or name.lower() in told]
    if not guilty:
      raise
    raise UserError(
      f"the environment variable {guilty[0]}",
      os.environ[guilty[0]][:80],
      "a value that JAX knows",
      f"unset {guilty[0]}",
    ) from None


@functools.cache
def require_xla_flags(text: str) -> None:
  """Raises UserError for flags on which XLA would end the process, with a page of all it knows.

  A process of its own tries them; where there are none, nothing is tried.
  """
  if not text:
    return
  with contextlib.suppress(OSError, subprocess.TimeoutExpired):  # XLA itself has the last word
    tried = subprocess.run(
      [sys.executable, "-c", READ_FLAGS], capture_output=True, text=True, errors="replace",
      timeout=60, env={**os.environ, "XLA_FLAGS": text, "TF_CPP_MIN_LOG_LEVEL": "0"},
    )  # fmt: skip
    said = UNREADABLE.search(tried.stderr)
    if tried.returncode and said:
      raise UserError(
        "the environment variable XLA_FLAGS",
        f"{show(text)} ({said[1][:200].rstrip('.')})",
        "flags that this version of XLA knows",
        "correct or unset XLA_FLAGS",
      )
