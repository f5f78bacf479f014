"""hw1 verify and hw1 export: finished runs checked, and their weights for other programs."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from hw1_jax.command.catalog import guess, names
from hw1_jax.errors import UserError


def verify(arguments: Sequence[str]) -> int:
  """Prints every check of a folder of runs, or of one run folder; returns 1 if one disagrees."""
  from hw1_jax.report.main import say_verification

  if len(arguments) != 1 or arguments[0].startswith("-"):
    raise UserError("verify: expected one folder of runs, or one run folder")
  folder = Path(arguments[0]).expanduser()
  if not (folder / "provenance.json").is_file():
    if not folder.is_dir() or not any(folder.glob("*/provenance.json")):
      raise UserError(
        f"verify: {folder} holds no run", remedy="name a folder such as results/quick"
      )
    return say_verification(folder)
  with tempfile.TemporaryDirectory() as above:  # where the run is called after its experiment
    there = Path(above, folder.resolve().parent.name or "runs")
    there.mkdir()
    (there / _experiment(folder)).symlink_to(folder.resolve())
    return say_verification(there)


def _experiment(folder: Path) -> str:
  from hw1_jax.runs.folder import RunFolder

  name = str(RunFolder(folder).provenance().get("experiment"))
  if name not in names():
    raise UserError(f"verify: {folder} holds a run of {name[:80]!r}, which is no experiment here")
  return name


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
