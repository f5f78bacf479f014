"""The house: floors are folders, imports go only downwards, and only the edge touches the world.

The floors and their rooms are read from the tree; what stands here is their order.
"""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "hw1_jax"
FLOORS = (
  "",
  "data",
  "models",
  "training",
  "analysis",
  "runs",
  "report",
  "command",
)  # "": the modules beside
WORLD = {"os", "sys", "time", "pathlib", "absl", "matplotlib", "tqdm", "signal", "subprocess"}
EDGE = {"runs", "report", "command"}
# They read and download: that is what they are for.
MAY_TOUCH_FILES = {"data.files", "data.formats", "data.images", "data.own"}


def modules():
  return sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def name_of(path):
  """Returns 'data.files' for hw1_jax/data/files.py, 'data' for the floor's __init__."""
  parts = path.relative_to(PACKAGE).with_suffix("").parts
  return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def floor_of(name):
  """Returns the number of the floor of a module such as 'data.files', 'rng', or a floor."""
  first = name.split(".")[0]
  return FLOORS.index(first if (PACKAGE / first).is_dir() else "")


def imports(path):
  """Returns every imported name of a module, 'hw1_jax.rng' for `from hw1_jax import rng`."""
  names = set()
  for node in ast.walk(ast.parse(path.read_text())):
    if isinstance(node, ast.Import):
      names |= {alias.name for alias in node.names}
    elif isinstance(node, ast.ImportFrom) and not (node.level and PACKAGE not in path.parents):
      assert node.level == 0, f"{path.name}: relative import"
      names.add(node.module)
      names |= {f"{node.module}.{alias.name}" for alias in node.names}
  return names


def test_the_floors_are_the_folders():
  folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
  assert folders == set(FLOORS[1:])


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_modules_import_only_downwards(path):
  here = name_of(path)
  for name in imports(path):
    assert not name.startswith(("experiments", "tests", "benchmarks")), f"{here}: {name}"
    if name.startswith("hw1_jax."):
      there = name.removeprefix("hw1_jax.")
      assert floor_of(there) <= floor_of(here), f"{here} imports {name}, a floor above it"


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_numerical_modules_touch_no_files_flags_or_clocks(path):
  here = name_of(path)
  if here.split(".")[0] in EDGE or here in MAY_TOUCH_FILES:
    return
  roots = {name.split(".")[0] for name in imports(path)}
  assert not roots & WORLD, f"{here} imports {sorted(roots & WORLD)}"
  for node in ast.walk(ast.parse(path.read_text())):
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
      assert node.func.id not in ("print", "open"), f"{here}:{node.lineno}"
    if isinstance(node, ast.Attribute) and node.attr == "config":
      assert not (isinstance(node.value, ast.Name) and node.value.id == "jax"), here


@pytest.mark.parametrize(
  "path",
  sorted((ROOT / "experiments").rglob("*.py")),
  ids=lambda path: "-".join(path.relative_to(ROOT / "experiments").with_suffix("").parts),
)
def test_experiments_do_not_import_each_other_or_touch_the_world(path):
  names = imports(path)
  assert not any(name.startswith("experiments") for name in names)
  allowed = {"matplotlib"} if path.stem == "figures" else set()
  assert not {name.split(".")[0] for name in names} & (WORLD - allowed)
  for node in ast.walk(ast.parse(path.read_text())):
    if isinstance(node, ast.ImportFrom) and node.level == 2:  # the shared vocabulary alone
      assert node.module is None
      assert [alias.name for alias in node.names] == ["settings"]
    assert not isinstance(node, ast.ImportFrom) or node.level <= 2


def functions(path):
  return [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.FunctionDef)]


MODULE_LINES, RUN_LINES, FUNCTION_LINES = 300, 150, 60
# Longer, with the reason; whoever shortens one takes it off the list, and the test says so.
LONG_MODULES: dict[str, str] = {
  "hw1_jax/models/convolution.py": "one algorithm: forward, backward and the layout they share",
}
LONG_FUNCTIONS: dict[str, str] = {
  "experiments/gradient_norm/findings.py:summarize": "one passage of the page, top to bottom",
  "experiments/interpolation/findings.py:summarize": "one passage of the page, top to bottom",
  "experiments/optimization_path/findings.py:summarize": "one passage of the page, top to bottom",
  "experiments/sensitivity/findings.py:summarize": "one passage of the page, top to bottom",
}


def test_modules_and_functions_keep_their_budgets():
  long_modules, long_functions = {}, {}
  for path in sorted([*PACKAGE.rglob("*.py"), *(ROOT / "experiments").rglob("*.py")]):
    name = str(path.relative_to(ROOT))
    lines = len(path.read_text().splitlines())
    in_run = path.stem == "run" and path.parent.parent.name == "experiments"
    if lines > (RUN_LINES if in_run else MODULE_LINES):
      long_modules[name] = lines
    for function in functions(path):
      length = function.end_lineno - function.lineno + 1
      docstring = ast.get_docstring(function)
      length -= len(docstring.splitlines()) + 1 if docstring else 0  # prose is not code
      if length > FUNCTION_LINES:
        long_functions[f"{name}:{function.name}"] = length
  assert set(long_modules) == set(LONG_MODULES), long_modules
  assert set(long_functions) == set(LONG_FUNCTIONS), long_functions


def test_there_is_no_cycle():
  graph = {
    name_of(path): {n.removeprefix("hw1_jax.") for n in imports(path) if n.startswith("hw1_jax.")}
    for path in modules()
    if path.name != "__init__.py"  # a floor's map: it imports its own rooms
  }
  while graph:
    leaves = [name for name, needs in graph.items() if not needs & set(graph)]
    assert leaves, f"import cycle among {sorted(graph)}"
    graph = {name: needs for name, needs in graph.items() if name not in leaves}
