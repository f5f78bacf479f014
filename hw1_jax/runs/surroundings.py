"""What must be right around a command before JAX can be imported at all."""

import os
import sys

from hw1_jax.errors import UserError


def require_jax() -> None:
  """Imports JAX; UserError where a JAX_... variable of the environment has a value it rejects.

  While `python -m` imports the package of a command, where nobody catches it yet, the error is told
  in one line and the process ends with code 2.
  """
  try:
    import jax  # noqa: F401 it reads its variables now
  except ValueError as error:
    names = sorted(name for name in os.environ if name.startswith("JAX_"))
    told = " ".join(str(error).split())
    guilty = [name for name in names if name in told or name.lower() in told]
    if not guilty:
      raise
    wrong = UserError(
      f"the environment variable {guilty[0]}",
      os.environ[guilty[0]][:80],
      "a value that JAX knows",
      f"unset {guilty[0]}",
    )
    if sys.argv[:1] != ["-m"]:
      raise wrong from None
    print(wrong, file=sys.stderr)
    sys.exit(2)
