"""Compiled programs, kept between runs: most of a short run's time is compiling."""

import contextlib
import hashlib
import os
import platform
import sys
import warnings
from pathlib import Path

import jax

MOST_BYTES = 512 * 2**20  # our choice: several times what all experiments' quick runs leave


def keep_programs(folder: Path | None) -> None:
  """Has JAX keep its compiled programs in `folder`; none: in the virtual environment, if in one.

  A cache that the user has set for JAX, in the environment or in Python, stays as it is. Programs
  of other processors are not used: the folder has one below it for each kind. What has not been
  used for longest is deleted where the folder has grown over MOST_BYTES.
  """
  if folder is None:
    if jax.config.values["jax_compilation_cache_dir"] is not None or sys.prefix == sys.base_prefix:
      return
    folder = Path(sys.prefix) / "jax_cache"
    with contextlib.suppress(OSError):
      folder.mkdir(exist_ok=True)
    if not os.access(folder, os.W_OK):
      return
  folder = folder / processor()
  prune(folder, MOST_BYTES)
  jax.config.update("jax_compilation_cache_dir", str(folder))
  jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
  # An entry that a kill cut short is compiled again, without a word of it.
  warnings.filterwarnings("ignore", "Error (reading|writing) persistent compilation cache")


def processor() -> str:
  """Returns a name of this kind of processor: a program may use instructions that another lacks."""
  described = platform.machine() + platform.processor()
  with contextlib.suppress(OSError):
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    described += "".join(
      sorted({line for line in lines if line.startswith(("model name", "flags"))})
    )
  return hashlib.sha256(described.encode()).hexdigest()[:12]


def prune(folder: Path, most_bytes: int) -> None:
  """Deletes the programs of a folder that were used longest ago, until the rest fit."""
  found = []
  for path in folder.glob("*-cache"):
    with contextlib.suppress(OSError):  # another process prunes, too
      status = path.stat()
      found.append((max(status.st_atime, status.st_mtime), status.st_size, path))
  kept = 0
  for _, size, path in sorted(found, reverse=True):
    kept += size
    if kept > most_bytes:
      with contextlib.suppress(OSError):
        path.unlink()
