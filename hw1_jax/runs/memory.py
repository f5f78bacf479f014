"""Whether a computation fits into memory, asked before it starts."""

import os
from pathlib import Path
from typing import NamedTuple

import jax

from hw1_jax.errors import UserError, show

GB = 1e9


class Need(NamedTuple):
  """What one process needs at its peak beside the program itself."""

  num_bytes: float
  setting: str  # the one that decides it
  value: str  # of that setting
  what: str  # such as "exact Hessians of 7501 parameters on 2 devices"
  instead: str  # what to do where it does not fit


def check(need: Need, max_memory_gb: float | None) -> None:
  """Raises UserError where a need exceeds `max_memory_gb`, or what is free without it."""
  if max_memory_gb is None:
    limit, source = float(available_bytes()), "free here (max_memory_gb=NUMBER sets another limit)"
  else:
    limit, source = max_memory_gb * GB, f"set by max_memory_gb={max_memory_gb:g}"
  if need.num_bytes > limit:
    raise UserError(
      need.setting,
      show(need.value),
      f"what fits into {limit / GB:.3g} GB, {source}; {need.what} need about "
      f"{need.num_bytes / GB:.3g} GB",
      need.instead,
    )


def available_bytes() -> int:
  """Returns the bytes that a new computation can take: on the device, or of the host's memory.

  On the host the least of what the kernel calls available, of the control group's limit less its
  use, and of the physical memory.
  """
  stats = jax.local_devices()[0].memory_stats() if jax.default_backend() != "cpu" else None
  if stats and "bytes_limit" in stats:
    return stats["bytes_limit"] - stats.get("bytes_in_use", 0)
  bounds = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
  for line in _lines("/proc/meminfo"):
    if line.startswith("MemAvailable:"):
      bounds.append(int(line.split()[1]) * 1024)
  for limit, used in (
    ("memory.max", "memory.current"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
  ):
    values = [_lines(f"/sys/fs/cgroup/{name}") for name in (limit, used)]
    if all(value and value[0].isdecimal() for value in values):
      bounds.append(int(values[0][0]) - int(values[1][0]))
  return max(min(bounds), 0)


def _lines(path: str) -> list[str]:
  try:
    return Path(path).read_text().splitlines()
  except OSError:
    return []
