"""The final parameters of every training in one file, and PyTorch's form of them.

    weights.npz     'TRAINING/dense_00/kernel' [M, in, out], ..., and 'TRAINING/input_shape'
    hw1 export RUN_FOLDER                          writes RUN_FOLDER/torch/TRAINING.run1.npz, ...
    hw1 export RUN_FOLDER --format=safetensors     the same as safetensors; jax: names as trained

In PyTorch, where `model` has the same layers in the same order:

    arrays = np.load("torch/train.run1.npz")
    tensors = map(torch.from_numpy, arrays.values())
    model.load_state_dict(dict(zip(model.state_dict(), tensors)))
"""

import io
import json
import math
import re
import struct
import sys
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from hw1_jax.errors import UserError
from hw1_jax.runs.files import cannot_write, damaged, write_bytes

FILE = "weights.npz"
SHAPE = "input_shape"  # an entry beside a training's parameters: one example's shape

Training = tuple[Any, Sequence[int]]  # parameters, leaves [M, ...], and one example's shape


def write_weights(path: Path, trainings: Mapping[str, Training]) -> None:
  """Writes every training's parameters under its name and theirs in the tree, joined by '/'."""
  arrays: dict[str, np.ndarray] = {}
  for training, (params, input_shape) in trainings.items():
    for place, leaf in jax.tree_util.tree_flatten_with_path(params)[0]:
      name = jax.tree_util.keystr(place, simple=True, separator="/")
      arrays[f"{training}/{name}"] = np.asarray(leaf)
    arrays[f"{training}/{SHAPE}"] = np.array(input_shape, np.int64)
  write_bytes(path, pack_npz(arrays))


def read_weights(path: Path) -> dict[str, tuple[dict[str, np.ndarray], tuple[int, ...]]]:
  """Returns {training: ({name: [M, ...]}, one example's shape)}; UserError for a foreign file."""
  try:
    with np.load(path, allow_pickle=False) as file:
      arrays = {name: file[name] for name in file.files}
    found = {}
    for training in [name.removesuffix(f"/{SHAPE}") for name in arrays if name.endswith(SHAPE)]:
      mine = {n.removeprefix(f"{training}/"): v for n, v in arrays.items()
              if n.startswith(f"{training}/")}  # fmt: skip
      shape = tuple(map(int, mine.pop(SHAPE)))
      found[training] = (mine, shape)
    return found
  except FileNotFoundError:
    raise UserError(f"{path} is missing", remedy="run the experiment first") from None
  except Exception as error:  # zipfile, zlib and numpy raise a dozen kinds for foreign bytes
    raise damaged(path, error) from None


def file_name(training: str) -> str:
  """Returns a training's name as file names write it."""
  plain = re.sub(r"[^\w.-]+", "_", training).strip("_.")
  return plain if plain == training else f"{plain}_{zlib.crc32(training.encode()):08x}"


def to_torch(params: Mapping[str, np.ndarray], input_shape: Sequence[int]) -> dict[str, np.ndarray]:
  """Returns one run's parameters as a PyTorch state dict has them, in its order.

  'conv_00/kernel' [kh, kw, in, out] becomes 'conv_00.weight' [out, in, kh, kw], 'dense_00/kernel'
  [in, out] becomes 'dense_00.weight' [out, in]; weight before bias, layer after layer. PyTorch
  flattens an image channels first, we channels last: the rows of the first dense layer behind a
  convolution are put in PyTorch's order.

  Args:
    params: {'LAYER/kernel', 'LAYER/bias'} of an MLP or CNN of `models`.
    input_shape: of one example.

  Raises:
    UserError: other names than these, or a CNN on images that are not square.
  """
  layers = sorted({name.partition("/")[0] for name in params})
  expected = {f"{layer}/{leaf}" for layer in layers for leaf in ("kernel", "bias")}
  if set(params) != expected or not all(re.fullmatch(r"(conv|dense)_\d+", n) for n in layers):
    raise UserError("weights", ", ".join(list(params)[:6]), "those of this project's MLPs and CNNs",
                    "format=jax keeps names and shapes of any network")  # fmt: skip
  found: dict[str, np.ndarray] = {}
  channels = 0  # of the convolution before
  for layer in layers:
    kernel, bias = params[f"{layer}/kernel"], params[f"{layer}/bias"]
    if layer.startswith("conv"):
      weight, channels = kernel.transpose(3, 2, 0, 1), kernel.shape[3]
    else:
      if channels:
        side = math.isqrt(kernel.shape[0] // channels)
        if input_shape[0] != input_shape[1]:
          raise UserError("weights", f"images of {list(input_shape[:2])}", "square ones")
        kernel = kernel.reshape(side, side, channels, -1).transpose(2, 0, 1, 3)
        kernel = kernel.reshape(side * side * channels, -1)
      elif layer == layers[0] and len(input_shape) == 3 and input_shape[2] > 1:
        height, width, depth = input_shape
        kernel = kernel.reshape(height, width, depth, -1).transpose(2, 0, 1, 3)
        kernel = kernel.reshape(height * width * depth, -1)
      weight, channels = kernel.T, 0
    found[f"{layer}.weight"] = np.ascontiguousarray(weight)
    found[f"{layer}.bias"] = bias
  return found


SAFETENSORS_TYPES = {"float32": "F32", "float64": "F64"}


def pack_safetensors(arrays: Mapping[str, np.ndarray]) -> bytes:
  """Returns a safetensors file: the header's length, the header as JSON, the arrays' bytes.

  The order of the names, which readers need not keep, stands in the metadata as "order".
  """
  header: dict[str, Any] = {"__metadata__": {"format": "pt", "order": ",".join(arrays)}}
  parts, end = [], 0
  for name, array in arrays.items():
    parts.append(array.astype(array.dtype.newbyteorder("<")).tobytes())
    offsets, end = [end, end + len(parts[-1])], end + len(parts[-1])
    kind = SAFETENSORS_TYPES[array.dtype.name]
    header[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": offsets}
  text = json.dumps(header).encode()
  text += b" " * (-len(text) % 8)  # the data begins at a multiple of 8
  return struct.pack("<Q", len(text)) + text + b"".join(parts)


def pack_npz(arrays: Mapping[str, np.ndarray]) -> bytes:
  """Returns an .npz file."""
  buffer = io.BytesIO()
  np.savez(buffer, allow_pickle=False, **arrays)
  return buffer.getvalue()


# What each writes: as PyTorch's state dicts, or with the names and shapes of the training.
FORMATS = {
  "npz": ("torch", "npz", pack_npz),
  "safetensors": ("torch", "safetensors", pack_safetensors),
  "jax": ("jax", "safetensors", pack_safetensors),
}


def export(folder: Path, format: str = "npz") -> list[Path]:
  """Writes every run of every training of a run folder in one of FORMATS; returns the files.

  They are torch/TRAINING.run1.npz, ..., in the run folder; of the format "jax", which any network
  has, jax/TRAINING.run1.safetensors, ....
  """
  layout, suffix, pack = FORMATS[format]
  written = []
  for training, (arrays, input_shape) in read_weights(folder / FILE).items():
    for m in range(len(next(iter(arrays.values())))):
      one = {name: array[m] for name, array in arrays.items()}
      one = to_torch(one, input_shape) if layout == "torch" else one
      path = folder / layout / f"{file_name(training)}.run{m + 1}.{suffix}"
      try:
        path.parent.mkdir(exist_ok=True)
      except OSError as error:
        raise cannot_write(path.parent, error) from None
      write_bytes(path, pack(one))
      written.append(path)
  return written


def main(argv: Sequence[str]) -> int:
  """Exports the run folders of a command line; returns the exit code."""
  if len(argv) < 2 or argv[1].startswith("-"):
    print("usage: python -m hw1_jax.runs.weights RUN_FOLDER ...", file=sys.stderr)
    return 2
  try:
    for folder in argv[1:]:
      for path in export(Path(folder)):
        print(path)
  except UserError as error:
    print(f"weights: {error}", file=sys.stderr)
    return 2
  return 0


if __name__ == "__main__":
  sys.exit(main(sys.argv))
