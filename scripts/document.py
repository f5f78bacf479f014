"""Writes docs/arrays.md: every array of every result.npz, from the Results in experiments/.

python scripts/document.py
"""

import importlib
import pathlib
import sys
import typing

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from hw1_jax.report.assignment import topics  # noqa: E402 found by the line above
from hw1_jax.runs.axes import describe  # noqa: E402

HEAD = """# The arrays of result.npz

Written by `scripts/document.py` from the `Result` of each `experiments/NAME/run.py`.

`numpy.load(path, allow_pickle=False)` opens the file. M runs, P parameters, E epochs, N points, A
alphas, S snapshots; losses are mean squared errors for functions and cross-entropies in nats for
images, accuracies are in [0, 1]. Entries named `a/b` are one array for every `b`.

**A parameter vector** is the concatenation of the layers in the order of the forward pass; of
each layer first the bias, [outputs], then the kernel, row-major: [inputs, outputs] for a dense
layer, [height, width, inputs, outputs] for a convolution. (It is JAX's order of the leaves of
`{"dense_00": {"bias", "kernel"}, "dense_01": ...}`.) A network computes `activation(x @ kernel +
bias)`, the last layer without activation; an image is flattened row by row. `pytrees.ravel` makes
the vector, and returns the way back.
"""


def table() -> str:
  """Returns the document: one section an experiment, one row an array."""
  parts = [HEAD]
  for topic in topics():
    result = importlib.import_module(f"experiments.{topic.experiment}").EXPERIMENT.result
    annotations = typing.get_type_hints(result)
    parts.append(f"## {topic.number} `{topic.experiment}`\n")
    parts.append("| array | shape, type, unit |\n| --- | --- |")
    for field, described in describe(result).items():
      name = f"{field}/..." if annotations[field] is not np.ndarray else field
      text = described.text.replace("|", "\\|")
      parts.append(f"| `{name}` | {text} |")
    parts.append("")
  return "\n".join(parts)


if __name__ == "__main__":
  (ROOT / "docs" / "arrays.md").write_text(table())
