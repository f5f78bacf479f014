"""Your own images: an .npz of arrays, or a folder of class folders of image files."""

import hashlib
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from hw1_jax.data.files import holds
from hw1_jax.errors import UserError, show

# How a setting names one: (regular expression, meaning).
PATH = (r".+\.npz|.*/.*", "a path: FILE.npz, or FOLDER/ with a folder of images for each class")

# Names of the arrays in an .npz: ours, ours split, Keras's.
NAMES = (
  ("images", "labels", "test_images", "test_labels"),
  ("train_images", "train_labels", "test_images", "test_labels"),
  ("x_train", "y_train", "x_test", "y_test"),
)
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".pgm", ".ppm", ".webp", ".tif", ".tiff")
MOST_CLASSES = 10_000  # our choice: a larger label is somebody's number, not a class
TEST_SHARE = 5  # without a test set every fifth example is one, as of the digits

Arrays = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def load_path(name: str) -> tuple[Arrays, int]:
  """Returns (arrays, number of classes) of the .npz or folder called `name`.

  The arrays are training images uint8 [N, H, W, C] and labels int32 [N], then the test set's.
  Without a test set every fifth example of each class is a test example (`is_test`). There are as
  many classes as the largest label says, plus one.

  Raises:
    UserError: nothing is there, arrays of other names, shapes or types, images of several sizes,
      files that are no images.
  """
  path = pathlib.Path(name).expanduser()
  try:
    is_file, is_folder = path.is_file(), path.is_dir()
  except OSError:  # a name that no file can have
    is_file = is_folder = False
  if is_folder:
    arrays = _load_folder(path)
  elif is_file and path.suffix == ".npz":
    arrays = _load_npz(path)
  else:
    there = holds(path.parent) if path.parent.is_dir() else "nor is its folder there"
    raise UserError("dataset", show(name), "an existing file or folder", there)
  num_classes = 1 + max(int(labels.max()) for labels in (arrays[1], arrays[3]))
  if num_classes < 2:
    raise UserError(name, "one class", "at least two")
  return arrays, num_classes


def is_test(labels: np.ndarray) -> np.ndarray:
  """Returns which examples are for testing, bool [N]: every fifth, ordered by class (stable)."""
  chosen = np.zeros(len(labels), bool)
  chosen[np.argsort(labels, kind="stable")[::TEST_SHARE]] = True
  return chosen


def _load_npz(path: pathlib.Path) -> Arrays:
  try:
    with np.load(path, allow_pickle=False) as file:
      found = {key: file[key] for key in file.files}
  except Exception as error:  # zipfile, zlib and numpy raise a dozen kinds for foreign bytes
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    raise UserError(str(path), reason, "an .npz of plain arrays") from None
  for images, labels, test_images, test_labels in NAMES:
    if images in found and labels in found:
      train = _checked(path, found, images, labels)
      if test_images in found and test_labels in found:
        test = _checked(path, found, test_images, test_labels)
        if train[0].shape[1:] != test[0].shape[1:]:
          shape, expected = test[0].shape[1:], train[0].shape[1:]
          raise UserError(f"{path}: {test_images}", f"images {shape}", f"{expected}, as {images}")
        return *train, *test
      return _split(path, *train)
  raise UserError(str(path), f"the arrays {', '.join(found) or 'none'}", "images and labels, or "
    "x_train, y_train, x_test and y_test")  # fmt: skip


def _checked(
  path: pathlib.Path, found: Mapping[str, np.ndarray], images_name: str, labels_name: str
) -> tuple[np.ndarray, np.ndarray]:
  """Returns (images uint8 [N, H, W, C], labels int32 [N]); UserError for other arrays."""
  images, labels = found[images_name], found[labels_name]
  got = f"{images.dtype} {list(images.shape)}"
  if images.dtype != np.uint8:
    advice = "images in [0, 1] become that by (255 * images).round().astype('uint8')"
    raise UserError(f"{path}: {images_name}", got, "uint8, 0 to 255", advice)
  if images.ndim not in (3, 4) or 0 in images.shape:
    raise UserError(f"{path}: {images_name}", got, "[N, height, width] or [N, height, width, C]")
  labels = labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels
  got = f"{labels.dtype} {list(labels.shape)}"
  if not np.issubdtype(labels.dtype, np.integer) or labels.shape != images.shape[:1]:
    expected = f"{len(images)} whole numbers, one an image"
    raise UserError(f"{path}: {labels_name}", got, expected)
  if labels.min() < 0 or labels.max() >= MOST_CLASSES:
    got = f"{labels.min()} to {labels.max()}"
    raise UserError(f"{path}: {labels_name}", got, f"0 to at most {MOST_CLASSES - 1}")
  return (images if images.ndim == 4 else images[..., None]), labels.astype(np.int32)


def _split(path: pathlib.Path, images: np.ndarray, labels: np.ndarray) -> Arrays:
  if len(labels) < 2:
    raise UserError(str(path), "one image", "at least two, as every fifth is for testing")
  test = is_test(labels)
  return images[~test], labels[~test], images[test], labels[test]


def _load_folder(path: pathlib.Path) -> Arrays:
  """Returns the images of `path`/CLASS/*, or of `path`/train/CLASS/* and `path`/test/CLASS/*.

  Classes are numbered in the order of their names. The examples are in the order of the SHA-256 of
  CLASS/FILE, which mixes the classes and is the same everywhere.
  """
  parts = [path / "train", path / "test"]
  if not all(part.is_dir() for part in parts):
    images, labels = _read_classes(path, _classes(path))
    return _split(path, images, labels)
  classes = _classes(parts[0])
  if classes != _classes(parts[1]):
    other = sorted(set(classes) ^ set(_classes(parts[1])))
    raise UserError(str(path), f"{other[0]} in one part only", "the same classes in train and test")
  train, test = (_read_classes(part, classes) for part in parts)
  if train[0].shape[1:] != test[0].shape[1:]:
    expected = f"{train[0].shape[1:]}, as in train"
    raise UserError(str(parts[1]), f"images {test[0].shape[1:]}", expected)
  return *train, *test


def _classes(path: pathlib.Path) -> list[str]:
  names = sorted(p.name for p in path.iterdir() if p.is_dir() and not p.name.startswith("."))
  if len(names) < 2:
    raise UserError(str(path), holds(path), "at least two folders of images, one for each class")
  return names


def _read_classes(path: pathlib.Path, classes: list[str]) -> tuple[np.ndarray, np.ndarray]:
  names = {
    f"{name}/{file.name}": label
    for label, name in enumerate(classes)
    for file in (path / name).iterdir()
    if file.suffix.lower() in SUFFIXES and not file.name.startswith(".")
  }
  for label, name in enumerate(classes):
    if label not in names.values():
      raise UserError(str(path / name), holds(path / name), f"images, {', '.join(SUFFIXES[:4])}...")
  order = sorted(names, key=lambda name: hashlib.sha256(os.fsencode(name)).digest())
  pictures = [_read_image(path / name) for name in order]
  colour = any(mode not in ("1", "L") for _, mode in pictures)
  arrays = [np.asarray(image.convert("RGB" if colour else "L")) for image, _ in pictures]
  for name, array in zip(order, arrays):
    if array.shape != arrays[0].shape:
      sizes = [f"{a.shape[1]} x {a.shape[0]}" for a in (array, arrays[0])]
      expected = f"{sizes[1]}, as {order[0]}"
      raise UserError(f"{path / name}", sizes[0], expected, "resize all images to one size first")
  images = np.stack(arrays)
  labels = np.array([names[name] for name in order], np.int32)
  return (images if colour else images[..., None]), labels


def _read_image(path: pathlib.Path) -> tuple[Any, str]:
  """Returns (Pillow's image, its mode); UserError where the file is none."""
  try:
    from PIL import Image
  except ImportError:
    raise UserError(
      "dataset", "a folder of images and no Pillow to read them", "Pillow", "pip install pillow"
    ) from None
  try:
    with Image.open(path) as image:
      image.load()
      return image, image.mode
  except Exception as error:  # Pillow raises a dozen kinds for foreign bytes
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    raise UserError(str(path), reason, "an image") from None
