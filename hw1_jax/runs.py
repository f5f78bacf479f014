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
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import jax
import numpy as np

CHECKED = ("config.json", "metrics.jsonl", "result.npz", "summary.json")  # SHA-256 in provenance
STATUSES = ("running", "finished", "interrupted", "failed")  # of provenance.json
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
    **dict.fromkeys(
      (errno.ENOSPC, errno.EDQUOT, errno.EFBIG),
      "free some space or choose another --workdir, then repeat the command",
    ),
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
  except (ValueError, OSError, RecursionError) as error:
    raise damaged(path, error) from None


def damaged(path: Path, reason: Any) -> RunError:
  """Returns the error to raise for a file that is not what the run wrote."""
  lines = str(reason).splitlines() or [type(reason).__name__]
  advice = "repeat the run with --overwrite"
  if path.name == "config.json":  # nothing is lost: checkpoint and provenance know its content
    advice = "delete it and repeat the run's command"
  return RunError(f"{path} is damaged ({lines[0][:200]}); {advice}")


def checksum(path: Path) -> str:
  """Returns the SHA-256 (hex) of a file; RunError when it cannot be read."""
  try:
    with open(path, "rb") as file:
      return hashlib.file_digest(file, "sha256").hexdigest()
  except OSError as error:
    raise RunError(f"cannot read {path}: {error.strerror or error}") from None


def write_result(path: Path, result: Any) -> None:
  """Writes a NamedTuple of arrays, or of dicts of arrays, as .npz.

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
  except Exception as error:  # zipfile, zlib and numpy raise a dozen kinds for foreign bytes
    raise damaged(path, error) from None


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
      lock = open(self.path / ".lock", "a+", errors="replace")  # noqa: SIM115 closed below
    except OSError as error:
      raise cannot_write(self.path, error) from None
    with lock:  # closing the file gives the lock back, however the process ends
      self._take(lock)
      self._sweep()
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
    holder = f"host {socket.gethostname()}, process {os.getpid()}"
    with contextlib.suppress(OSError):  # only a message needs it; close() has no buffer to flush
      os.ftruncate(lock.fileno(), 0)
      os.write(lock.fileno(), holder.encode())

  def _sweep(self) -> None:
    """Removes the temporary files of killed processes; nobody else writes here now."""
    for path in (*self.path.glob(".*.tmp"), *self.path.glob("*/.*.tmp")):
      with contextlib.suppress(OSError):
        path.unlink()

  def _refuse_other_config(self, old: Any, new: dict[str, Any], defaults: dict[str, Any]) -> None:
    if not isinstance(old, dict):
      raise damaged(self.path / "config.json", "not an object of settings")
    old = {**defaults, **old}
    names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    if names:
      changes = ", ".join(f"--{n} (there {old.get(n)}, now {new.get(n)})" for n in names)
      raise RunError(
        f"{self.path} holds a run with other settings: {changes}; "
        "use --overwrite to replace it or another --workdir"
      )

  def _clear(self) -> None:
    names = ("provenance.json", "checkpoint.msgpack", "checkpoint.previous.msgpack", "result.npz",
             "run.flags", "metrics.jsonl", "summary.json")  # fmt: skip
    paths = [self.path / name for name in names]
    paths += [*self.path.glob("figures/*.svg"), *self.path.glob("figures/*.png")]
    paths += self.path.glob("tables/*.csv")
    paths += [self.path / "config.json"]  # last: until then it says whose the rest is
    try:
      for path in paths:
        path.unlink(missing_ok=True)
    except OSError as error:
      raise cannot_write(path, error) from None

  def provenance(self) -> dict[str, Any]:
    """Returns the content of provenance.json; RunError when it is missing or damaged."""
    path = self.path / "provenance.json"
    content = read_json(path)
    if not isinstance(content, dict) or content.get("status") not in STATUSES:
      raise damaged(path, "it does not say how the run stands")
    return content

  def finished(self) -> bool:
    """Returns whether the run is complete: provenance says so and its files are there.

    Raises:
      RunError: it is complete and damaged, so that running again would replace what is left.
    """
    result, path = self.path / "result.npz", self.path / "provenance.json"
    try:
      status = self.provenance()["status"]
    except RunError:
      if path.exists() and result.exists() and not list(self.path.glob("checkpoint*.msgpack")):
        raise
      return False  # nothing to lose, or a checkpoint to go on from
    needed = (result, self.path / "summary.json")
    if status != "finished" or not all(path.is_file() for path in needed):
      return False
    self.verify(CHECKED)
    return True

  def verify(self, names: Iterable[str]) -> None:
    """Raises RunError unless the files have the SHA-256 sums in provenance.json, where it has."""
    content = self.provenance()
    sums = content.get("checksums")
    if not isinstance(sums, dict) or "result.npz" not in sums:
      if content["status"] == "finished":
        raise damaged(self.path / "provenance.json", "no SHA-256 of result.npz")
      raise RunError(f"{self.path} holds no result yet; repeat its command without --figures_only")
    for name in names:
      if name in sums and checksum(self.path / name) != sums[name]:
        raise damaged(self.path / name, "its SHA-256 is not the one in provenance.json")

  def checksums(self, *names: str) -> dict[str, str]:
    """Returns {name: SHA-256} of files of the folder; RunError when one cannot be read."""
    return {name: checksum(self.path / name) for name in names}

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
