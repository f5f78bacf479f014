"""hw1 report, verify and export: runs shown and checked, and their weights for other programs."""

from collections.abc import Sequence
from pathlib import Path

from hw1_jax.command.catalog import guess
from hw1_jax.errors import UserError


def report(arguments: Sequence[str]) -> int:
  """Writes the page of a folder of runs, or of one run folder into it; prints its path."""
  from hw1_jax.report.main import main

  if len(arguments) == 1 and not arguments[0].startswith("-"):
    _require_runs(Path(arguments[0]).expanduser())
  return main(arguments)


def verify(arguments: Sequence[str]) -> int:
  """Prints every check of a folder of runs, or of one run folder; returns 1 if one disagrees."""
  from hw1_jax.report.main import say_verification

  if len(arguments) != 1 or arguments[0].startswith("-"):
    raise UserError("verify: expected one folder of runs, or one run folder")
  folder = Path(arguments[0]).expanduser()
  _require_runs(folder)
  return say_verification(folder)


def _require_runs(folder: Path) -> None:
  from hw1_jax.report.places import require_runs

  if not (folder / "provenance.json").is_file():
    require_runs(folder)


def export(arguments: Sequence[str]) -> int:
  """Writes the weights of run folders, in the format that --format names, and prints the paths."""
  from hw1_jax.runs import flags, weights

  folders, format = [], "npz"
  for argument in arguments:
    flag, equals, value = argument.partition("=")
    if not argument.startswith("-"):
      folders.append(Path(argument).expanduser())
    elif flag != "--format":
      near = guess(flag, ["--format"]) if equals else "; expected --format=NAME"
      raise UserError(f"export: no flag {flag[:80]}{near}")
    elif value not in weights.FORMATS:
      raise UserError(f"--format: no format {value[:80]!r}{guess(value, weights.FORMATS)}")
    else:
      format = value
  if not folders:
    raise UserError("export: expected a run folder, such as results/quick/gradient_norm")
  for folder in folders:
    try:
      written = weights.export(folder, format)
    except UserError as error:
      raise UserError(flags.as_flags(str(error), ["format", "overwrite"])) from None
    print("\n".join(map(str, written)))
  return 0
