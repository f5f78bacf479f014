"""hw1 report, verify and export: runs shown and checked, and their weights for other programs."""

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from hw1_jax.command.catalog import guess, names
from hw1_jax.errors import UserError
from hw1_jax.runs.files import write_bytes


def report(arguments: Sequence[str]) -> int:
  """Writes the page of a folder of runs, or of one run folder into it; prints its path."""
  from hw1_jax.report.main import main

  if len(arguments) != 1 or arguments[0].startswith("-"):
    return main(arguments)
  folder = Path(arguments[0]).expanduser()
  if not (folder / "provenance.json").is_file():
    _require_runs(folder)
    return main([str(folder)])
  with _called_after_its_experiment(folder) as above, contextlib.redirect_stdout(None):
    code = main([str(above)])
    page = above / "report.html"
    content = page.read_bytes() if code == 0 else b""
  if content:
    write_bytes(folder / "report.html", content)
    print(folder / "report.html")
  return code


def verify(arguments: Sequence[str]) -> int:
  """Prints every check of a folder of runs, or of one run folder; returns 1 if one disagrees."""
  from hw1_jax.report.main import say_verification

  if len(arguments) != 1 or arguments[0].startswith("-"):
    raise UserError("verify: expected one folder of runs, or one run folder")
  folder = Path(arguments[0]).expanduser()
  if (folder / "provenance.json").is_file():
    with _called_after_its_experiment(folder) as above:
      return say_verification(above)
  _require_runs(folder)
  return say_verification(folder)


def _require_runs(folder: Path) -> None:
  """Raises UserError for a folder without run folders, which may be one too high."""
  if any(folder.glob("*/provenance.json")):
    return
  below = sorted({str(path.parent.parent) for path in folder.glob("*/*/provenance.json")})
  remedy = f"name {' or '.join(below[:3])}" if below else "name a folder such as results/quick"
  raise UserError(f"{folder} holds no run", remedy=remedy)


@contextlib.contextmanager
def _called_after_its_experiment(folder: Path) -> Iterator[Path]:
  """Yields a folder of runs that has this one only, by the name that pages know it by."""
  name = _experiment(folder)
  with tempfile.TemporaryDirectory() as place:
    above = Path(place, folder.resolve().parent.name or "runs")
    above.mkdir()
    (above / name).symlink_to(folder.resolve())
    yield above


def _experiment(folder: Path) -> str:
  from hw1_jax.runs.folder import RunFolder

  name = str(RunFolder(folder).provenance().get("experiment"))
  if name not in names():
    raise UserError(f"{folder} holds a run of {name[:80]!r}, which is no experiment here")
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
