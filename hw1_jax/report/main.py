"""The command line: a folder of runs, or a run's own, -> its page; two folders -> what differs.

python -m hw1_jax.report results/quick [--format=html|markdown|pdf]
python -m hw1_jax.report results/quick/gradient_norm
python -m hw1_jax.report results/quick --verify
python -m hw1_jax.report results/one results/other
"""

import argparse
import contextlib
import io
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from hw1_jax.errors import UserError
from hw1_jax.report import compare, markdown, page
from hw1_jax.report.places import folder_of_runs
from hw1_jax.runs.files import write_bytes

CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "chrome")
EXPECTED = "expected a folder of runs, such as results/quick, that can be written"


class Parser(argparse.ArgumentParser):
  """Complains in one line."""

  def error(self, message: str) -> NoReturn:
    print(f"usage: python -m hw1_jax.report results/PROFILE [results/OTHER] [--verify]"
          f" [--format=html|markdown|pdf]: {message}", file=sys.stderr)  # fmt: skip
    raise SystemExit(2)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
  parser = Parser(prog="python -m hw1_jax.report", allow_abbrev=False, description=__doc__,
                  formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
  parser.add_argument("folder", type=Path)
  parser.add_argument("other", type=Path, nargs="?", help="compare with this folder")
  parser.add_argument("--verify", action="store_true", help="recompute what a minute allows")
  parser.add_argument("--format", choices=("html", "markdown", "pdf"), default="html")
  parsed = parser.parse_args(list(arguments))
  if parsed.other is not None and (parsed.verify or parsed.format != "html"):
    parser.error("two folders are compared: give neither --verify nor --format")
  return parsed


def write(folder: Path, format: Any) -> Path:
  """Writes the page of a folder of runs, or of a run into its own folder; returns its path."""
  with folder_of_runs(folder) as runs:
    made: Path = format.build(runs)
    if runs == folder:
      return made
    (run,) = (path.name for path in runs.iterdir() if path.is_symlink())
    content = made.read_bytes().replace(f"]({run}/".encode(), b"](")  # markdown's figures
    write_bytes(folder / made.name, content)
    return folder / made.name


def write_pdf(folder: Path) -> Path | None:
  """Writes the page and prints it to report.pdf by Chromium; None where there is no Chromium."""
  found = next((path for name in CHROMIUM if (path := shutil.which(name))), None)
  if found is None:
    return None
  source, target = write(folder, page), folder / "report.pdf"
  sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []  # root has none
  command = [found, "--headless", "--disable-gpu", *sandbox, "--no-pdf-header-footer",
             f"--print-to-pdf={target.absolute()}", source.absolute().as_uri()]  # fmt: skip
  done = subprocess.run(command, capture_output=True, timeout=300)
  if done.returncode or not target.is_file():
    raise OSError(5, f"{found} wrote no PDF (exit code {done.returncode})", str(target))
  return target


def say_verification(folder: Path) -> int:
  """Prints every check of a folder and returns 1 if one disagrees, else 0."""
  from hw1_jax.report import verify  # needs the experiments and JAX, the page does not

  with folder_of_runs(folder) as runs:
    checks = verify.verify(runs)
  for check in checks:
    print(f"{check.experiment}: {check.outcome}: {check.what}")
  outcomes = (verify.AGREES, verify.DISAGREES, verify.UNCHECKED)
  counts = [sum(check.outcome == outcome for check in checks) for outcome in outcomes]
  print(", ".join(f"{count} {outcome}" for count, outcome in zip(counts, outcomes)))
  return 1 if counts[1] else 0


def main(arguments: Sequence[str]) -> int:
  """Does what the arguments ask; returns 0, 1 where a check disagrees, 2 where it cannot.

  Who reads the lines may go before the last one (`| head`): the rest is not said, the code stays.
  """
  told = Told()
  with contextlib.redirect_stdout(told):
    code = run(arguments)
  told.pour()
  return code


class Told(io.StringIO):
  """What is said on stdout, written at the end: a reader who has gone changes no outcome."""

  def pour(self) -> None:
    try:
      print(self.getvalue(), end="", flush=True)
    except BrokenPipeError:
      # Python flushes once more as it ends, and would complain: into nothing then.
      os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def run(arguments: Sequence[str]) -> int:
  """Does what the arguments ask, and returns the exit code."""
  try:
    parsed = parse(arguments)
  except SystemExit as stop:
    return stop.code if isinstance(stop.code, int) else 2
  try:
    if parsed.other is not None:
      found = compare.compare(parsed.folder, parsed.other)
      print("\n".join(compare.lines(found, (str(parsed.folder), str(parsed.other)))))
    elif parsed.verify:
      return say_verification(parsed.folder)
    elif parsed.format == "pdf":
      path = write_pdf(parsed.folder)
      if path is None:
        print("--format=pdf: no Chromium on the PATH; install it, or print report.html from any"
              " browser", file=sys.stderr)  # fmt: skip
        return 2
      print(path)
    else:
      print(write(parsed.folder, markdown if parsed.format == "markdown" else page))
  except UserError as error:
    print(error, file=sys.stderr)
    return 2
  except OSError as error:
    name = error.filename or parsed.folder  # a failed write does not say where
    print(f"{name}: {error.strerror}; {EXPECTED}", file=sys.stderr)
    return 2
  return 0
