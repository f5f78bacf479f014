"""The tutorial on adding an experiment, done as it says in a copy of the repository."""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
TUTORIAL = ROOT / "docs" / "adding_an_experiment.md"
NEEDED = ("hw1_jax", "experiments", "tests", "README.md", "run_all.sh", "pyproject.toml")
BLOCK = re.compile(
  r"<!-- (file|append|patch|run|list)(?:: (\S+))? -->\n```\w*\n(.*?)^```$", re.S | re.M
)


def blocks(kind):
  return [
    (path, text) for found, path, text in BLOCK.findall(TUTORIAL.read_text()) if found == kind
  ]


def environment():
  path = f"{pathlib.Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
  return {**os.environ, "PATH": path, "JAX_PLATFORMS": "cpu"}


def do(command, tree):
  """Runs a line of the document in the tree; returns what it prints."""
  done = subprocess.run(
    command, shell=True, cwd=tree, env=environment(), capture_output=True, text=True, check=False
  )
  assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
  return done.stdout


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
  """A copy of the repository in which the document's files, additions and patches are made."""
  tree = tmp_path_factory.mktemp("tutorial") / "hw1_jax"
  tree.mkdir()
  for name in NEEDED:
    if (ROOT / name).is_dir():
      shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    else:
      shutil.copy(ROOT / name, tree / name)
  for path, text in blocks("file"):
    assert not (tree / path).exists(), f"{path} is there already: choose another example"
    (tree / path).write_text(text)
  for path, text in blocks("append"):
    with open(tree / path, "a") as file:
      file.write(text)
  for _, text in blocks("patch"):
    (tree / "change.patch").write_text(text)
    do("GIT_CEILING_DIRECTORIES=$(dirname $PWD) git apply change.patch", tree)
  return tree


@pytest.fixture(scope="module")
def printed(tree):
  """What each of the document's commands prints, in its order."""
  commands = [text.strip() for _, text in blocks("run")]
  return {command: do(command, tree) for command in commands}


def test_every_block_is_marked():
  """A block that no marker names would be neither written nor run."""
  text = TUTORIAL.read_text()
  assert 2 * len(BLOCK.findall(text)) == len(re.findall("^```", text, re.MULTILINE)) > 0


def test_the_run_folder_holds_what_is_listed(tree, printed):
  ((folder, text),) = blocks("list")
  found = [path for path in (tree / folder).rglob("*") if path.is_file() and path.name != ".lock"]
  assert sorted(str(path.relative_to(tree / folder)) for path in found) == text.split()


def test_its_tests_pass(printed):
  (told,) = [text for command, text in printed.items() if "pytest" in command]
  assert int(re.search(r"(\d+) passed", told)[1]) >= 6


def test_the_page_has_its_section(tree, printed):
  (told,) = [text for command, text in printed.items() if "hw1_jax.report" in command]
  page = (tree / told.strip()).read_text()
  assert "Our own questions" in page
  start = page.index('id="learning_rate"')
  for part in ("last_loss", "best learning rate", "O-1", "neither the smallest nor the largest"):
    assert part in page[start:], part


def test_the_example_is_formatted_and_clean(tree):
  scripts = " ".join(path for path, _ in blocks("file") if path.endswith(".py"))
  do(f"ruff format --check {scripts} && ruff check {scripts}", tree)


def test_an_interrupted_run_goes_on_to_the_same_bits(tree, printed):
  command = next(command for command in printed if "-m experiments." in command)
  folder = tree / "results" / "interrupted"
  line = f"exec {command} --workdir={folder}"
  process = subprocess.Popen(
    line, shell=True, cwd=tree, env=environment(), stderr=subprocess.PIPE, text=True
  )
  metrics = folder / "metrics.jsonl"
  while process.poll() is None and not (metrics.exists() and metrics.stat().st_size):
    time.sleep(0.01)
  process.send_signal(signal.SIGINT)
  _, told = process.communicate()
  assert process.returncode == 130, told
  assert not (folder / "result.npz").exists()
  again = subprocess.run(
    line, shell=True, cwd=tree, env=environment(), capture_output=True, text=True, check=False
  )
  assert again.returncode == 0, again.stderr
  assert "going on from" in again.stderr
  ((whole, _),) = blocks("list")
  for name in ("result.npz", "metrics.jsonl"):
    assert (folder / name).read_bytes() == (tree / whole / name).read_bytes(), name
