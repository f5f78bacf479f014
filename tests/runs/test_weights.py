"""The weights that a run keeps: names, shapes, and the same outputs in PyTorch."""

import contextlib
import json
import pathlib
import re
import struct
import subprocess
import sys

import jax
import numpy as np
import pytest
from tiny import experiment, tiny_flags

from hw1_jax import models
from hw1_jax.command.main import main as hw1
from hw1_jax.errors import UserError
from hw1_jax.runs import weights
from hw1_jax.runs.main import main


def kept(tmp_path, model, shape, members=2):
  """Writes fresh parameters of a model as a run would; returns (folder, parameters)."""
  keys = jax.random.split(jax.random.key(0), members)
  params = models.init_members(model, keys, (1, *shape))
  weights.write_weights(tmp_path / "weights.npz", {"a/net": (params, shape)})
  return tmp_path, params


def test_a_file_has_every_parameter_under_its_name(tmp_path):
  model = models.parse_cnn("2k3p/5", num_classes=3)
  folder, params = kept(tmp_path, model, (8, 8, 1))
  arrays, shape = weights.read_weights(folder / "weights.npz")["a/net"]
  assert shape == (8, 8, 1)
  assert {name: array.shape for name, array in arrays.items()} == {
    "conv_00/bias": (2, 2), "conv_00/kernel": (2, 3, 3, 1, 2), "dense_00/bias": (2, 5),
    "dense_00/kernel": (2, 18, 5), "dense_01/bias": (2, 3), "dense_01/kernel": (2, 5, 3),
  }  # fmt: skip
  np.testing.assert_array_equal(arrays["dense_01/kernel"], params["dense_01"]["kernel"])


def test_every_training_of_a_run_is_kept(tmp_path):
  main(experiment("gradient_norm"), ["x", *tiny_flags("gradient_norm"), f"--workdir={tmp_path}"])
  arrays, _ = weights.read_weights(tmp_path / "weights.npz")["sinc"]
  vector = np.concatenate([arrays[name].reshape(2, -1) for name in sorted(arrays)], axis=1)
  result = np.load(tmp_path / "result.npz")
  np.testing.assert_array_equal(vector, result["final_params"])


def test_names_of_files_differ_and_are_plain():
  names = ["x*sin(8*x)/model_1", "x/sin(8*x)/model_1", "train", "model_1"]
  files = [weights.file_name(name) for name in names]
  assert len(set(files)) == len(files)
  assert files[2:] == names[2:]
  assert all(re.fullmatch(r"[\w.-]+", file) for file in files)


def in_torch(spec, state, shape):
  """Returns a PyTorch network of Conv2d, MaxPool2d and Linear layers with a state dict."""
  import torch
  from torch import nn

  layers = []
  for name, array in state.items():
    if name.endswith("bias"):
      continue
    if array.ndim == 4:
      layers += [nn.Conv2d(*array.shape[1::-1], array.shape[2]), nn.ReLU(), nn.MaxPool2d(2)]
    else:
      if not any(isinstance(layer, nn.Flatten) for layer in layers):
        layers.append(nn.Flatten())
      layers += [nn.Linear(*array.shape[::-1]), nn.ReLU()]
  network = nn.Sequential(*layers[:-1])
  tensors = map(torch.from_numpy, state.values())
  network.load_state_dict(dict(zip(network.state_dict(), tensors)))
  return network


def in_numpy(state, x):
  """Returns the logits of a state dict at images x [N, C, H, W], by PyTorch's definitions."""
  layers = [name.removesuffix(".weight") for name in state if name.endswith("weight")]
  for layer in layers:
    weight, bias = (state[f"{layer}.{leaf}"].astype(np.float64) for leaf in ("weight", "bias"))
    if weight.ndim == 4:
      size = weight.shape[2]
      windows = np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(2, 3))
      x = np.einsum("nchwij,ocij->nohw", windows, weight) + bias[:, None, None]
      x = np.maximum(x, 0)
      n, c, h, w = x.shape
      x = x[:, :, : h // 2 * 2, : w // 2 * 2].reshape(n, c, h // 2, 2, w // 2, 2).max(axis=(3, 5))
    else:
      x = x.reshape(len(x), -1) @ weight.T + bias
      x = np.maximum(x, 0) if layer != layers[-1] else x
  return x


def safetensors(path):
  """Returns the arrays of a safetensors file, in the order of its header."""
  raw = path.read_bytes()
  (size,) = struct.unpack("<Q", raw[:8])
  header, data = json.loads(raw[8 : 8 + size]), raw[8 + size :]
  order = header.pop("__metadata__")["order"].split(",")
  assert size % 8 == 0
  return {
    n: np.frombuffer(data[slice(*header[n]["data_offsets"])], "<f4").reshape(header[n]["shape"])
    for n in order
  }


@pytest.mark.parametrize(("spec", "shape"), [("6", (4, 5, 3)), ("3k2p-4k2p/6", (12, 12, 2))])
def test_numpy_computes_the_same_logits_from_an_exported_file(spec, shape, tmp_path, capsys):
  model = (models.make_cnn if "/" in spec else models.make_mlp)(spec, 3, shape)
  folder, params = kept(tmp_path, model, shape)
  assert hw1(["export", str(folder), "--format=safetensors"]) == 0
  forward = jax.jit(lambda params, x: models.apply(model, params, x))
  paths = [pathlib.Path(line) for line in capsys.readouterr().out.splitlines()]
  x = np.random.default_rng(0).random((4, *shape), np.float32)
  for m, path in enumerate(paths):
    theirs = in_numpy(safetensors(path), x.transpose(0, 3, 1, 2))
    ours = forward(jax.tree.map(lambda leaf, m=m: leaf[m], params), x)
    np.testing.assert_allclose(theirs, ours, rtol=1e-4, atol=1e-5)  # float32
  assert len(paths) == 2


def test_any_network_is_exported_with_its_own_names(tmp_path, capsys):
  weights.write_weights(tmp_path / "weights.npz", {"fit": ({"w": np.ones((1, 2, 3))}, (2,))})
  assert hw1(["export", str(tmp_path)]) == 2
  assert "--format=jax keeps names and shapes of any network" in capsys.readouterr().err
  assert hw1(["export", str(tmp_path), "--format=jax"]) == 0
  (line,) = capsys.readouterr().out.splitlines()
  raw = pathlib.Path(line).read_bytes()
  header = json.loads(raw[8 : 8 + struct.unpack("<Q", raw[:8])[0]])
  assert header["w"] == {"dtype": "F64", "shape": [2, 3], "data_offsets": [0, 48]}


@pytest.mark.parametrize(
  ("spec", "shape"),
  [("6-4", (5, 5, 1)), ("6", (4, 5, 3)), ("3k2p-4k2p/6", (12, 12, 2)), ("3k3p/", (8, 8, 1))],
)
def test_pytorch_computes_the_same_outputs(spec, shape, tmp_path):
  torch = pytest.importorskip("torch", reason="PyTorch is not installed")
  load_file = None
  with contextlib.suppress(ImportError):
    from safetensors.torch import load_file
  model = (models.make_cnn if "/" in spec else models.make_mlp)(spec, 3, shape)
  folder, params = kept(tmp_path, model, shape)
  weights.export(folder, "safetensors")
  done = subprocess.run([sys.executable, "-m", "hw1_jax.runs.weights", str(folder)], check=True,
                        capture_output=True, text=True)  # fmt: skip
  assert len(done.stdout.splitlines()) == 2
  x = np.random.default_rng(0).random((4, *shape), np.float32)
  for m in range(2):
    with np.load(folder / "torch" / f"{weights.file_name('a/net')}.run{m + 1}.npz") as file:
      network = in_torch(spec, dict(file), shape)
    with torch.no_grad():
      if load_file:
        tensors = load_file(
          folder / "torch" / f"{weights.file_name('a/net')}.run{m + 1}.safetensors"
        )
        names = sorted(tensors, key=list(file.files).index)
        network.load_state_dict(dict(zip(network.state_dict(), [tensors[name] for name in names])))
      theirs = network(torch.from_numpy(x.transpose(0, 3, 1, 2).copy())).numpy()
    ours = models.apply(model, jax.tree.map(lambda leaf, m=m: leaf[m], params), x)
    np.testing.assert_allclose(theirs, ours, rtol=1e-4, atol=1e-5)  # float32, other order of sums


def test_the_order_is_weight_then_bias_layer_after_layer(tmp_path):
  model = models.MLP((4, 3))
  folder, _ = kept(tmp_path, model, (2,), members=1)
  (path,) = weights.export(folder)
  with np.load(path) as file:
    names = ["dense_00.weight", "dense_00.bias", "dense_01.weight", "dense_01.bias"]
    assert file.files == names
    assert file["dense_00.weight"].shape == (4, 2)


def test_what_cannot_be_exported_is_one_line(tmp_path):
  with pytest.raises(UserError, match=r"weights\.npz is missing; run the experiment first"):
    weights.export(tmp_path)
  with pytest.raises(UserError, match="expected those of this project's MLPs and CNNs"):
    weights.to_torch({"hidden": np.zeros((2, 3))}, (2,))
  (tmp_path / "weights.npz").write_text("no archive")
  with pytest.raises(UserError, match=r"weights\.npz is damaged"):
    weights.export(tmp_path)
