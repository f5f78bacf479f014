"""What a number depends on besides the settings: pinned where that is possible, else compared.

A seed gives the same numbers only for the same precision, random generator, code, versions and
data. `pin` sets what JAX would take from its own environment variables. `strict` is what cannot be
set: it is recorded in the checkpoint, compared before a run is resumed, and compared between the
processes of a run.
"""

import functools
import hashlib
import importlib.metadata
import importlib.util
import inspect
import os
import platform
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import jax

from hw1_jax import own
from hw1_jax.runs.experiment import Experiment

PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy", "scipy", "scikit-learn", "matplotlib")
NOT_COMPUTING = ("matplotlib",)  # draws, and may be changed between two attempts
# JAX's own defaults. A user's JAX_... variables would change seeded draws, precision or promotion.
PINNED = {
  "jax_default_prng_impl": "threefry2x32",
  "jax_threefry_partitionable": True,
  "jax_random_seed_offset": 0,
  "jax_enable_custom_prng": False,
  "jax_legacy_prng_key": "allow",
  "jax_high_dynamic_range_gumbel": False,
  "jax_default_matmul_precision": None,
  "jax_numpy_dtype_promotion": "standard",
  "jax_numpy_rank_promotion": "allow",
  "jax_softmax_custom_jvp": False,
  "jax_allow_f16_reductions": True,
  "jax_disable_jit": False,
  "jax_disable_most_optimizations": False,
  "jax_optimization_level": "UNKNOWN",
  "jax_exec_time_optimization_effort": 0.0,
  "jax_memory_fitting_level": "O2",
  "jax_memory_fitting_effort": 0.0,
  "jax_debug_nans": False,
  "jax_debug_infs": False,
  "jax_no_tracing": False,
  "jax_no_execution": False,
  "jax_transfer_guard": None,
}
VARIABLES = ("XLA_FLAGS", "NVIDIA_TF32_OVERRIDE", "LIBTPU_INIT_ARGS")  # of others, that may count


def pin(experiment: Experiment) -> None:
  """Sets what JAX's numbers depend on, whatever the environment says."""
  for name, value in PINNED.items():
    jax.config.update(name, value)
  jax.config.update("jax_enable_x64", experiment.x64)


@functools.cache
def versions() -> dict[str, str]:
  """Returns {package: version} of what computes and draws; read once in a process."""
  return {name: importlib.metadata.version(name) for name in PACKAGES}


def variables() -> dict[str, str]:
  """Returns the environment variables that may change numbers and cannot be pinned."""
  return {name: os.environ[name] for name in VARIABLES if os.environ.get(name)}


def strict(
  experiment: Experiment, config: Any = None, data_sha256: str | None = None
) -> dict[str, str]:
  """Returns {what: value} of what must stay the same from a run's first step to its last."""
  found = {name: text for name, text in versions().items() if name not in NOT_COMPUTING}
  found |= variables()
  found["python"] = ".".join(platform.python_version_tuple()[:2])
  found["code"] = code_sha256(experiment)[:12]
  if config is not None and (mine := own_sha256(vars(config).values())):
    found["your code"] = mine[:12]
  found["backend"] = jax.default_backend()
  if data_sha256 is not None:
    found["data"] = data_sha256[:12]
  return found


def code_sha256(experiment: Experiment) -> str:
  """Returns the SHA-256 (hex) of the code that computes: ours and the experiment's, not drawing.

  Read once in a process, as the code itself is.
  """
  return _code_sha256(Path(inspect.getfile(inspect.unwrap(experiment.run))).resolve())


@functools.cache
def _code_sha256(mine: Path) -> str:
  digest = hashlib.sha256()
  for path in _sources(mine):
    content = path.read_bytes().replace(b"\r\n", b"\n")
    digest.update(path.name.encode() + b"\0" + hashlib.sha256(content).digest())
  return digest.hexdigest()


def own_sha256(settings: Iterable[Any]) -> str:
  """Returns the SHA-256 (hex) of the modules that settings' values name; '' where none does.

  Of a package it is the code of the module named, not of what that imports.
  """
  texts = (t for value in settings for t in (value if isinstance(value, tuple) else (value,)))
  modules = {
    t.partition(":")[0] for t in texts if isinstance(t, str) and re.fullmatch(own.NAME[0], t)
  }
  digest, found = hashlib.sha256(), False
  for module in sorted(modules):
    try:
      place = importlib.util.find_spec(module)
    except (ImportError, ValueError):
      continue  # `own.load` says what is wrong
    if place and place.origin and place.has_location:
      content = Path(place.origin).read_bytes().replace(b"\r\n", b"\n")
      digest.update(module.encode() + b"\0" + content)
      found = True
  return digest.hexdigest() if found else ""


def _sources(mine: Path) -> Iterator[Path]:
  """Yields our files that compute, and those of the experiment whose `run` stands in `mine`."""
  package = Path(__file__).resolve().parents[1]
  for path in sorted(package.rglob("*.py")):
    if path.relative_to(package).parts[0] not in ("report", "command", "experiments"):
      yield path
  if not (mine.parent / "__init__.py").exists():
    yield mine
    return
  for path in (*sorted(mine.parent.glob("*.py")), mine.parent.parent / "settings.py"):
    if path.stem not in ("figures", "findings") and path.exists():
      yield path


def differences(old: dict[str, Any], new: dict[str, Any]) -> str:
  """Returns what differs between two records, 'jax 0.9 there, 0.10 now'; '' where nothing does."""
  names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
  return ", ".join(
    f"{name} {old.get(name, 'none')} there, {new.get(name, 'none')} now" for name in names
  )
