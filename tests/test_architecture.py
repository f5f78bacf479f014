"""The layers of the house: modules import only downwards, and only the edge touches the world."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
LAYERS = (
  {"rng", "pytrees", "losses", "settings", "monitoring", "summary", "convolution"},
  {"data", "models", "optimizers"},
  {"training", "fitting", "evaluation", "parallel"},
  {"trajectory", "curvature", "critical_points", "landscape", "sensitivity"},
  {"runs", "memory", "distributed", "resuming", "cli", "figures", "report"},
)
WORLD = {"os", "sys", "time", "pathlib", "absl", "matplotlib", "tqdm", "signal", "subprocess"}
# data.py reads and downloads files: that is what it is for.
MAY_TOUCH_FILES = {"data"}


def modules():
  return sorted((ROOT / "hw1_jax").glob("*.py"))


def imports(path):
  """Returns every imported name of a module, 'hw1_jax.rng' for `from hw1_jax import rng`."""
  names = set()
  for node in ast.walk(ast.parse(path.read_text())):
    if isinstance(node, ast.Import):
      names |= {alias.name for alias in node.names}
    elif isinstance(node, ast.ImportFrom):
      assert node.level == 0, f"{path.name}: relative import"
      names.add(node.module)
      names |= {f"{node.module}.{alias.name}" for alias in node.names}
  return names


def layer_of(name):
  (level,) = [i for i, layer in enumerate(LAYERS) if name in layer]
  return level


@pytest.mark.parametrize("path", modules(), ids=lambda p: p.stem)
def test_modules_import_only_downwards(path):
  if path.stem == "__init__":
    assert not imports(path)
    return
  known = set().union(*LAYERS)
  assert path.stem in known, f"{path.name} has no layer; give it one above"
  for name in imports(path):
    assert not name.startswith(("experiments", "tests", "benchmarks")), f"{path.name}: {name}"
    parts = name.split(".")
    if parts[0] == "hw1_jax" and len(parts) > 1:
      assert layer_of(parts[1]) <= layer_of(path.stem), f"{path.name} imports {name} above it"


@pytest.mark.parametrize("path", modules(), ids=lambda p: p.stem)
def test_numerical_modules_touch_no_files_flags_or_clocks(path):
  if path.stem in LAYERS[-1] | MAY_TOUCH_FILES | {"__init__"}:
    return
  roots = {name.split(".")[0] for name in imports(path)}
  assert not roots & WORLD, f"{path.name} imports {sorted(roots & WORLD)}"
  for node in ast.walk(ast.parse(path.read_text())):
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
      assert node.func.id not in ("print", "open"), f"{path.name}:{node.lineno}"
    if isinstance(node, ast.Attribute) and node.attr == "config":
      assert not (isinstance(node.value, ast.Name) and node.value.id == "jax"), path.name


@pytest.mark.parametrize("path", sorted((ROOT / "experiments").glob("*.py")), ids=lambda p: p.stem)
def test_experiments_do_not_import_each_other_or_touch_the_world(path):
  names = imports(path)
  assert not any(name.startswith("experiments") for name in names)
  allowed = {"matplotlib"}  # Figure, as a type
  assert not {name.split(".")[0] for name in names} & (WORLD - allowed)


def test_there_is_no_cycle():
  graph = {
    path.stem: {n.split(".")[1] for n in imports(path) if n.startswith("hw1_jax.")}
    for path in modules()
  }
  while graph:
    leaves = [name for name, needs in graph.items() if not needs & set(graph)]
    assert leaves, f"import cycle among {sorted(graph)}"
    graph = {name: needs for name, needs in graph.items() if name not in leaves}
