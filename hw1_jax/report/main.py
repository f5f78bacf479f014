"""The command line: a folder of runs -> its page.

python -m hw1_jax.report results/quick
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from hw1_jax.report.page import build


def main(arguments: Sequence[str]) -> int:
  if len(arguments) != 1 or arguments[0].startswith("-"):
    print("usage: python -m hw1_jax.report results/PROFILE", file=sys.stderr)
    return 2
  try:
    print(build(Path(arguments[0])))
  except OSError as error:
    name = error.filename or arguments[0]  # a failed write does not say where
    print(f"{name}: {error.strerror}; expected a folder of runs, such as results/quick, that can be"
          " written", file=sys.stderr)  # fmt: skip
    return 2
  return 0
