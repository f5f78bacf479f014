"""Real processes, killed with SIGKILL at random moments and started again until they end.

The long form kills each of the nine experiments twelve times (`./run_tests.sh -m slow`), the short
one gradient_norm twice. Moments are drawn uniformly over the length of a run that nobody
kills: start-up, compiling, training, writing results. Of a tiny run most is start-up, so every
second moment is drawn from the time after its first checkpoint.
"""

import json
import math
import os
import pathlib
import signal
import subprocess
import sys
import time
import zlib
from typing import NamedTuple
from xml.etree import ElementTree

import numpy as np
import pytest
from tiny import NAMES, experiment, tiny_flags

from hw1_jax.runs.checkpoint import unpack_checkpoint
from hw1_jax.runs.files import read_result

ROOT = pathlib.Path(__file__).resolve().parents[3]
KILLS = 12  # of each experiment
ATTEMPT_SECONDS = 600.0  # an attempt that takes longer hangs
SAME = ("result.npz", "metrics.jsonl", "summary.json", "config.json")


class Attempt(NamedTuple):
  """One process of a command, times in seconds."""

  killed: bool
  told: str  # stdout and stderr
  seconds: float
  after_checkpoint: float  # from its first new checkpoint to its end


class Command:
  """The command line of a tiny run, the same at every attempt."""

  def __init__(self, name, folder, cache):
    self.folder, self.log = folder, folder.with_suffix(".log")
    self.argv = [
      sys.executable, "-m", f"experiments.{name}", *tiny_flags(name), f"--workdir={folder}",
      "--checkpoint_seconds=0", f"--compilation_cache_dir={cache}",
    ]  # fmt: skip

  def attempt(self, kill_after=None, *, from_checkpoint=False):
    """Runs the command, kills it after `kill_after` seconds and returns an Attempt.

    `from_checkpoint`: the seconds count from its first new checkpoint. A process that is not killed
    must end well.
    """
    environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
    before, begun = self._checkpoint(), time.monotonic()
    saved = math.inf
    with open(self.log, "w") as log:
      process = subprocess.Popen(self.argv, cwd=ROOT, env=environment, stdout=log, stderr=log)
      while process.poll() is None:
        now = time.monotonic()
        if saved == math.inf and self._checkpoint() not in (None, before):
          saved = now
        limit = math.inf if kill_after is None else kill_after
        if now - (saved if from_checkpoint else begun) >= limit or now - begun > ATTEMPT_SECONDS:
          process.kill()
        time.sleep(0.005)
    ended, told = time.monotonic(), self.log.read_text()
    killed = process.returncode == -signal.SIGKILL
    assert killed or process.returncode == 0, told
    assert not killed or kill_after is not None, f"it hangs: {told}"
    assert "Traceback" not in told, told
    return Attempt(killed, told, ended - begun, ended - min(saved, ended))

  def _checkpoint(self):
    """Returns what tells one checkpoint from another, None where there is none."""
    try:
      status = (self.folder / "checkpoint.msgpack").stat()
    except FileNotFoundError:
      return None
    return status.st_ino, status.st_mtime_ns


def unreadable(name, folder, whole):
  """Returns the files of a folder that a killed run left and that nobody could use, with reasons.

  `whole` is the folder of the same run, never killed.
  """
  bad = []

  def check(path, read):
    if path.exists():
      try:
        read(path)
      except Exception as error:  # whatever it is, it is reported
        bad.append(f"{path.name}: {type(error).__name__}: {error}")

  def config(path):
    assert json.loads(path.read_text()) == json.loads((whole / "config.json").read_text())

  def checkpoint(path):
    content = unpack_checkpoint(path.read_bytes())
    known = content["metrics_bytes"]
    recorded = (folder / "metrics.jsonl").read_bytes()[:known]
    assert len(recorded) == known
    assert (whole / "metrics.jsonl").read_bytes().startswith(recorded)

  def equal(path):
    assert path.read_bytes() == (whole / path.relative_to(folder)).read_bytes()

  def png(path):
    raw = path.read_bytes()
    assert raw.startswith(b"\x89PNG")
    assert b"IEND" in raw[-12:]

  check(folder / "config.json", config)
  check(folder / "provenance.json", lambda path: json.loads(path.read_text())["status"])
  for path in folder.glob("checkpoint*.msgpack"):
    check(path, checkpoint)
  check(folder / "result.npz", lambda path: read_result(path, experiment(name).result))
  for path in (folder / "result.npz", folder / "summary.json", *folder.glob("tables/*.csv")):
    check(path, equal)
  for path in folder.glob("figures/*.svg"):
    check(path, ElementTree.parse)
  for path in folder.glob("figures/*.png"):
    check(path, png)
  return bad


def assert_same_bits(folder, whole):
  """Both finished: the same arrays, records, summary and settings, and nothing left over."""
  with np.load(folder / "result.npz") as got, np.load(whole / "result.npz") as expected:
    assert got.files == expected.files
    for name in expected.files:
      assert (got[name].dtype, got[name].shape) == (expected[name].dtype, expected[name].shape)
      assert got[name].tobytes() == expected[name].tobytes(), name
  for name in SAME:
    assert (folder / name).read_bytes() == (whole / name).read_bytes(), name
  provenances = [json.loads((path / "provenance.json").read_text()) for path in (folder, whole)]
  assert [provenance["status"] for provenance in provenances] == ["finished"] * 2
  assert provenances[0]["checksums"] == provenances[1]["checksums"]
  names, expected_names = (
    sorted(str(path.relative_to(root)) for path in root.rglob("*")) for root in (folder, whole)
  )
  assert names == expected_names  # no temporary file, no checkpoint


def kill_and_resume(name, kills, tmp_path, cache, say):
  """Kills an experiment `kills` times in all, over as many runs as it takes, and checks each."""
  rng = np.random.default_rng(zlib.crc32(name.encode()))
  begun = time.monotonic()
  whole = tmp_path / "whole"
  normal = Command(name, whole, cache).attempt()
  done = went_on = number = 0
  while done < kills:
    folder = tmp_path / f"run{number}"
    number += 1
    command = Command(name, folder, cache)
    while True:
      late = done % 2 == 0
      span = normal.after_checkpoint if late else normal.seconds
      kill_after = rng.uniform(0, span) if done < kills else None
      attempt = command.attempt(kill_after, from_checkpoint=late)
      done += attempt.killed
      went_on += "resuming from" in attempt.told
      assert unreadable(name, folder, whole) == [], f"after {done} kills"
      if not attempt.killed:
        break
    assert_same_bits(folder, whole)
  say(
    f"{name}: {done} kills over {number} runs of {normal.seconds:.1f} s, {went_on} attempts went on"
    f" from a checkpoint, all bits equal; {time.monotonic() - begun:.0f} s"
  )
  return done


@pytest.fixture
def say(capfd):
  """Returns a function that prints a line at once, past pytest's capture."""

  def print_now(text):
    with capfd.disabled():
      print(text, file=sys.stderr, flush=True)  # which pytest-xdist passes on

  return print_now


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
  return tmp_path_factory.mktemp("programs")


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_experiment_survives_its_kills(name, tmp_path, cache, say):
  assert len(NAMES) * KILLS >= 100
  Command(name, tmp_path / "compiling", cache).attempt()
  assert kill_and_resume(name, KILLS, tmp_path, cache, say) == KILLS


def test_gradient_norm_survives_two_kills(tmp_path, cache, say):
  assert kill_and_resume("gradient_norm", 2, tmp_path, cache, say) == 2
