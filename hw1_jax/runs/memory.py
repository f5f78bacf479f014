"""Whether a computation fits into memory, asked before it starts."""

import os
import resource
from collections.abc import Iterator, Sequence
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


def check(needs: Sequence[Need], max_memory_gb: float | None) -> None:
  """Raises UserError where a need exceeds `max_memory_gb`, or what is free without it."""
  if not needs:
    return
  if max_memory_gb is None:
    limit, source = float(available_bytes()), "free here (max_memory_gb=NUMBER sets another limit)"
  else:
    limit, source = max_memory_gb * GB, f"set by max_memory_gb={max_memory_gb:g}"
  for need in needs:
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

  On the host the least of what the kernel calls available, of the physical memory, of the limits of
  this process (`ulimit -v`, `-d`) less what it has, and of the limit of each control group that it
  is in, less that group's use.
  """
  stats = jax.local_devices()[0].memory_stats() if jax.default_backend() != "cpu" else None
  if stats and "bytes_limit" in stats:
    return stats["bytes_limit"] - stats.get("bytes_in_use", 0)
  bounds = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
  for line in _lines("/proc/meminfo"):
    if line.startswith("MemAvailable:"):
      bounds.append(int(line.split()[1]) * 1024)
  return max(min(bounds + list(_limits()) + list(_control_groups())), 0)


def _limits() -> Iterator[int]:
  """Yields what the limits of this process leave of address space and of data."""
  used = {line.split(":")[0]: line.split()[1] for line in _lines("/proc/self/status")
          if line.startswith(("VmSize:", "VmData:"))}  # fmt: skip
  for limit, name in ((resource.RLIMIT_AS, "VmSize"), (resource.RLIMIT_DATA, "VmData")):
    soft = resource.getrlimit(limit)[0]
    if soft != resource.RLIM_INFINITY:
      yield soft - int(used.get(name, 0)) * 1024


def _control_groups(root: str = "/sys/fs/cgroup", own: str = "/proc/self/cgroup") -> Iterator[int]:
  """Yields what each control group of this process leaves, up to the root; version 2 and 1."""
  for line in _lines(own):
    _, _, rest = line.partition(":")
    controllers, _, path = rest.partition(":")
    if controllers == "":
      base, limit, used = Path(root), "memory.max", "memory.current"
    elif "memory" in controllers.split(","):
      base, limit, used = Path(root, "memory"), "memory.limit_in_bytes", "memory.usage_in_bytes"
    else:
      continue
    group = base / path.lstrip("/")
    for folder in (group, *group.parents):
      values = [_lines(str(folder / name)) for name in (limit, used)]
      if all(value and value[0].isdecimal() for value in values):
        yield int(values[0][0]) - int(values[1][0])
      if folder == base:
        break


def _lines(path: str) -> list[str]:
  try:
    return Path(path).read_text().splitlines()
  except OSError:
    return []
