"""The tutorial on adding an experiment, done as it says in a copy of the repository."""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
TUTORIAL = ROOT / "docs" / "adding_an_experiment.md"
NEEDED = ("hw1_jax", "experiments", "scripts", "tests", "README.md", "pyproject.toml")
BLOCK = re.compile(r"<!-- (file|append|run|list)(?:: (\S+))? -->\n```\w*\n(.*?)^```$", re.S | re.M)


def blocks(kind):
  return [
    (path, text) for found, path, text in BLOCK.findall(TUTORIAL.read_text()) if found == kind
  ]


def start(command, tree, *, keep_compiled=True):
  """Starts a line of the document in the tree, with programs that an earlier one compiled."""
  path = f"{pathlib.Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
  cache = {
    "JAX_COMPILATION_CACHE_DIR": str(tree / "compiled"),
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
  }
  cache = cache if keep_compiled else {}
  return subprocess.Popen(
    f"exec {command}",
    shell=True,
    cwd=tree,
    env={**os.environ, "PATH": path, "JAX_PLATFORMS": "cpu", **cache},
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  )


def do(command, tree):
  """Runs a line of the document in the tree; returns what it prints, on stdout and on stderr."""
  process = start(command, tree)
  told = process.communicate()
  assert process.returncode == 0, (command, told)
  return told


def follow(tree):
  """Makes the document's files, and additions in a copy of the repository."""
  for name in NEEDED:
    if (ROOT / name).is_dir():
      shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    else:
      shutil.copy(ROOT / name, tree / name)
  for path, text in blocks("file"):
    assert not (tree / path).exists(), f"{path} is there already: choose another example"
    (tree / path).parent.mkdir(exist_ok=True)
    (tree / path).write_text(text)
  for path, text in blocks("append"):
    with open(tree / path, "a") as file:
      file.write(text)


def test_the_tutorial_does_what_it_says(tmp_path):
  """One test, because each of its steps needs the one before."""
  tree = tmp_path / "hw1_jax"
  tree.mkdir()
  follow(tree)
  commands = [text.strip() for _, text in blocks("run")]
  (run,) = [command for command in commands if "-m experiments." in command]
  told = {command: do(command, tree)[0] for command in commands}
  check_run_folder(tree)
  (tested,) = [text for command, text in told.items() if "-m pytest" in command]
  assert int(re.search(r"(\d+) passed", tested)[1]) == 4
  (page,) = [text for command, text in told.items() if "-m hw1_jax.report" in command]
  check_page((tree / page.strip()).read_text())
  check_resume(run, tree)


def check_run_folder(tree):
  """The run folder holds the files that are listed, no more and no fewer."""
  ((folder, text),) = blocks("list")
  found = [path for path in (tree / folder).rglob("*") if path.is_file() and path.name != ".lock"]
  assert sorted(str(path.relative_to(tree / folder)) for path in found) == text.split()


def check_page(page):
  """The report page has the new part and, in it, what the run found."""
  assert "Our own questions" in page
  section = page[page.index('id="learning_rate"') :]
  for part in ("last_loss", "best learning rate", "O-1", "neither the smallest nor the largest"):
    assert part in section, part


def check_resume(command, tree):
  """Stopped by Ctrl-C and repeated, the command ends in the bits of the run left alone."""
  folder = tree / "results" / "interrupted"
  # Compiling after the first learning rate leaves seconds in which to stop it.
  process = start(f"{command} --workdir={folder}", tree, keep_compiled=False)
  metrics = folder / "metrics.jsonl"
  while process.poll() is None and not (metrics.exists() and metrics.stat().st_size):
    time.sleep(0.01)
  process.send_signal(signal.SIGINT)
  told = process.communicate()
  assert process.returncode == 130, told
  assert not (folder / "result.npz").exists()
  assert "resuming from" in do(f"{command} --workdir={folder}", tree)[1]
  ((whole, _),) = blocks("list")
  for name in ("result.npz", "metrics.jsonl"):
    assert (folder / name).read_bytes() == (tree / whole / name).read_bytes(), name


def test_every_block_is_marked():
  """A block that no marker names would be neither written nor run."""
  text = TUTORIAL.read_text()
  assert 2 * len(BLOCK.findall(text)) == len(re.findall("^```", text, re.MULTILINE)) > 0


def test_the_example_is_formatted_and_clean(tmp_path):
  shutil.copy(ROOT / "pyproject.toml", tmp_path)
  for path, text in blocks("file"):
    if path.endswith(".py"):
      (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
      (tmp_path / path).write_text(text)
  assert len(list(tmp_path.rglob("*.py"))) == 5
  do("ruff format --check .", tmp_path)
  do("ruff check --config 'lint.isort.known-first-party = [\"hw1_jax\"]' .", tmp_path)


def test_its_links_lead_to_files():
  for target in re.findall(r"\]\(([^)#]+)\)", TUTORIAL.read_text()):
    assert (TUTORIAL.parent / target).exists(), target
