"""Files cut short, altered, emptied or replaced: one line that names them, or the same bits."""

import contextlib
import functools
import gzip
import hashlib
import io
import json
import pathlib
import pickle
import shutil
import struct
import time
import zipfile
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from toy import Killed, Result, command, make_experiment

from hw1_jax import data
from hw1_jax.data import files as original_files
from hw1_jax.errors import UserError
from hw1_jax.report.page import build
from hw1_jax.runs import main
from hw1_jax.runs.checkpoint import pack_checkpoint, unpack_checkpoint
from hw1_jax.runs.files import read_result
from hw1_jax.runs.folder import RunFolder
from hw1_jax.runs.monitor import RunMonitor
from hw1_jax.runs.provenance import environment

EXAMPLES = 32  # drawn for each property, beside all FOREIGN contents; MINIMUM of them differ
MINIMUM = 25
SECONDS = 20.0  # a command that takes longer hangs

TOY = make_experiment()


# What a file can become.


def object_npz() -> bytes:
  buffer = io.BytesIO()
  np.savez(buffer, total=np.array([object()], dtype=object), parts=np.zeros(1))
  return buffer.getvalue()


def bomb_npz(shape: tuple[int, ...], stored: int) -> bytes:
  """Returns an .npz whose array declares `shape` and holds `stored` zero bytes."""
  header = io.BytesIO()
  np.lib.format.write_array_header_1_0(
    header, {"descr": "<f8", "fortran_order": False, "shape": shape}
  )
  buffer = io.BytesIO()
  with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
    file.writestr("total.npy", header.getvalue() + bytes(stored))
  return buffer.getvalue()


FOREIGN = {
  "pickle": pickle.dumps({"total": 1}),
  "object array": object_npz(),
  "bomb": bomb_npz((4_000_000,), 32_000_000),
  "declared bomb": bomb_npz((2**50,), 100),
  "list": b"[]",
  "null": b"null",
  "number": b"3",
  "long number": b"1" * 5000,
  "infinite": b'{"seconds": 1e999, "status": "finished", "checksums": {"result.npz": NaN}}',
  "object": b'{"status": "finished", "checksums": [1], "seed": [], "numbers": {"a": 1}}',
  "deep": b"[" * 100_000,
  "fairly deep": b'{"seed": ' + b"[" * 900 + b"]" * 900 + b"}",
  "many keys": json.dumps({f"key{i}": "x" * 100 for i in range(1000)}).encode(),
  "lines": b"\n\n\x1b[2J\n",
  "UTF-16": '{"status": "finished"}'.encode("utf-16"),
  "surrogate": b'{"status": "\\ud800", "experiment": "\\ud800"}',
  "gzip": gzip.compress(b"0" * 1000, mtime=0),
  "checkpoint without content": pack_checkpoint({}),
  "checkpoint of another kind": pack_checkpoint({"loops": [], "metrics_bytes": "all"}),
}


@st.composite
def damages(draw):
  """Draws (what was done, function of the old bytes to the new ones)."""
  kind = draw(st.sampled_from(["cut", "cut", "flip", "flip", "flip", "random", "empty"]))
  if kind == "cut":
    where = draw(st.integers(0, 10**6))
    return f"cut at {where}", lambda raw: raw[: where % len(raw)]
  if kind == "flip":
    where, bit = draw(st.integers(0, 10**6)), draw(st.integers(0, 7))

    def flip(raw):
      i = where % len(raw)
      return raw[:i] + bytes([raw[i] ^ 1 << bit]) + raw[i + 1 :]

    return f"bit {bit} of byte {where} flipped", flip
  content = b"" if kind == "empty" else draw(st.binary(max_size=300))
  return f"{len(content)} other bytes", lambda raw: content


# Folders to damage: finished, killed after five of six steps, another run's.


class Folders:
  def __init__(self, root: pathlib.Path):
    self.root, self.damaged = root, 0
    self.finished, self.killed, self.other = (root / n for n in ("finished", "killed", "other"))
    assert command(TOY, f"--workdir={self.finished}").code == 0
    for folder, flag in ((self.killed, "--seed=0"), (self.other, "--seed=1")):
      with contextlib.suppress(Killed):
        command(make_experiment(kill_at=5), f"--workdir={folder}", flag, "--checkpoint_seconds=0")
    self.others = {
      **FOREIGN,
      **{f"{p.name} of another run": p.read_bytes() for p in self.other.glob("*.*")},
      **{f"{p.name} in its place": p.read_bytes() for p in self.finished.glob("*.*")},
    }

  def copy(self, folder: pathlib.Path, name: str = "copy") -> pathlib.Path:
    """Returns a copy to damage; the one before is gone."""
    shutil.rmtree(self.root / name, ignore_errors=True)
    shutil.copytree(folder, self.root / name)
    return self.root / name


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(main, "environment", functools.cache(environment))  # asks git each time
    made = Folders(tmp_path_factory.mktemp("folders"))
    yield made
    print(f"{made.damaged} damaged files")


def try_damages(folders, check, folder, name):
  """Calls check(copy, path) for many damages of the file `name` in copies of `folder`."""
  old = (folder / name).read_bytes()
  drawn = set()

  def attempt(said, new):
    copy = folders.copy(folder)
    (copy / name).write_bytes(new)
    begun = time.monotonic()
    try:
      check(copy, copy / name)
    except Exception as error:
      error.add_note(f"{name}: {said}")
      raise
    assert time.monotonic() - begun < SECONDS

  @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None,
            suppress_health_check=list(HealthCheck))  # fmt: skip
  @given(damage=damages())
  def attempt_drawn(damage):
    said, function = damage
    new = function(old)
    assume(new != old)
    drawn.add(new)
    attempt(said, new)

  for said, new in folders.others.items():
    if new != old:
      attempt(said, new)
  attempt_drawn()
  assert len(drawn) >= MINIMUM
  folders.damaged += len(drawn) + len(folders.others)


def assert_same(copy, finished, names=("result.npz", "metrics.jsonl", "summary.json")):
  for name in names:
    assert (copy / name).read_bytes() == (finished / name).read_bytes(), name
  assert json.loads((copy / "provenance.json").read_text())["status"] == "finished"
  assert not list(copy.glob("checkpoint*"))


def go_on(copy, *flags):
  return command(TOY, f"--workdir={copy}", *flags)


# A run that was killed: what it goes on from.


def test_a_damaged_checkpoint_gives_way_to_the_previous_one(folders):
  def check(copy, path):
    outcome = go_on(copy)
    assert outcome.code == 0
    assert f"{path} cannot be used" in outcome.lines[0]
    assert outcome.lines[1].endswith(f"resuming from {copy / 'checkpoint.previous.msgpack'}")
    assert_same(copy, folders.finished)

  try_damages(folders, check, folders.killed, "checkpoint.msgpack")


def test_a_damaged_checkpoint_alone_starts_afresh_or_is_refused(folders):
  of_others = [path.read_bytes() for path in folders.other.glob("checkpoint*.msgpack")]

  def check(copy, path):
    (copy / "checkpoint.previous.msgpack").unlink()
    damaged = path.read_bytes()
    outcome = go_on(copy)
    assert f"{path} cannot be used" in outcome.lines[0]
    if damaged in of_others:
      assert outcome.code == 2
      assert f"{path} belongs to a run with other settings" in outcome.lines[-1]
      assert path.read_bytes() == damaged
    else:
      assert outcome.code == 0
      assert_same(copy, folders.finished)

  try_damages(folders, check, folders.killed, "checkpoint.msgpack")


def test_the_good_previous_checkpoint_outlives_the_next_save(folders):
  """A damaged checkpoint is not kept as the previous one when the run is killed once more."""
  copy = folders.copy(folders.killed)
  (copy / "checkpoint.msgpack").write_bytes(b"damaged")
  with contextlib.suppress(Killed):
    command(make_experiment(kill_at=5), f"--workdir={copy}", "--checkpoint_seconds=0")
  (copy / "checkpoint.msgpack").write_bytes(b"damaged again")
  outcome = go_on(copy)
  assert outcome.lines[1].endswith(f"resuming from {copy / 'checkpoint.previous.msgpack'}")
  assert_same(copy, folders.finished)


def test_damaged_metrics_are_never_continued(folders):
  recorded = unpack_checkpoint((folders.killed / "checkpoint.msgpack").read_bytes())
  known = recorded["metrics_bytes"]
  original = (folders.killed / "metrics.jsonl").read_bytes()
  assert 0 < known < len(original)  # one record more than the checkpoint knows of

  def check(copy, path):
    sound = path.read_bytes()[:known] == original[:known]
    outcome = go_on(copy)
    assert outcome.code == 0
    assert any("metrics.jsonl is" in line for line in outcome.lines) != sound
    assert_same(copy, folders.finished)

  try_damages(folders, check, folders.killed, "metrics.jsonl")


def test_missing_metrics_start_afresh_and_say_so(folders):
  copy = folders.copy(folders.killed)
  (copy / "metrics.jsonl").unlink()
  outcome = go_on(copy)
  assert "metrics.jsonl is shorter than it was" in outcome.lines[0]
  assert_same(copy, folders.finished)


def test_a_damaged_config_is_refused_and_nothing_is_lost(folders):
  def check(copy, path):
    before = {p.name: p.read_bytes() for p in copy.glob("*.*")}
    outcome = go_on(copy)
    if outcome.code == 0:  # it says the same in other bytes, 1.0 for 1
      assert_same(copy, folders.finished)
      return
    assert outcome.code == 2
    (line,) = outcome.lines
    assert "config.json is damaged" in line or f"{copy} holds a run with other settings" in line
    assert {p.name: p.read_bytes() for p in copy.glob("*.*")} == before
    path.unlink()
    outcome = go_on(copy)
    assert outcome.lines[0].endswith(f"resuming from {copy / 'checkpoint.msgpack'}")
    assert_same(copy, folders.finished)

  try_damages(folders, check, folders.killed, "config.json")


def test_without_its_config_a_checkpoint_serves_no_other_settings(folders):
  copy = folders.copy(folders.killed)
  (copy / "config.json").unlink()
  outcome = go_on(copy, "--seed=7")
  assert outcome.code == 2
  assert "checkpoint.msgpack belongs to a run with other settings" in outcome.lines[-1]
  assert (copy / "checkpoint.msgpack").exists()


def test_a_damaged_provenance_does_not_stop_a_killed_run(folders):
  def check(copy, path):
    outcome = go_on(copy)
    assert outcome.code == 0
    assert outcome.lines[0].endswith(f"resuming from {copy / 'checkpoint.msgpack'}")
    assert_same(copy, folders.finished)

  claims_to_be_finished = json.dumps({"status": "finished"}).encode()
  assert claims_to_be_finished not in folders.others.values()
  try_damages(folders, check, folders.killed, "provenance.json")


def test_a_state_of_another_structure_is_one_line(folders):
  class State(NamedTuple):
    total: np.ndarray
    more: np.ndarray

  copy = RunFolder(folders.copy(folders.killed))
  monitor = RunMonitor(copy, "toy", accept_changes=True)
  with pytest.raises(UserError, match=r"checkpoint\.msgpack is damaged \(.+\); repeat the run"):
    monitor.loop("count", State(np.zeros(3), np.zeros(3)), lambda state: None, total=6)


@pytest.mark.parametrize("start", ["killed", "finished"])
def test_a_folder_in_the_place_of_a_file_is_one_line(folders, start):
  start = getattr(folders, start)
  names = {path.name for path in start.glob("[!.]*.*")}
  if start == folders.finished:
    names.remove("run.flags")  # which nobody reads any more
  for name in sorted(names):
    copy = folders.copy(start)
    (copy / name).unlink()
    (copy / name).mkdir()
    outcome = go_on(copy, "--checkpoint_seconds=0")
    assert outcome.code == 2
    assert str(copy / name) in outcome.lines[-1]
    (copy / name).rmdir()
    assert go_on(copy).code in (0, 2)


# A run that is finished: repeated, drawn again, shown on the report page.


def names_the_file(outcome, path):
  assert outcome.code == 2
  (line,) = outcome.lines
  assert path.name in line
  assert str(path.parent) in line
  return True


def test_a_damaged_result_is_found(folders):
  def check(copy, path):
    damaged = path.read_bytes()
    assert names_the_file(go_on(copy), path)
    assert names_the_file(go_on(copy, "--figures_only"), path)
    assert path.read_bytes() == damaged
    with contextlib.suppress(UserError):  # without its sum: an error of ours or a Result
      assert isinstance(read_result(path, Result), Result)

  try_damages(folders, check, folders.finished, "result.npz")


def test_a_damaged_config_of_a_finished_run_is_found(folders):
  def check(copy, path):
    assert names_the_file(go_on(copy, "--figures_only"), path)

  try_damages(folders, check, folders.finished, "config.json")


@pytest.mark.parametrize("name", ["metrics.jsonl", "summary.json"])
def test_damaged_records_of_a_finished_run_are_found(folders, name):
  def check(copy, path):
    assert names_the_file(go_on(copy), path)

  try_damages(folders, check, folders.finished, name)


def test_a_damaged_summary_is_made_again_from_the_result(folders):
  copy = folders.copy(folders.finished)
  (copy / "summary.json").write_bytes(b"{")
  assert go_on(copy, "--figures_only").code == 0
  assert_same(copy, folders.finished)
  assert "finished before" in go_on(copy).out


def test_a_damaged_provenance_of_a_finished_run_is_found_or_harmless(folders):
  def check(copy, path):
    for flags in ((), ("--figures_only",)):
      outcome = go_on(copy, *flags)
      if outcome.code:  # a sum altered there is as if its file had been
        assert outcome.code == 2
        assert "provenance.json" in outcome.lines[-1] or f"{copy} holds no" in outcome.lines[-1]
      else:
        assert_same(copy, folders.finished)

  try_damages(folders, check, folders.finished, "provenance.json")


@pytest.mark.parametrize(
  "name", ["summary.json", "config.json", "result.npz", "metrics.jsonl", "provenance.json"]
)
def test_the_report_page_says_which_file_is_damaged(folders, name):
  profile = folders.root / "profile"
  profile.mkdir(exist_ok=True)

  def check(copy, path):
    run = profile / "gradient_norm"
    shutil.rmtree(run, ignore_errors=True)
    copy.rename(run)
    page = build(profile).read_text(encoding="utf-8")
    assert "Traceback" not in page
    if name != "provenance.json":  # which says itself what it should be
      assert f"{name} is damaged" in page

  try_damages(folders, check, folders.finished, name)


@pytest.mark.parametrize("name", ["bomb", "declared bomb", "object array", "pickle"])
def test_no_result_is_unpickled_or_larger_than_memory(tmp_path, name):
  path = tmp_path / "result.npz"
  path.write_bytes(FOREIGN[name])
  with pytest.raises(UserError, match=r"result\.npz is damaged \(.+\); repeat"):
    read_result(path, Result)


# The four files of an image set.


def idx(array: np.ndarray) -> bytes:
  header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
  return gzip.compress(header + array.astype(np.uint8).tobytes(), mtime=0)


@pytest.fixture
def image_files(folders, monkeypatch):
  """A folder with the four files of a small image set, which the registry knows by their sums."""
  from tensorflow_datasets.core.download import checksums

  images = np.arange(5 * 28 * 28).reshape(5, 28, 28) % 251
  labels = np.array([3, 1, 4, 1, 9])
  arrays = (images[:3], labels[:3], images[3:], labels[3:])
  folder = folders.root / "images"
  folder.mkdir(exist_ok=True)
  urls, url_infos = {}, {}
  for name, array in zip(data.FILE_NAMES, arrays):
    content = idx(array)
    (folder / name).write_bytes(content)
    urls[name] = f"http://127.0.0.1:9/{name}"
    digest = hashlib.sha256(content).hexdigest()
    url_infos[urls[name]] = checksums.UrlInfo(len(content), digest, name)
  monkeypatch.setattr(original_files, "_registry", lambda name: (urls, url_infos))
  return folder


@pytest.mark.parametrize("name", data.FILE_NAMES)
def test_a_damaged_data_file_is_named_and_no_run_begins(folders, image_files, name):
  experiment = make_experiment(images=True)
  workdir = folders.root / "images-run"

  def check(copy, path):
    outcome = command(experiment, f"--workdir={workdir}", f"--manual_dir={copy}")
    assert names_the_file(outcome, path)
    assert not workdir.exists()

  try_damages(folders, check, image_files, name)


def test_sound_data_files_are_used(folders, image_files):
  workdir = folders.root / "images-sound"
  outcome = command(
    make_experiment(images=True), f"--workdir={workdir}", f"--manual_dir={image_files}"
  )
  assert outcome.code == 0
