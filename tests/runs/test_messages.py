"""Messages name settings; only the command line writes them as flags."""

import ast
import pathlib
import re

import pytest

from hw1_jax.runs.flags import as_flags

ROOT = pathlib.Path(__file__).resolve().parents[2]
NAMES = ("seed", "widths", "workdir", "overwrite", "num_runs", "runs")


def texts(path):
  """Returns (line, text) of every string of a module that is not a docstring."""
  tree = ast.parse(path.read_text())
  docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
  return [
    (node.lineno, node.value)
    for node in ast.walk(tree)
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs
  ]


FILES = [
  path
  for path in sorted([*(ROOT / "hw1_jax").rglob("*.py"), *(ROOT / "experiments").rglob("*.py")])
  if path.parent.name not in ("runs", "command")  # these read command lines
  and path != ROOT / "hw1_jax" / "report" / "main.py"  # and this one
]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_flag_is_named_but_where_command_lines_are_read(path):
  found = [(line, text) for line, text in texts(path) if re.search(r"--\w", text)]
  assert not found


@pytest.mark.parametrize(
  ("message", "line"),
  [
    ("seed: got -1, expected at least 0", "--seed: got -1, expected at least 0"),
    ("a; use num_runs=1 or overwrite=true", "a; use --num_runs=1 or --overwrite"),
    ("a (workdir=FOLDER)", "a (--workdir=FOLDER)"),
    ("'widths=3' is 'seed=1'; seed=2", "'widths=3' is 'seed=1'; --seed=2"),
    ("/x/seed=3/y: gone; my_seed=3, --seed=3", "/x/seed=3/y: gone; my_seed=3, --seed=3"),
    ("12 runs: seed not given", "12 runs: seed not given"),
    ("overwrite=trueish", "--overwrite=trueish"),
  ],
)
def test_settings_become_flags_at_the_edge(message, line):
  assert as_flags(message, NAMES) == line
