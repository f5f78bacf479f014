"""Run folders: what an experiment leaves on disk.

    config.json  run.flags  provenance.json  metrics.jsonl  checkpoint.msgpack
    result.npz   summary.json  figures/*.svg *.png  tables/*.csv

Only metrics.jsonl grows in place; the checkpoint knows its length.
"""

import contextlib
import fcntl
import io
import os
import socket
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

from hw1_jax.errors import UserError
from hw1_jax.runs.files import (
  cannot_write,
  checksum,
  damaged,
  jsonable,
  read_json,
  write_bytes,
  write_csv,
  write_json,
)

CHECKED = ("config.json", "metrics.jsonl", "result.npz", "summary.json")  # SHA-256 in provenance
STATUSES = ("running", "finished", "interrupted", "failed")  # of provenance.json


NONE = object()  # no value, where None is one


class RunFolder:
  """One experiment's folder, held by one process at a time."""

  def __init__(self, path: Path):
    self.path = path

  @contextlib.contextmanager
  def hold(self, config: dict[str, Any], *, overwrite: bool) -> Iterator[None]:
    """Creates or reopens the folder, and keeps other processes out while the context lasts.

    Args:
      config: the run's settings.
      overwrite: whether to remove the run that is there.

    Raises:
      UserError: it cannot be written, another process holds it, or it holds a run with other
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
        self._refuse_other_config(read_json(config_path), jsonable(config))
      else:
        write_json(config_path, config)
      yield

  def _take(self, lock: IO[str]) -> None:
    try:
      fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
      lock.seek(0)
      holder = lock.read().strip() or "an unknown process"
      raise UserError(
        f"{self.path} is in use by {holder}",
        remedy="wait for it or choose another folder, workdir=FOLDER",
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

  def _refuse_other_config(self, old: Any, new: dict[str, Any]) -> None:
    if not isinstance(old, dict):
      raise damaged(self.path / "config.json", "not an object of settings")
    names = [name for name in {**old, **new} if old.get(name, NONE) != new.get(name, NONE)]
    if names:
      there, now = (
        " ".join(f"{name}={_as_text(settings[name])}" for name in names if name in settings)
        for settings in (old, new)
      )
      raise UserError(
        f"{self.path} holds a run with other settings",
        now or "none of these",
        there or "none of these",
        "replace it by overwrite=true or choose another folder, workdir=FOLDER",
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
    """Returns the content of provenance.json; UserError when it is missing or damaged."""
    path = self.path / "provenance.json"
    content = read_json(path)
    if not isinstance(content, dict) or content.get("status") not in STATUSES:
      raise damaged(path, "it does not say how the run stands")
    return content

  def finished(self) -> bool:
    """Returns whether the run is complete: provenance says so and its files are there.

    Raises:
      UserError: it is complete and damaged, so that running again would replace what is left.
    """
    result, path = self.path / "result.npz", self.path / "provenance.json"
    try:
      status = self.provenance()["status"]
    except UserError:
      if path.exists() and result.exists() and not list(self.path.glob("checkpoint*.msgpack")):
        raise
      return False  # nothing to lose, or a checkpoint to resume from
    needed = (result, self.path / "summary.json")
    if status != "finished" or not all(path.is_file() for path in needed):
      return False
    self.verify(CHECKED)
    return True

  def verify(self, names: Iterable[str]) -> None:
    """Raises UserError unless the files have the SHA-256 sums in provenance.json, where it has."""
    content = self.provenance()
    sums = content.get("checksums")
    if not isinstance(sums, dict) or "result.npz" not in sums:
      if content["status"] == "finished":
        raise damaged(self.path / "provenance.json", "no SHA-256 of result.npz")
      raise UserError(
        f"{self.path} holds no result yet", remedy="repeat its command without figures_only=true"
      )
    for name in names:
      if name in sums and checksum(self.path / name) != sums[name]:
        raise damaged(self.path / name, "its SHA-256 is not the one in provenance.json")

  def checksums(self, *names: str) -> dict[str, str]:
    """Returns {name: SHA-256} of files of the folder; UserError when one cannot be read."""
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


def _as_text(value: Any) -> str:
  """Returns a setting of config.json as a command line has it, shortened where it is long."""
  text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
  text = text.lower() if isinstance(value, bool) else text
  return text if len(text) <= 80 else text[:77] + "..."
