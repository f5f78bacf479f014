"""The wheel: one name at the top of site-packages, usable from any folder."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import zipfile

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
SOURCES = ("hw1_jax", "experiments", "pyproject.toml", "setup.py", "README.md", "LICENSE")


@pytest.fixture(scope="session")
def installed(tmp_path_factory):
  """A folder like site-packages into which nothing but the wheel was installed."""
  folder = tmp_path_factory.mktemp("packaging")
  for name in SOURCES:  # the build leaves files behind
    ignored = shutil.ignore_patterns("__pycache__")
    if (ROOT / name).is_dir():
      shutil.copytree(ROOT / name, folder / "source" / name, ignore=ignored)
    else:
      shutil.copy(ROOT / name, folder / "source" / name)
  pip = [sys.executable, "-I", "-m", "pip", "--disable-pip-version-check", "--isolated"]
  local = ["--quiet", "--no-index", "--no-deps", "--no-build-isolation"]
  wheels = folder / "wheels"
  for command in (
    [*pip, "wheel", *local, "--wheel-dir", wheels, folder / "source"],
    [*pip, "install", *local, "--target", folder / "site", "--find-links", wheels, "hw1_jax"],
  ):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
  return folder


def run(installed, where, *command):
  """Returns what a command prints, run in another folder, where only the installed copy is."""
  variables = {**os.environ, "PYTHONPATH": str(installed / "site"), "JAX_PLATFORMS": "cpu"}
  done = subprocess.run(
    command, cwd=where, env=variables, capture_output=True, text=True, check=False
  )
  assert done.returncode == 0, done.stderr
  return done.stdout


def test_nothing_else_comes_to_the_top(installed):
  top = {path.name.split("-")[0] for path in (installed / "site").iterdir()}
  assert top == {"hw1_jax", "bin"}
  assert [path.name for path in (installed / "site" / "bin").iterdir()] == ["hw1"]


def test_the_wheel_holds_every_file_of_package_and_experiments(installed):
  (wheel,) = (installed / "wheels").glob("*.whl")
  held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info" not in name}
  tracked = set()
  for folder, prefix in (("hw1_jax", ""), ("experiments", "hw1_jax/")):
    for path in (ROOT / folder).rglob("*"):
      if path.is_file() and "__pycache__" not in path.parts:
        tracked.add(prefix + path.relative_to(ROOT).as_posix())
  assert held == tracked


def test_the_command_finds_the_modules_of_the_folder_where_it_is_given(installed, tmp_path):
  (tmp_path / "mine.py").write_text("def make(): pass\n")
  done = subprocess.run(
    [installed / "site/bin/hw1", "run", "gradient_norm", "--model=mine:maek"], cwd=tmp_path,
    env={**os.environ, "PYTHONPATH": str(installed / "site")}, capture_output=True, text=True,
  )  # fmt: skip
  assert done.returncode == 2
  assert "--model: got 'mine:maek', and no such function in mine, expected one of make" in (
    done.stderr
  )


def test_it_is_used_from_another_folder(installed, tmp_path):
  """One training, which the later commands find finished, so that they mean the same run."""
  flagfile = installed / "site/hw1_jax/experiments/flags/tiny/gradient_norm.flags"
  python = (sys.executable, "-m")
  run(installed, tmp_path, *python, "hw1_jax.experiments.gradient_norm", f"--flagfile={flagfile}")
  assert (tmp_path / "results/tiny/gradient_norm/result.npz").is_file()
  folder = tmp_path / "results/tiny/gradient_norm"
  assert (folder / "run.flags").read_text().startswith("# python -m hw1_jax.experiments.gradient_n")
  command = json.loads((folder / "provenance.json").read_text())["command"]
  assert command == f"python -m hw1_jax.experiments.gradient_norm --flagfile={flagfile}"
  hw1 = str(installed / "site/bin/hw1")
  assert "1.2.2  gradient_norm" in run(installed, tmp_path, hw1, "list")
  assert "hw1_jax 0.1.0" in run(installed, tmp_path, hw1, "--version")
  said = run(installed, tmp_path, hw1, "run", "gradient_norm", "--profile=tiny")
  assert "finished before, in results/tiny/gradient_norm" in said
  *said, page = run(installed, tmp_path, hw1, "run-all", "tiny", "gradient_norm").splitlines()
  assert "finished before, in results/tiny/gradient_norm" in said[0]
  assert page == "results/tiny/report.html"
  (tmp_path / page).unlink()
  assert run(installed, tmp_path, hw1, "report", "results/tiny").splitlines() == [page]
  assert 'id="gradient_norm"' in (tmp_path / page).read_text()
  assert "agrees: numbers of summary.json" in run(installed, tmp_path, hw1, "verify", str(folder))
  (exported,) = run(installed, tmp_path, hw1, "export", str(folder)).splitlines()[:1]
  assert (tmp_path / exported).is_file()
