"""The registered image sets' file formats: IDX, Keras's npz, CIFAR-10's binary, SVHN's MATLAB."""

import contextlib
import hashlib
import io
import pathlib
import struct
import tarfile
from typing import Any

import numpy as np

from hw1_jax.data import files
from hw1_jax.data.files import REMEDY
from hw1_jax.errors import UserError

# Images [N, H, W, C] and labels [N], uint8: training, then test.
Arrays = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]

CIFAR10_FILES = ("cifar-10-binary.tar.gz",)
SVHN_FILES = ("train_32x32.mat", "test_32x32.mat")
KERAS_FILE = "mnist.npz"
NUM_CLASSES = 10  # of every registered set


def load_idx(name: str, data_dir: Any, manual_dir: Any, show_progress: bool) -> Arrays:
  """Returns a set of the MNIST family; arguments and errors of `load_images`."""
  if name == "mnist" and manual_dir and (found := _load_keras(pathlib.Path(manual_dir))):
    return found
  urls, url_infos = files._registry(name)
  originals = files.load_originals(name, urls, url_infos, data_dir, manual_dir, show_progress)
  arrays = [_parse_idx(content, 3 if "images" in file else 1, path)
            for file, path, content in originals]  # fmt: skip
  for images, labels in (arrays[:2], arrays[2:]):
    if len(images) != len(labels) or labels.max(initial=0) >= NUM_CLASSES:
      raise UserError(
        name,
        f"{len(images)} images with {len(labels)} labels up to {labels.max(initial=0)}",
        f"one label below {NUM_CLASSES} an image",
        REMEDY,
      )
  train_images, train_labels, test_images, test_labels = arrays
  return train_images[..., None], train_labels, test_images[..., None], test_labels


def _parse_idx(raw: bytes, num_axes: int, path: pathlib.Path) -> np.ndarray:
  """Returns the uint8 array of an IDX file; UserError if it is not one with `num_axes`.

  IDX: two zero bytes, the type (8 is uint8), the number of axes, each axis' length as a big-endian
  32-bit integer, then the entries row-major (LeCun's MNIST page).
  """
  magic, size = bytes((0, 0, 8, num_axes)), 4 + 4 * num_axes
  if raw[:4] != magic or len(raw) < size:
    got, expected = f"header {raw[:size].hex()!r}", f"IDX, {size} bytes from {magic.hex()} on"
    raise UserError(str(path), got, expected, REMEDY)
  shape = tuple(int(length) for length in np.frombuffer(raw, ">u4", num_axes, 4))
  entries = np.frombuffer(raw, np.uint8, offset=size)
  if entries.size != np.prod(shape, dtype=np.int64):
    raise UserError(str(path), f"{entries.size} entries", f"{shape} from IDX", REMEDY)
  return entries.reshape(shape)


def _load_keras(place: pathlib.Path) -> Arrays | None:
  """Returns MNIST from Keras's mnist.npz, given it or its folder; None where there is none.

  Its arrays, written as IDX, must be the original files' content.
  """
  place = place.expanduser()
  path = place if place.suffix == ".npz" else place / KERAS_FILE
  has_originals = any(files.find(place, name).is_file() for name in files.FILE_NAMES)
  if not path.is_file() or has_originals:
    return None
  arrays = []
  keys = ("x_train", "y_train", "x_test", "y_test")
  # numpy and zipfile raise a dozen kinds for foreign bytes
  with contextlib.suppress(Exception), np.load(path, allow_pickle=False) as file:
    arrays = [np.ascontiguousarray(file[key]).astype(np.uint8, casting="same_kind")
                for key in keys]  # fmt: skip
  for i, (key, (name, expected)) in enumerate(zip(keys, files.MNIST_CONTENT.items())):
    got = "no such array"
    if len(arrays) == len(keys):
      got = hashlib.sha256(as_idx(arrays[i])).hexdigest()
    if got != expected:
      raise UserError(f"{path}: {key}", got, f"the content of {name}, SHA-256 {expected}", REMEDY)
  return arrays[0][..., None], arrays[1], arrays[2][..., None], arrays[3]


def as_idx(array: np.ndarray) -> bytes:
  """Returns a uint8 array as the bytes of an IDX file."""
  header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
  return header + array.astype(np.uint8).tobytes()


def load_cifar10(name: str, data_dir: Any, manual_dir: Any, show_progress: bool) -> Arrays:
  """Returns CIFAR-10 from its binary archive, 32 x 32 x 3; see `load_images`.

  A record is a label and 3 x 32 x 32 bytes, channels first (the data set's page).
  """
  urls, url_infos = files._registry("cifar10", CIFAR10_FILES)
  originals = files.load_originals(name, urls, url_infos, data_dir, manual_dir, show_progress)
  ((_, path, content),) = originals
  sets: dict[str, list[np.ndarray]] = {"data": [], "test": []}
  try:
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
      for member in sorted(archive.getmembers(), key=lambda member: member.name):
        kind = pathlib.PurePath(member.name).name.split("_")[0]
        if member.name.endswith(".bin") and (stream := archive.extractfile(member)):
          sets[kind].append(np.frombuffer(stream.read(), np.uint8).reshape(-1, 3073))
    train, test = (np.concatenate(parts) for parts in sets.values())
  except (tarfile.TarError, EOFError, KeyError, ValueError) as error:
    raise UserError(str(path), str(error), "CIFAR-10's binary archive", REMEDY) from error

  def images(records: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))

  return images(train), train[:, 0], images(test), test[:, 0]


def load_svhn(name: str, data_dir: Any, manual_dir: Any, show_progress: bool) -> Arrays:
  """Returns SVHN's cropped digits, 32 x 32 x 3, without the extra set; see `load_images`.

  MATLAB files with X [32, 32, 3, N] and y [N, 1]; the label 10 is the digit 0.
  """
  from scipy.io import loadmat

  urls, url_infos = files._registry("svhn_cropped", SVHN_FILES)
  originals = files.load_originals(name, urls, url_infos, data_dir, manual_dir, show_progress)
  arrays = []
  for _, path, content in originals:
    try:
      found = loadmat(io.BytesIO(content))
      images, labels = found["X"].transpose(3, 0, 1, 2), found["y"].ravel() % 10
    except Exception as error:  # scipy raises a dozen kinds
      raise UserError(str(path), str(error), "SVHN's MATLAB file", REMEDY) from error
    arrays += [np.ascontiguousarray(images), labels.astype(np.uint8)]
  return arrays[0], arrays[1], arrays[2], arrays[3]
