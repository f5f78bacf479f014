"""Checkpoints and results that somebody made: right checksums, other arrays. One line at most.

A checksum tells damage from what was written, not who wrote it.
"""

import copy
import hashlib
import json
import shutil

import numpy as np
import pytest
from tiny import experiment, tiny_flags
from toy import Killed, command

from hw1_jax.command.main import main as hw1
from hw1_jax.errors import UserError
from hw1_jax.runs import notebook
from hw1_jax.runs.checkpoint import pack_checkpoint, unpack_checkpoint
from hw1_jax.runs.monitor import RunMonitor

NAME = "gradient_norm"
FLAGS = [*tiny_flags(NAME), "--widths=3"]
FORMS = {  # what an array becomes
  "shorter": lambda a: np.asarray(a)[..., :-1] if np.ndim(a) else np.zeros(2),
  "empty": lambda a: np.zeros((0,) * max(np.ndim(a), 1), np.asarray(a).dtype),
  "of another depth": lambda a: np.asarray(a)[None],
  "of half precision": lambda a: np.asarray(a).astype(np.float16),
  "text": lambda a: "nothing",
  "none": lambda a: None,
}
COMPLEX = {"complex": lambda a: np.asarray(a).astype(np.complex64)}
SLOWLY = [f if f == "text" else pytest.param(f, marks=pytest.mark.slow) for f in FORMS | COMPLEX]


def run(folder, *flags):
  """Returns how the command ended; it asserts that nothing else than lines came of it."""
  return command(experiment(NAME), *FLAGS, f"--workdir={folder}", *flags)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
  folder = tmp_path_factory.mktemp("forged") / "finished"
  assert run(folder).code == 0
  return folder


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
  """A run that was killed behind its first checkpoint: its only loop is finished."""
  folder = tmp_path_factory.mktemp("forged") / "killed"
  save = RunMonitor.save

  def once(monitor):
    save(monitor)
    raise Killed

  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(RunMonitor, "save", once)
    with pytest.raises(Killed):
      run(folder, "--checkpoint_seconds=0")
  return folder


def places(tree, path=()):
  """Yields the paths of a tree of dicts to its leaves."""
  if isinstance(tree, dict):
    for key, value in tree.items():
      yield from places(value, (*path, key))
  else:
    yield path


def replaced(tree, path, change):
  tree = copy.deepcopy(tree)
  inner = tree
  for key in path[:-1]:
    inner = inner[key]
  inner[path[-1]] = change(inner[path[-1]])
  return tree


def forge_checkpoint(folder, path, change):
  file = folder / "checkpoint.msgpack"
  content = unpack_checkpoint(file.read_bytes())
  file.write_bytes(pack_checkpoint(replaced(content, path, change)))


@pytest.mark.parametrize("part", ["history", pytest.param("train", marks=pytest.mark.slow)])
def test_a_checkpoint_with_other_arrays_is_one_line(part, killed, tmp_path):
  content = unpack_checkpoint((killed / "checkpoint.msgpack").read_bytes())
  (loop,) = content["loops"]
  state = content["loops"][loop]["state"]
  paths = [("loops", loop, "state", *path) for path in places(state)]
  assert ("loops", loop, "state", "history", "loss") in paths
  ended = set()
  for i, (path, form) in enumerate((p, f) for p in paths for f in FORMS):
    if part not in path or form not in ("shorter", "text", "empty"):
      continue
    folder = tmp_path / str(i)
    shutil.copytree(killed, folder)
    forge_checkpoint(folder, path, FORMS[form])
    outcome = run(folder)
    assert outcome.code in (0, 2), (path, form)
    ended.add(outcome.code)
    if outcome.code == 2:
      assert "checkpoint.msgpack" in outcome.lines[-1], (path, form, outcome.lines)
  assert 2 in ended


@pytest.mark.slow
@pytest.mark.parametrize(
  ("path", "value"),
  [
    (("seconds",), "long"), (("seconds",), float("nan")), (("metrics_bytes",), -1),
    (("metrics_bytes",), 10**15), (("metrics_bytes",), None), (("loops",), []), (("loops",), {}),
    (("changes",), {}), (("circumstances",), "none"), (("metrics_sha256",), 3),
    (("run",), None),
  ],
)  # fmt: skip
def test_a_checkpoint_with_other_facts_is_one_line(killed, tmp_path, path, value):
  folder = tmp_path / "run"
  shutil.copytree(killed, folder)
  forge_checkpoint(folder, path, lambda _: value)
  outcome = run(folder)
  assert outcome.code in (0, 2)
  if outcome.code == 2:
    assert "checkpoint.msgpack" in outcome.lines[-1]


def forge_result(folder, name, change):
  """Changes an array of result.npz and puts the new checksum into provenance.json."""
  path = folder / "result.npz"
  with np.load(path) as file:
    arrays = dict(file)
  arrays[name] = np.asarray(change(arrays[name]), dtype=None)
  if arrays[name].dtype == object:
    del arrays[name]
  np.savez(path, **arrays)
  provenance = json.loads((folder / "provenance.json").read_text())
  provenance["checksums"]["result.npz"] = hashlib.sha256(path.read_bytes()).hexdigest()
  (folder / "provenance.json").write_text(json.dumps(provenance))


@pytest.mark.parametrize("form", SLOWLY)
def test_a_result_with_other_arrays_is_one_line(form, finished, tmp_path, capsys):
  with np.load(finished / "result.npz") as file:
    names = file.files
  refused = 0
  for i, name in enumerate(names):
    folder = tmp_path / str(i) / NAME
    shutil.copytree(finished, folder)
    forge_result(folder, name, (FORMS | COMPLEX)[form])
    outcome = run(folder, "--figures_only")
    assert outcome.code in (0, 2), (name, form)
    if outcome.code == 2:
      refused += 1
      assert "result.npz" in outcome.lines[-1], (name, form, outcome.lines)
    assert hw1(["verify", str(folder)]) in (0, 1, 2)
    assert "Traceback" not in capsys.readouterr().err
    try:
      notebook.load(folder, experiment(NAME))
    except UserError as error:
      assert "result.npz" in str(error)  # noqa: PT017 either way is right
  assert refused
