"""The monitor that makes runs resumable: progress, metrics.jsonl, checkpoints, signals."""

import contextlib
import hashlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
from flax import serialization

from hw1_jax.errors import UserError
from hw1_jax.loops import Chunk, Monitor, NonFiniteError, State
from hw1_jax.runs import progress
from hw1_jax.runs.checkpoint import (
  check_content,
  discard_checkpoints,
  pack_checkpoint,
  require_same_arrays,
  restore,
  unpack_checkpoint,
)
from hw1_jax.runs.circumstances import differences
from hw1_jax.runs.files import cannot_write, damaged, jsonable, read_json, write_bytes
from hw1_jax.runs.folder import RunFolder
from hw1_jax.runs.options import CHECKPOINT_SECONDS
from hw1_jax.runs.processes import agree, from_writer, is_writer
from hw1_jax.runs.tensorboard import Events
from hw1_jax.runs.terminal import shows_bars

LOG_SECONDS = 30.0  # between progress lines where there is no terminal


class Interrupted(Exception):
  """Ctrl-C, SIGTERM or SIGHUP: the state is saved. `code` is the exit code, 128 + signal."""

  def __init__(self, signum: int):
    super().__init__(signal.Signals(signum).name)
    self.code = 128 + signum


class RunMonitor(Monitor):
  """A Monitor that shows progress, appends metrics and checkpoints between chunks.

  After SIGINT, SIGTERM or SIGHUP the chunk under way is finished and saved, then `Interrupted` is
  raised.
  """

  def __init__(
    self,
    folder: RunFolder,
    title: str,
    *,
    seconds: float = CHECKPOINT_SECONDS,
    circumstances: dict[str, str] | None = None,
    accept_changes: bool = False,
    tensorboard: bool = False,
  ):
    self.folder, self.title, self.interval = folder, title, seconds
    self.circumstances, self.accept_changes = circumstances or {}, accept_changes
    self.changes: list[str] = []  # of the circumstances between attempts, that were accepted
    self._names: set[str] = set()
    self.loops: dict[str, Any] = {}
    self.weights: dict[str, Any] = {}  # what `keep` was given
    self.resumed_from: Path | None = None  # a checkpoint; of several processes the writer knows it
    self.earlier_seconds = 0.0
    self.started = self.last_save = time.monotonic()
    self.last_line = 0.0
    self.signum: int | None = None
    self._metrics_path = folder.path / "metrics.jsonl"
    self._metrics_bytes, self._metrics_digest = 0, hashlib.sha256()
    self._run: dict[str, Any] = {}
    self._keep = False  # whether checkpoint.msgpack is good, so that the next one may displace it
    self._take_up(from_writer(self._latest))
    self._events = Events(folder.path) if tensorboard and is_writer() else None

  @property
  def seconds(self) -> float:
    """Seconds of work so far, over all attempts."""
    return self.earlier_seconds + time.monotonic() - self.started

  def _latest(self) -> bytes:
    """Returns the newest usable checkpoint, or b""; metrics.jsonl is cut to what it knows of."""
    config = self.folder.path / "config.json"
    self._run = {"experiment": self.title, "config": read_json(config) if config.exists() else None}
    found, foreign, unusable = b"", None, False
    for name in ("checkpoint.msgpack", "checkpoint.previous.msgpack"):
      path = self.folder.path / name
      try:
        raw = path.read_bytes()
        content = unpack_checkpoint(raw)
        run = content["run"]
        foreign = foreign or (path if run != self._run else None)
        if run != self._run:
          raise ValueError("it belongs to a run with other settings")
        recorded = self._recorded(content["metrics_bytes"], content["metrics_sha256"])
        check_content(content)
      except FileNotFoundError:
        continue
      except (ValueError, OSError, KeyError, TypeError, AttributeError) as error:
        self.say(f"{path} cannot be used ({error}); looking for an earlier state")
        unusable = True
        continue
      self._refuse_changes(path, content)
      found, self.resumed_from = raw, path
      self._metrics_bytes = len(recorded)
      self._metrics_digest.update(recorded)
      self._keep = name == "checkpoint.msgpack"
      self.say(f"resuming from {path}")
      break
    else:
      if foreign:
        raise UserError(
          f"{foreign} belongs to a run with other settings than these, and no earlier state can be "
          "used",
          remedy="start again with overwrite=true or choose another folder, workdir=FOLDER",
        )
      if unusable:
        self.say("no earlier state can be used: starting from the beginning")
    try:
      with open(self._metrics_path, "ab") as file:
        file.truncate(self._metrics_bytes)
    except OSError as error:
      raise cannot_write(self._metrics_path, error) from None
    return found

  def _refuse_changes(self, path: Path, content: dict[str, Any]) -> None:
    """Raises UserError where a run would go on with other code, versions, data or devices."""
    changed = differences(content["circumstances"], self.circumstances)
    if not changed:
      return
    if not self.accept_changes:
      raise UserError(
        f"{path} was made under other circumstances: {changed}",
        remedy="restore them, start again by overwrite=true, or mix both by accept_changes=true",
      )
    self.say(f"resuming under other circumstances: {changed}")

  def _take_up(self, raw: bytes) -> None:
    if raw:
      content = unpack_checkpoint(raw)
      self.loops, self.earlier_seconds = content["loops"], float(content["seconds"])
      changed = differences(content["circumstances"], self.circumstances)
      self.changes = [*content["changes"], *([changed] if changed else [])]

  def _recorded(self, size: int, sha256: str) -> bytes:
    """Returns the first `size` bytes of metrics.jsonl; ValueError if they are not as recorded."""
    path = self._metrics_path
    recorded = path.read_bytes()[:size] if path.exists() else b""
    if len(recorded) < size:
      raise ValueError(f"{path.name} is shorter than it was")
    if sha256 != hashlib.sha256(recorded).hexdigest():
      raise ValueError(f"{path.name} is damaged")
    return recorded

  def save(self) -> None:
    """Writes the checkpoint; the one before stays as checkpoint.previous.msgpack."""
    self.last_save = time.monotonic()
    if not is_writer():
      return
    self.folder.check_held()
    content = {
      "loops": self.loops,
      "seconds": self.seconds,
      "metrics_bytes": self._metrics_bytes,
      "metrics_sha256": self._metrics_digest.hexdigest(),
      "run": self._run,
      "circumstances": self.circumstances,
      "changes": self.changes,
    }
    path = self.folder.path / "checkpoint.msgpack"
    previous = path.with_name("checkpoint.previous.msgpack")
    raw = pack_checkpoint(content)
    try:
      if self._keep and path.exists():
        os.replace(path, previous)
    except OSError as error:
      raise cannot_write(previous, error) from None
    write_bytes(path, raw)
    self._keep = True
    self.last_save = time.monotonic()

  def loop(
    self,
    name: str,
    state: State,
    advance: Callable[[State], Chunk],
    *,
    total: int,
    unit: str = "epochs",
  ) -> State:
    """Runs a loop as `Monitor.loop` does, from the saved state where there is one.

    Raises:
      ValueError: an earlier loop of this run has the same name; they would share one saved state.
    """
    if name in self._names:
      raise ValueError(f"name: got {name!r} for a second loop, expected another for each loop")
    self._names.add(name)
    saved = self.loops.get(name)
    done, finished = 0, False
    if saved is not None:
      state = self._restored(state, saved["state"])
      done, finished = int(saved["done"]), bool(saved["finished"])
    label = f"{self.title}: {name}"
    bar = progress.make_bar(label, unit, total=total, done=done, hidden=not is_writer())
    first, begun = done, time.monotonic()
    with bar:
      while not finished:
        state, now, finished, records, error = advance(state)
        progress.advance(bar, now - done)
        done = now
        self._append(records)
        if error:
          raise NonFiniteError(error)
        self._log(name, first, done, total, unit, begun)
        due = time.monotonic() - self.last_save >= self.interval
        signum = agree(self.signum)
        if finished or due or signum:
          tree = serialization.to_state_dict(jax.device_get(state))
          self.loops[name] = {"state": tree, "done": done, "finished": finished}
        if due or signum:
          self.save()
        if signum:
          raise Interrupted(signum)
    return state

  def keep(self, name: str, params: Any, input_shape: Sequence[int]) -> None:
    """Keeps a training's final parameters for weights.npz."""
    self.weights[name] = jax.device_get(params), tuple(input_shape)

  def _restored(self, state: State, saved: Any) -> State:
    try:
      restored = restore(state, saved)
      require_same_arrays(state, restored)
      return restored
    except (ValueError, KeyError, TypeError, AttributeError) as error:  # of another version
      raise damaged(self.folder.path / "checkpoint.msgpack", error) from None

  def discard(self) -> None:
    """Removes the checkpoints of a finished run; its results stand."""
    if self._events:
      self._events.close()
    if is_writer():
      discard_checkpoints(self.folder)

  def _append(self, records: list[dict]) -> None:
    if not is_writer():
      return
    self.folder.check_held()
    lines = "".join(json.dumps(jsonable(record)) + "\n" for record in records).encode()
    try:
      with open(self._metrics_path, "ab") as file:
        file.write(lines)
    except OSError as error:
      raise cannot_write(self._metrics_path, error) from None
    self._metrics_bytes += len(lines)
    self._metrics_digest.update(lines)
    if self._events:
      self._events.add(records)

  def _log(self, name: str, first: int, done: int, total: int, unit: str, begun: float) -> None:
    now = time.monotonic()
    if shows_bars() or now - max(self.last_line, self.started) < LOG_SECONDS:
      return
    self.last_line = now
    left = (now - begun) / max(done - first, 1) * (total - done)
    self.say(f"{name}: {done} of {total} {unit}, at most {left:.0f} s left")

  def say(self, text: str) -> None:
    """Prints one line of progress on stderr; of several processes the writer alone does."""
    if not is_writer():
      return
    # A full disk or a reader that has gone must not end the run. A signal can come within a print.
    with contextlib.suppress(OSError, RuntimeError):
      print(f"{self.title}: {text}", file=sys.stderr, flush=True)

  def catch_signals(self) -> None:
    """Lets SIGINT, SIGTERM and SIGHUP end the run after the chunk under way; twice ends it now.

    A SIGHUP that is ignored, as under nohup, stays ignored.
    """

    def handle(signum: int, frame: Any) -> None:
      self.signum = signum
      signal.signal(signum, signal.SIG_DFL)
      self.say("stopping after this step; once more to stop at once")

    if threading.current_thread() is not threading.main_thread():
      return  # Python allows no handlers there
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
      if signum != signal.SIGHUP or signal.getsignal(signum) != signal.SIG_IGN:
        signal.signal(signum, handle)
