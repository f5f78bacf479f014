"""Real processes, killed with SIGKILL at random moments and started again until they end.

The long form kills each of the nine experiments twelve times (`./run_tests.sh -m slow`), the short
one gradient_norm three times. Moments are drawn uniformly over the length of a run that nobody
kills: start-up, compiling, training, writing results.
"""

import json
import os
import pathlib
import subprocess
import sys
import time
import zlib
from xml.etree import ElementTree

import numpy as np
import pytest
from tiny import TINY, experiment, tiny_flags

from hw1_jax import resuming, runs

ROOT = pathlib.Path(__file__).resolve().parents[2]
KILLS = 12  # of each experiment
ATTEMPT_SECONDS = 600.0  # an attempt that takes longer hangs
SAME = ("result.npz", "metrics.jsonl", "summary.json", "config.json")


class Command:
  """The command line of a tiny run, the same at every attempt."""

  def __init__(self, name, folder, cache):
    self.name, self.folder = name, folder
    self.argv = [
      sys.executable, "-m", f"experiments.{name}", *tiny_flags(name), f"--workdir={folder}",
      "--checkpoint_seconds=0", f"--compilation_cache_dir={cache}",
    ]  # fmt: skip

  def attempt(self, seconds=None):
    """Starts the command and kills it after `seconds`; returns whether it was killed, and stderr.

    Without `seconds`, or where it ends before, it must end well.
    """
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONWARNINGS": "default"}
    with subprocess.Popen(
      self.argv,
      cwd=ROOT,
      env=environment,
      text=True,
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE,
    ) as process:
      try:
        _, told = process.communicate(timeout=ATTEMPT_SECONDS if seconds is None else seconds)
        killed = False
      except subprocess.TimeoutExpired:
        process.kill()
        _, told = process.communicate()
        killed = seconds is not None and process.returncode < 0
    assert killed or process.returncode == 0, told
    assert "Traceback" not in told, told
    return killed, told


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
    content = resuming.unpack_checkpoint(path.read_bytes())
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
  check(folder / "result.npz", lambda path: runs.read_result(path, experiment(name).result))
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
  Command(name, tmp_path / "compiling", cache).attempt()
  started = time.monotonic()
  whole = tmp_path / "whole"
  Command(name, whole, cache).attempt()
  length = time.monotonic() - started
  done = resumed = number = 0
  while done < kills:
    folder = tmp_path / f"run{number}"
    number += 1
    command, killed = Command(name, folder, cache), True
    while killed:
      killed, told = command.attempt(rng.uniform(0, length) if done < kills else None)
      done += killed
      resumed += "going on from" in told
      assert unreadable(name, folder, whole) == [], f"after {done} kills"
    assert_same_bits(folder, whole)
    assert "finished before" not in told
  say(
    f"{name}: {done} kills over {number} runs of {length:.1f} s, {resumed} attempts went on from a "
    f"checkpoint, all bits equal; {time.monotonic() - begun:.0f} s"
  )
  return done


@pytest.fixture
def say(capfd):
  """Returns a function that prints a line at once, past pytest's capture."""

  def print_now(text):
    with capfd.disabled():
      print(text, flush=True)

  return print_now


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
  return tmp_path_factory.mktemp("programs")


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(TINY))
def test_every_experiment_survives_its_kills(name, tmp_path, cache, say):
  assert len(TINY) * KILLS >= 100
  assert kill_and_resume(name, KILLS, tmp_path, cache, say) == KILLS


def test_gradient_norm_survives_three_kills(tmp_path, cache, say):
  assert kill_and_resume("gradient_norm", 3, tmp_path, cache, say) == 3
