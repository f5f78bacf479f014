"""What a number may depend on besides the settings: versions, device, threads, commit."""

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import jax

PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy", "scikit-learn", "matplotlib")


def usable_cores() -> int:
  """Returns how many processor cores this process may use."""
  if hasattr(os, "sched_getaffinity"):
    return len(os.sched_getaffinity(0))
  return os.cpu_count() or 1


def environment() -> dict[str, Any]:
  """Returns what a number may depend on besides the settings: versions, device, threads, commit."""
  devices = jax.devices()
  versions = {name: importlib.metadata.version(name) for name in PACKAGES}
  return {
    "versions": versions,
    "python": platform.python_version(),
    "platform": platform.platform(),
    "processor": _processor(),
    "device": {
      "backend": jax.default_backend(),
      "kind": devices[0].device_kind,
      "count": len(devices),
    },
    "processes": jax.process_count(),
    "threads": int(os.environ.get("NPROC") or len(os.sched_getaffinity(0))),
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
  root = Path(__file__).resolve().parent.parent
  command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40"]
  try:
    done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
  except (OSError, subprocess.SubprocessError):
    return None
  return done.stdout.strip() or None
