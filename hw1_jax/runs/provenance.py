"""What a number may depend on besides the settings: versions, device, threads, commit."""

import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import jax

from hw1_jax.errors import UserError, show
from hw1_jax.runs.circumstances import code_sha256, variables, versions
from hw1_jax.runs.experiment import Experiment
from hw1_jax.runs.files import write_json
from hw1_jax.runs.folder import RunFolder
from hw1_jax.runs.processes import is_writer


def usable_cores() -> int:
  """Returns how many processor cores this process may use."""
  if hasattr(os, "sched_getaffinity"):
    return len(os.sched_getaffinity(0))
  return os.cpu_count() or 1


def threads() -> int:
  """Returns how many threads XLA takes on CPU: NPROC, or the usable cores."""
  text = os.environ.get("NPROC", "").strip()
  if not text:
    return usable_cores()
  if not (text.isascii() and text.isdecimal() and 1 <= len(text) <= 7 and int(text) >= 1):
    raise UserError("the environment variable NPROC", show(text), "a whole number of at least 1")
  return int(text)


def environment(experiment: Experiment | None = None) -> dict[str, Any]:
  """Returns what a number may depend on besides the settings: versions, device, threads, commit."""
  devices = jax.devices()
  return {
    "versions": versions(),
    "variables": variables(),
    **({"code_sha256": code_sha256(experiment)} if experiment else {}),
    "x64": bool(jax.config.values["jax_enable_x64"]),
    "python": platform.python_version(),
    "platform": platform.platform(),
    "processor": _processor(),
    "device": {
      "backend": jax.default_backend(),
      "kind": devices[0].device_kind,
      "count": len(devices),
    },
    "processes": jax.process_count(),
    "threads": threads(),
    "git_commit": _git_commit(),
  }


def _processor() -> str:
  try:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
  except OSError:
    return platform.processor()
  names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
  return names[0] if names else platform.processor()


def _git_commit() -> str | None:
  """Returns the commit of the checkout that this code belongs to; None for any other copy.

  A copy that is installed or unpacked may lie within somebody else's repository.
  """
  root = Path(__file__).resolve().parents[2]
  here = Path(__file__).resolve().relative_to(root)
  top = _git(root, "rev-parse", "--show-toplevel")
  tracked = _git(root, "ls-files", "--error-unmatch", "--", str(here))
  if top is None or tracked is None or Path(top).resolve() != root:
    return None
  return _git(root, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")


def _git(root: Path, *arguments: str) -> str | None:
  # A variable such as GIT_DIR would make git speak of another repository.
  environment = {name: value for name, value in os.environ.items() if name[:4] != "GIT_"}
  try:
    done = subprocess.run(
      ["git", "-C", str(root), *arguments],
      capture_output=True,
      text=True,
      timeout=10,
      check=True,
      env=environment,
    )
  except (OSError, ValueError, subprocess.SubprocessError):
    return None
  return done.stdout.strip() or None


class Record:
  """provenance.json, kept at what is true of a run; of several processes the writer keeps it."""

  def __init__(self, folder: RunFolder, facts: dict[str, Any]):
    self.folder, self.facts = folder, facts

  def update(self, **facts: Any) -> None:
    """Adds facts and writes the file; UserError where it cannot be written."""
    self.facts |= facts
    if is_writer():
      write_json(self.folder.path / "provenance.json", self.facts)
