"""Run folders: what an experiment leaves on disk, and how it takes up where it stopped.

    config.json  run.flags  provenance.json  metrics.jsonl  checkpoint.msgpack
    result.npz   summary.json  figures/*.svg *.png  tables/*.csv

Every file is written beside its place and then renamed, so a reader sees the old or the new one,
never half of one. Only metrics.jsonl grows in place; the checkpoint knows its length.
"""

import contextlib
import csv
import errno
import fcntl
import hashlib
import importlib.metadata
import io
import json
import math
import os
import platform
import socket
import subprocess
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import jax
import numpy as np

PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy", "scikit-learn", "matplotlib")


class RunError(Exception):
  """A run folder that cannot be used or written: one line with what to do."""


def write_bytes(path: Path, content: bytes) -> None:
  """Writes a file whole or not at all: temporary file, fsync, rename. RunError if it cannot."""
  temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
  try:
    with open(temporary, "wb") as file:
      file.write(content)
      file.flush()
      os.fsync(file.fileno())
    os.replace(temporary, path)
  except OSError as error:
    with contextlib.suppress(OSError):
      temporary.unlink(missing_ok=True)
    raise cannot_write(path, error) from None


def cannot_write(path: Path, error: OSError) -> RunError:
  """Returns the error to raise for a file that could not be written."""
  advice = {
    errno.ENOSPC: "free some space or choose another --workdir, then repeat the command",
    errno.ENOENT: "the folder is gone or cannot be made; repeat the command or choose another "
    "--workdir",
  }.get(error.errno or 0, "choose a --workdir that you may write to")
  return RunError(f"cannot write {path}: {error.strerror or error}; {advice}")


def write_json(path: Path, value: Any) -> None:
  """Writes JSON, indented; NaN and infinity become null (JSON has neither)."""
  text = json.dumps(jsonable(value), indent=2, ensure_ascii=False, allow_nan=False)
  write_bytes(path, (text + "\n").encode())


def jsonable(value: Any) -> Any:
  """Returns `value` in JSON's types; NaN and infinity as None."""
  if isinstance(value, dict):
    return {str(key): jsonable(entry) for key, entry in value.items()}
  if isinstance(value, list | tuple):
    return [jsonable(entry) for entry in value]
  if isinstance(value, np.ndarray):
    return jsonable(value.tolist())
  if isinstance(value, np.generic):
    value = value.item()
  if isinstance(value, float) and not math.isfinite(value):
    return None
  return value


def read_json(path: Path) -> Any:
  """Returns the content of a JSON file; RunError when it is missing or damaged."""
  try:
    return json.loads(path.read_text(encoding="utf-8"))
  except FileNotFoundError:
    raise RunError(f"{path} is missing; run the experiment first") from None
  except (ValueError, OSError) as error:
    reason = str(error).splitlines()[0]
    raise RunError(f"{path} is damaged ({reason}); repeat the run with --overwrite") from None


def write_result(path: Path, result: Any) -> str:
  """Writes a NamedTuple of arrays, or of dicts of arrays, as .npz and returns its SHA-256.

  A dict field becomes the entries "field/key".
  """
  arrays: dict[str, np.ndarray] = {}
  for field, value in result._asdict().items():
    if isinstance(value, dict):
      arrays |= {f"{field}/{key}": np.asarray(entry) for key, entry in value.items()}
    else:
      arrays[field] = np.asarray(value)
  buffer = io.BytesIO()
  np.savez_compressed(buffer, allow_pickle=False, **arrays)
  write_bytes(path, buffer.getvalue())
  return hashlib.sha256(buffer.getvalue()).hexdigest()


def read_result(path: Path, kind: type) -> Any:
  """Returns the NamedTuple `kind` from an .npz; RunError when it is missing, damaged or foreign."""
  arrays: dict[str, Any] = {}
  try:
    with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
      for name in file.files:
        field, _, key = name.partition("/")
        if key:
          arrays.setdefault(field, {})[key] = file[name]
        else:
          arrays[field] = file[name]
    return kind(**arrays)
  except FileNotFoundError:
    raise RunError(f"{path} is missing; run the experiment first") from None
  except (ValueError, OSError, EOFError, TypeError, KeyError, NotImplementedError,
          AttributeError, zipfile.BadZipFile, zlib.error) as error:  # fmt: skip
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    raise RunError(f"{path} is damaged ({reason}); repeat the run with --overwrite") from None


def write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
  """Writes rows that share their keys as CSV with a header."""
  text = io.StringIO()
  writer = csv.DictWriter(text, fieldnames=list(rows[0]) if rows else [], lineterminator="\n")
  writer.writeheader()
  writer.writerows(rows)
  write_bytes(path, text.getvalue().encode())


class RunFolder:
  """One experiment's folder, held by one process at a time."""

  def __init__(self, path: Path):
    self.path = path

  @contextlib.contextmanager
  def hold(
    self, config: dict[str, Any], *, overwrite: bool, new: dict[str, Any] | None = None
  ) -> Iterator[None]:
    """Creates or takes up the folder, and keeps other processes out while the context lasts.

    Args:
      config: the run's settings.
      overwrite: whether to remove the run that is there.
      new: the values that settings had before they existed, for folders from before.

    Raises:
      RunError: it cannot be written, another process holds it, or it holds a run with other
        settings and `overwrite` is not given; the message names the settings that differ.
    """
    try:
      self.path.mkdir(parents=True, exist_ok=True)
      lock = open(self.path / ".lock", "a+")  # noqa: SIM115 closed below
    except OSError as error:
      raise cannot_write(self.path, error) from None
    with lock:  # closing the file gives the lock back, however the process ends
      self._take(lock)
      if overwrite:
        self._clear()
      config_path = self.path / "config.json"
      if config_path.exists():
        self._refuse_other_config(read_json(config_path), jsonable(config), jsonable(new or {}))
      else:
        write_json(config_path, config)
      yield

  def _take(self, lock: IO[str]) -> None:
    try:
      fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
      lock.seek(0)
      holder = lock.read().strip() or "an unknown process"
      raise RunError(
        f"{self.path} is in use by {holder}; wait for it or choose another --workdir"
      ) from None
    lock.truncate(0)
    lock.write(f"host {socket.gethostname()}, process {os.getpid()}")
    lock.flush()

  def _refuse_other_config(self, old: Any, new: dict[str, Any], defaults: dict[str, Any]) -> None:
    if not isinstance(old, dict):
      raise RunError(f"{self.path / 'config.json'} is damaged; repeat the run with --overwrite")
    old = {**defaults, **old}
    names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    if names:
      changes = ", ".join(f"--{n} (there {old.get(n)}, now {new.get(n)})" for n in names)
      raise RunError(
        f"{self.path} holds a run with other settings: {changes}; "
        "use --overwrite to replace it or another --workdir"
      )

  def _clear(self) -> None:
    names = ("config.json", "run.flags", "provenance.json", "metrics.jsonl", "checkpoint.msgpack",
             "checkpoint.previous.msgpack", "result.npz", "summary.json")  # fmt: skip
    paths = [self.path / name for name in names]
    paths += [*self.path.glob("figures/*.svg"), *self.path.glob("figures/*.png")]
    paths += self.path.glob("tables/*.csv")
    try:
      for path in paths:
        path.unlink(missing_ok=True)
    except OSError as error:
      raise cannot_write(path, error) from None

  def finished(self) -> bool:
    """Returns whether the run is complete: provenance says so and its files are there."""
    try:
      provenance = read_json(self.path / "provenance.json")
    except RunError:
      return False
    needed = ("result.npz", "summary.json")
    return (
      isinstance(provenance, dict)
      and provenance.get("status") == "finished"
      and all((self.path / name).is_file() for name in needed)
    )

  def _subfolder(self, name: str) -> Path:
    folder = self.path / name
    try:
      folder.mkdir(exist_ok=True)
    except OSError as error:
      raise cannot_write(folder, error) from None
    return folder

  def write_figures(self, figures: dict[str, Any]) -> None:
    """Saves matplotlib figures as figures/NAME.svg and .png; the same figure, the same bytes."""
    import matplotlib

    folder = self._subfolder("figures")
    for name, figure in figures.items():
      with matplotlib.rc_context({"svg.hashsalt": name}):
        for kind, options in (("svg", {"metadata": {"Date": None}}), ("png", {"dpi": 150})):
          buffer = io.BytesIO()
          figure.savefig(buffer, format=kind, **options)
          write_bytes(folder / f"{name}.{kind}", buffer.getvalue())

  def write_tables(self, tables: dict[str, list[dict[str, Any]]]) -> None:
    """Saves each table as tables/NAME.csv."""
    folder = self._subfolder("tables")
    for name, rows in tables.items():
      write_csv(folder / f"{name}.csv", rows)


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
