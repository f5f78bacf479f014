"""A disk that is full, fails, is read-only or goes away: one line, exit 2, nothing lost.

Every operation that changes the disk is made to fail in turn. Root may write anywhere, so what is
read-only is a fake here, and a real file system where mounting is allowed.
"""

import contextlib
import errno
import functools
import io
import json
import os
import pathlib
import resource
import shutil
import subprocess

import pytest
from tiny import experiment, tiny_flags
from toy import Killed, command, make_experiment

from hw1_jax.errors import UserError
from hw1_jax.report import main as report_main
from hw1_jax.runs import files, main, monitor
from hw1_jax.runs import folder as run_folder
from hw1_jax.runs.checkpoint import unpack_checkpoint
from hw1_jax.runs.folder import RunFolder
from hw1_jax.runs.provenance import environment

TOY = make_experiment()
SAME = ("result.npz", "metrics.jsonl", "summary.json", "config.json", "tables/t.csv")
CHANGES = ("open", "write", "flush", "truncate", "fsync", "replace", "mkdir", "unlink")
GROWS = ("open", "write", "flush", "fsync", "mkdir")  # what a full disk refuses


@pytest.fixture(scope="module", autouse=True)
def same_environment():
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(main, "environment", functools.cache(environment))  # asks git each time
    yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
  """The folder of a run that nothing went wrong with."""
  folder = tmp_path_factory.mktemp("whole") / "run"
  assert command(TOY, f"--workdir={folder}").code == 0
  return folder


class Disk:
  """Counts what changes the disk and lets the change number `fail_at`, from 0, fail.

  `lasting`: and each one after it, too, if it is one of `refused`.
  """

  def __init__(self, patch, folder, fail_at=None, error=errno.EIO, refused=CHANGES, lasting=False):
    self.folder, self.fail_at, self.error = folder, fail_at, error
    self.refused, self.lasting = refused, lasting
    self.count, self.failed, self.had_checkpoint = 0, 0, False
    for module in (files, run_folder, monitor):
      patch.setattr(module, "open", self.open, raising=False)
    for name, change in (("replace", "replace"), ("fsync", "fsync"), ("write", "write"),
                         ("ftruncate", "truncate")):  # fmt: skip
      patch.setattr(os, name, self.counted(getattr(os, name), change))
    for change in ("mkdir", "unlink"):
      patch.setattr(pathlib.Path, change, self.counted(getattr(pathlib.Path, change), change))

  def fails(self, change):
    if change not in self.refused:
      return False
    number, self.count = self.count, self.count + 1
    if (
      self.fail_at is None or number < self.fail_at or (number > self.fail_at and not self.lasting)
    ):
      return False
    if not self.failed:
      self.had_checkpoint = bool(list(self.folder.glob("checkpoint*.msgpack")))
    self.failed += 1
    return True

  def counted(self, function, change):
    def call(*arguments, **options):
      if self.fails(change):
        raise OSError(self.error, os.strerror(self.error))
      return function(*arguments, **options)

    return call

  def open(self, path, mode="r", *arguments, **options):
    if mode in ("r", "rb"):
      return open(path, mode, *arguments, **options)
    if self.fails("open"):
      raise OSError(self.error, os.strerror(self.error))
    return File(open(path, mode, *arguments, **options), self)


class File:
  """An open file of a `Disk`; a write that fails writes a half, as a full disk does."""

  def __init__(self, file, disk):
    self.file, self.disk = file, disk

  def __enter__(self):
    return self

  def __exit__(self, *error):
    self.file.close()

  def __getattr__(self, name):
    return getattr(self.file, name)

  def write(self, content):
    if self.disk.fails("write"):
      self.file.write(content[: len(content) // 2])
      raise OSError(self.disk.error, os.strerror(self.disk.error))
    return self.file.write(content)

  def flush(self):
    if self.disk.fails("flush"):
      raise OSError(self.disk.error, os.strerror(self.disk.error))
    self.file.flush()

  def truncate(self, size):
    if self.disk.fails("truncate"):
      raise OSError(self.disk.error, os.strerror(self.disk.error))
    return self.file.truncate(size)


FAULTS = {
  "disk full": {"error": errno.ENOSPC, "refused": GROWS, "lasting": True},
  "read-only": {"error": errno.EROFS, "lasting": True},
  "one error": {"error": errno.EIO},
  "one quota": {"error": errno.EDQUOT, "refused": GROWS},
}


def run_on(disk_of, folder, *flags):
  """Returns the outcome of a run on a `Disk`, and the disk."""
  with pytest.MonkeyPatch.context() as patch:
    disk = disk_of(patch, folder)
    return command(TOY, f"--workdir={folder}", "--checkpoint_seconds=0", *flags), disk


def assert_same(folder, whole):
  for name in SAME:
    assert (folder / name).read_bytes() == (whole / name).read_bytes(), name
  assert json.loads((folder / "provenance.json").read_text())["status"] == "finished"
  assert not list(folder.rglob("*.tmp"))
  assert not list(folder.glob("checkpoint*"))


@pytest.mark.parametrize("fault", FAULTS)
def test_whichever_write_fails_nothing_is_lost(tmp_path, whole, fault):
  made = functools.partial(Disk, **FAULTS[fault])
  outcome, disk = run_on(made, tmp_path / "count")
  assert outcome.code == 0
  assert disk.count > 50
  went_on = 0
  for number in range(disk.count):
    folder = tmp_path / f"at{number}"
    outcome, failing = run_on(functools.partial(made, fail_at=number), folder)
    assert failing.failed, number
    if outcome.code:
      assert outcome.code == 2, (number, outcome)
      assert "cannot write" in outcome.lines[-1], (number, outcome)
      assert str(folder) in outcome.lines[-1]
    for path in folder.glob("checkpoint*.msgpack"):
      unpack_checkpoint(path.read_bytes())
    finished = folder.exists() and RunFolder(folder).finished()
    assert finished or outcome.code
    outcome = command(TOY, f"--workdir={folder}")
    assert outcome.code == 0, (number, outcome)
    if failing.had_checkpoint and not finished:
      assert "resuming from" in outcome.lines[0], (number, outcome)
      went_on += 1
    assert_same(folder, whole)
    shutil.rmtree(folder)
  assert went_on > disk.count // 3


@pytest.mark.parametrize("fault", ["disk full", "one error"])
def test_whichever_write_of_the_figures_fails_the_result_stays(tmp_path, whole, fault):
  made = functools.partial(Disk, **FAULTS[fault])
  folder = tmp_path / "run"
  shutil.copytree(whole, folder)
  outcome, disk = run_on(made, folder, "--figures_only")
  assert outcome.code == 0
  assert disk.count > 10
  for number in range(disk.count):
    outcome, _ = run_on(functools.partial(made, fail_at=number), folder, "--figures_only")
    assert outcome.code in (0, 2)
    assert (folder / "result.npz").read_bytes() == (whole / "result.npz").read_bytes()
    assert command(TOY, f"--workdir={folder}", "--figures_only").code == 0
    assert "finished before" in command(TOY, f"--workdir={folder}").out
    assert_same(folder, whole)


def test_overwriting_on_a_failing_disk_is_one_line(tmp_path, whole):
  made = functools.partial(Disk, **FAULTS["one error"])
  for number in range(40):
    folder = tmp_path / f"at{number}"
    shutil.copytree(whole, folder)
    outcome, disk = run_on(functools.partial(made, fail_at=number), folder, "--overwrite")
    assert disk.failed
    assert outcome.code in (0, 2)
    if outcome.code:
      assert "cannot write" in outcome.lines[-1]
    assert command(TOY, f"--workdir={folder}").code == 0
    assert_same(folder, whole)


def test_overwriting_with_other_settings_never_mixes_two_runs(tmp_path, whole):
  """However far --overwrite came, what it left is taken for neither run by mistake."""
  other = tmp_path / "other"
  assert command(TOY, f"--workdir={other}", "--seed=1").code == 0
  killed = tmp_path / "killed"
  with contextlib.suppress(Killed):
    command(make_experiment(kill_at=5), f"--workdir={killed}", "--checkpoint_seconds=0")
  made = functools.partial(Disk, **FAULTS["one error"])
  refused = 0
  for number in range(60):
    for start in (whole, killed):
      folder = tmp_path / "run"
      shutil.copytree(start, folder)
      run_on(functools.partial(made, fail_at=number), folder, "--overwrite", "--seed=1")
      outcome = command(TOY, f"--workdir={folder}", "--seed=1")
      if outcome.code:
        refused += 1
        assert outcome.code == 2
        assert "other settings" in outcome.lines[-1]
        assert command(TOY, f"--workdir={folder}", "--seed=1", "--overwrite").code == 0
      assert_same(folder, other)
      shutil.rmtree(folder)
  assert refused > 10


# The kernel's own refusals.


@contextlib.contextmanager
def largest_file(size):
  """No file of this process may grow beyond `size` bytes: EFBIG (Python ignores SIGXFSZ)."""
  soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
  resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
  try:
    yield
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("size", [0, 1, 40, 100, 150, 250, 400, 600, 900])
def test_a_file_that_may_not_grow(tmp_path, whole, size):
  folder = tmp_path / "run"
  with largest_file(size):
    outcome = command(TOY, f"--workdir={folder}", "--checkpoint_seconds=0")
  assert outcome.code == 2
  assert "cannot write" in outcome.lines[-1]
  assert (
    "File too large; free some space or choose another folder, --workdir=FOLDER"
    in outcome.lines[-1]
  )
  had_checkpoint = bool(list(folder.glob("checkpoint*")))
  outcome = command(TOY, f"--workdir={folder}")
  assert ("resuming from" in "".join(outcome.lines)) == had_checkpoint
  assert_same(folder, whole)


def test_a_real_experiment_goes_on_to_the_same_bits(tmp_path):
  entry = experiment("gradient_norm")
  flags = [*tiny_flags("gradient_norm"), "--checkpoint_seconds=0"]
  assert command(entry, *flags, f"--workdir={tmp_path / 'whole'}").code == 0
  for size in (150, 3000):
    folder = tmp_path / f"run{size}"
    with largest_file(size):
      outcome = command(entry, *flags, f"--workdir={folder}")
    assert outcome.code == 2
    assert "cannot write" in outcome.lines[-1]
    assert command(entry, *flags, f"--workdir={folder}").code == 0
    for name in ("result.npz", "metrics.jsonl", "summary.json"):
      assert (folder / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


@pytest.fixture
def mount(tmp_path):
  """Returns a function that mounts a small file system, or mounts it anew, and gives its folder."""
  folder = tmp_path / "small"
  folder.mkdir()

  def mount_with(options):
    line = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    done = subprocess.run(line, check=False, capture_output=True, text=True)
    if done.returncode and not folder.is_mount():
      pytest.skip(f"mounting is not allowed here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    return folder

  if shutil.which("mount") is None:
    pytest.skip("there is no mount command here")
  yield mount_with
  if folder.is_mount():
    subprocess.run(["umount", str(folder)], check=True)


def test_a_small_file_system(mount, whole):
  pages = 0
  code = 2
  while code:
    pages += 1
    folder = mount(f"size={4 * pages}k") / "run"
    outcome = command(TOY, f"--workdir={folder}", "--checkpoint_seconds=0")
    code = outcome.code
    if code:
      assert code == 2
      assert "No space left on device; free some space" in outcome.lines[-1]
      mount("remount,size=1m")
      outcome = command(TOY, f"--workdir={folder}")
      assert outcome.code == 0
    assert_same(folder, whole)
    subprocess.run(["umount", str(folder.parent)], check=True)
  assert 5 < pages < 40


def test_a_file_system_that_has_become_read_only(mount, whole):
  folder = mount("size=1m") / "run"
  with contextlib.suppress(Killed):
    command(make_experiment(kill_at=4), f"--workdir={folder}", "--checkpoint_seconds=0")
  mount("remount,ro")
  outcome = command(TOY, f"--workdir={folder}")
  assert outcome.code == 2
  (line,) = outcome.lines
  assert "Read-only file system; choose a folder that you may write to, --workdir=FOLDER" in line
  mount("remount,rw")
  outcome = command(TOY, f"--workdir={folder}")
  assert "resuming from" in outcome.lines[0]
  assert_same(folder, whole)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write to a read-only folder")
def test_a_read_only_folder(tmp_path):
  tmp_path.chmod(0o500)
  outcome = command(TOY, f"--workdir={tmp_path / 'run'}")
  tmp_path.chmod(0o700)
  assert outcome.code == 2
  assert "Permission denied" in outcome.lines[-1]


# Folders and streams that go away.


@pytest.mark.parametrize("step", [1, 3, 6, None])
def test_the_folder_vanishes_during_the_run(tmp_path, whole, step):
  folder = tmp_path / "run"

  def vanish(now=None):
    if now == step:
      shutil.rmtree(folder)

  toy = make_experiment(on_step=vanish, on_draw=vanish)
  outcome = command(toy, f"--workdir={folder}", "--checkpoint_seconds=0")
  assert outcome.code == 2
  assert "the folder is gone or cannot be made; repeat the command" in outcome.lines[-1]
  assert command(TOY, f"--workdir={folder}").code == 0
  assert_same(folder, whole)


class FullStream(io.StringIO):
  """A stream into a file on a full disk."""

  def write(self, text):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_under_stderr_does_not_end_the_run(tmp_path, whole):
  folder = tmp_path / "run"

  def full_from_3(step):
    if step >= 3:
      raise UserError("no more")

  for toy, ending in ((make_experiment(on_step=full_from_3), pytest.raises(SystemExit, match="2")),
                      (TOY, contextlib.nullcontext())):  # fmt: skip
    with ending, contextlib.redirect_stderr(FullStream()):
      main.main(toy, ["toy", f"--workdir={folder}", "--checkpoint_seconds=0"])
  assert_same(folder, whole)


def test_a_report_main_that_does_not_fit_is_one_line(tmp_path, whole, capsys):
  profile = tmp_path / "quick"
  shutil.copytree(whole, profile / "gradient_norm")
  assert report_main.main([str(profile)]) == 0
  page = (profile / "report.html").read_bytes()
  capsys.readouterr()
  with largest_file(1000):
    assert report_main.main([str(profile)]) == 2
  (line,) = capsys.readouterr().err.splitlines()
  assert line.startswith(f"{profile}: File too large")
  assert (profile / "report.html").read_bytes() == page
  assert not list(profile.glob(".report*"))
