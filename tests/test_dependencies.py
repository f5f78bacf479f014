"""One list of dependencies: what is imported is declared, and the locks are made from it."""

import ast
import importlib.metadata
import pathlib
import re
import subprocess
import sys
import tomllib

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT, GROUPS = PYPROJECT["project"], PYPROJECT["dependency-groups"]
OUR_OWN = {"hw1_jax", "experiments", "benchmarks", "scripts", "tests"}
NOT_IMPORTED = {  # declared all the same
  "importlib-resources": "tensorflow-datasets imports it without declaring it",
}
USERS = {  # imported only where the user has them, and why that may be
  "equinox",  # the user's own model comes from it
  "ipython",  # the library is used in a notebook's kernel
  "ipykernel",
  "nbclient",
  "nbformat",  # the tutorial in a kernel of its own
  "safetensors",  # a file of weights, read by its own library
  "xarray",  # a result with named axes
  "pyhessian",  # a yardstick of benchmarks/, installed without its dependencies (see there)
}
TOOLS = {"pytest-xdist", "ruff", "mypy", "types-tqdm", "setuptools", "uv"}  # run, not imported


def normal(name):
  return re.sub(r"[-_.]+", "-", name).lower()


def names(requirements):
  """Returns the distributions that requirements such as 'jax[cuda13]>=1; marker' name."""
  return {normal(re.match(r"[\w.-]+", text)[0]) for text in requirements}


def imported(*folders):
  """Returns the distributions whose modules the Python files of some folders import."""
  roots = set()
  for path in (path for folder in folders for path in (ROOT / folder).rglob("*.py")):
    for node in ast.walk(ast.parse(path.read_text())):
      if isinstance(node, ast.Import):
        roots |= {alias.name.split(".")[0] for alias in node.names}
      elif isinstance(node, ast.ImportFrom) and node.level == 0:
        roots.add(node.module.split(".")[0])
      elif isinstance(node, ast.Call) and ast.unparse(node.func) in (
        "pytest.importorskip",
        "importlib.import_module",
      ):
        (name, *_) = node.args
        if isinstance(name, ast.Constant):
          roots.add(name.value.split(".")[0])
  modules = {path.stem for path in (ROOT / "tests").rglob("*.py")}
  roots -= OUR_OWN | modules | set(sys.stdlib_module_names)
  known = importlib.metadata.packages_distributions()
  return {normal(known[root][0]) if root in known else normal(root) for root in roots} - USERS


def test_the_library_declares_what_it_imports_and_nothing_else():
  declared = names(PROJECT["dependencies"])
  extra = names(PROJECT["optional-dependencies"]["tensorboard"])
  assert imported("hw1_jax", "experiments") - extra == declared - set(NOT_IMPORTED)
  assert set(NOT_IMPORTED) <= declared


def test_the_benchmarks_declare_what_they_import_beside_the_library():
  bench = names(PROJECT["optional-dependencies"]["bench"])
  assert imported("benchmarks") - names(PROJECT["dependencies"]) == bench


def test_the_tests_declare_what_they_import_beside_the_library():
  known = names(PROJECT["dependencies"]) | names(PROJECT["optional-dependencies"]["bench"])
  groups = names(GROUPS["dev"]) | names(GROUPS["browser"])
  assert imported("tests", "scripts") - known == groups - TOOLS
  assert groups >= TOOLS


def test_there_is_no_second_list():
  found = {path.name for path in ROOT.glob("requirements*")}
  assert found == {"requirements.txt", "requirements-dev.txt"}


def locked():
  return tomllib.loads((ROOT / "uv.lock").read_text())


def test_the_lock_names_the_public_index_alone():
  for name in ("uv.lock", "requirements.txt", "requirements-dev.txt"):
    hosts = set(re.findall(r"\w+://[^/\"'\s]+", (ROOT / name).read_text()))
    assert hosts <= {"https://pypi.org", "https://files.pythonhosted.org"}, name
  sources = {tuple(package["source"].items()) for package in locked()["package"]}
  assert sources == {(("registry", "https://pypi.org/simple"),), (("editable", "."),)}


def uv(*arguments):
  program = pathlib.Path(sys.executable).with_name("uv")
  done = subprocess.run(
    [program, *arguments, "--offline", "--no-cache", "--default-index", "https://pypi.org/simple"],
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 0, f"{done.stderr}\nscripts/lock.sh makes the locks again"
  return done.stdout


def test_the_lock_is_that_of_pyproject():
  uv("lock", "--check")


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_requirements_are_exported_from_the_lock(name):
  text = (ROOT / name).read_text()
  command = re.search(r"^# +uv (export .*) --output-file", text, re.MULTILINE)[1]
  lines = [line for line in uv(*command.split()).splitlines() if not line.startswith("#")]
  assert lines == [line for line in text.splitlines() if not line.startswith("#")]


def test_every_requirement_has_a_hash():
  for name in ("requirements.txt", "requirements-dev.txt"):
    entries = re.split(r"\n(?=\S)", re.sub(r"^#.*\n", "", (ROOT / name).read_text(), flags=re.M))
    assert len(entries) > 15
    assert all("==" in entry and "--hash=sha256:" in entry for entry in entries)


def test_a_jaxlib_known_to_be_slow_is_never_allowed():
  (jax,) = (package for package in locked()["package"] if package["name"] == "jax")
  (jaxlib,) = (package for package in locked()["package"] if package["name"] == "jaxlib")
  assert jax["version"] == jaxlib["version"] == "0.10.2"
