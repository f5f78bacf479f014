"""Image sets: uint8 arrays, loaded by name or from a path of your own."""

import dataclasses
import functools
import hashlib
import os
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hw1_jax.data import formats, own
from hw1_jax.data.files import _quiet
from hw1_jax.errors import UserError, show

# The sets that have a name, and their images' height and width.
IMAGE_SIZES = {
  "digits": 28,
  "mnist": 28,
  "fashion_mnist": 28,
  "kmnist": 28,
  "cifar10": 32,
  "svhn": 32,
}
IMAGE_SETS = tuple(IMAGE_SIZES)
TITLES = {
  "mnist": "MNIST",
  "fashion_mnist": "Fashion-MNIST",
  "kmnist": "KMNIST",
  "cifar10": "CIFAR-10",
  "svhn": "SVHN",
}


def title(dataset: str) -> str:
  """Returns an image set's name as texts write it; your own images keep theirs.

  >>> title("mnist"), title("digits")
  ('MNIST', 'digits')
  """
  return TITLES.get(dataset, dataset)


# Image sets.


@dataclasses.dataclass(frozen=True, eq=False)
class ImageData:
  """A training and a test set of images, in NumPy arrays."""

  train_images: np.ndarray  # uint8 [N, H, W, C], 0 to 255
  train_labels: np.ndarray  # int32 [N], 0 to num_classes - 1
  test_images: np.ndarray
  test_labels: np.ndarray
  num_classes: int
  name: str

  def __post_init__(self) -> None:
    """Raises TypeError or ValueError for arrays that would be computed with, and wrongly so."""
    for part in ("train", "test"):
      images, labels = (
        np.asarray(getattr(self, f"{part}_{kind}")) for kind in ("images", "labels")
      )
      if images.dtype != np.uint8 or images.ndim != 4:
        got = f"{images.dtype} {list(images.shape)}"
        raise TypeError(f"{part}_images: got {got}, expected uint8 [N, H, W, C], 0 to 255")
      if labels.shape != images.shape[:1] or not np.issubdtype(labels.dtype, np.integer):
        got = f"{labels.dtype} {list(labels.shape)}"
        raise TypeError(f"{part}_labels: got {got}, expected whole numbers [{len(images)}]")
      if labels.size and not 0 <= labels.min() <= labels.max() < self.num_classes:
        got = f"{labels.min()} to {labels.max()}"
        raise ValueError(f"{part}_labels: got {got}, expected 0 to {self.num_classes - 1}")

  @functools.cached_property
  def checksum(self) -> str:
    """The SHA-256 (hex) of the four arrays' bytes, in the order of the fields."""
    digest = hashlib.sha256()
    for array in (self.train_images, self.train_labels, self.test_images, self.test_labels):
      digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def load_images(
  name: str,
  *,
  data_dir: str | os.PathLike | None = None,
  manual_dir: str | os.PathLike | None = None,
  show_progress: bool = False,
) -> ImageData:
  """Returns the image set `name`: one of IMAGE_SETS, an .npz or a folder (`own.load_path`).

  "digits" ships with scikit-learn and needs no file. The other names are sets of a few files, whose
  addresses, sizes and SHA-256 sums the TFDS registry knows; each is checked at every load.

  Args:
    name: of the image set, or a path of the form `own.PATH`.
    data_dir: the files are kept in `data_dir`/downloads/`name` under their own names, so the next
      call needs no network (and that folder can serve as a `manual_dir`). Default: TFDS's,
      ~/tensorflow_datasets or $TFDS_DATA_DIR.
    manual_dir: a folder with the original files; nothing is downloaded or written then. MNIST's
      may also be decompressed or compressed again, have a dot before `idx`, lie in torchvision's
      MNIST/raw, or be Keras's mnist.npz: what is inside must be the original.
    show_progress: TFDS's progress bars while downloading, on stderr.

  Raises:
    UserError: an unknown name; a file missing, truncated, altered or malformed; no network; a
      folder that cannot be written; `manual_dir` for a set that has no such files.
  """
  named = name in IMAGE_SETS
  if not named and not re.fullmatch(own.PATH[0], name):
    raise UserError("dataset", show(name), f"one of {', '.join(IMAGE_SETS)}, or {own.PATH[1]}")
  if manual_dir is not None and (name == "digits" or not named):
    where = "is embedded" if named else "is read from its own path"
    raise UserError(
      "manual_dir",
      show(str(manual_dir)),
      f"none with dataset={name}, which {where}",
      "use dataset=mnist, or leave manual_dir out",
    )
  if name == "digits":
    return _load_digits()
  if not named:
    arrays, num_classes = own.load_path(name)
    return ImageData(*arrays, num_classes, name)
  load = {"cifar10": formats.load_cifar10, "svhn": formats.load_svhn}.get(name, formats.load_idx)
  with _quiet():
    train_images, train_labels, test_images, test_labels = load(
      name, data_dir, manual_dir, show_progress
    )
  return ImageData(
    train_images=train_images,
    train_labels=train_labels.astype(np.int32),
    test_images=test_images,
    test_labels=test_labels.astype(np.int32),
    num_classes=formats.NUM_CLASSES,
    name=name,
  )


def _load_digits() -> ImageData:
  """Returns scikit-learn's 1,797 real digits, 8 x 8 of 0..16, as 28 x 28 of 0..255.

  Each pixel becomes 3 x 3 pixels inside a margin of 2, and v becomes round(255 v / 16): exact, so
  that the sum of bytes is the same everywhere. Split: ordered by class (stable), every fifth
  digit is a test digit; 1,437 and 360, each class within one of a fifth. Both keep scikit-learn's
  order, in which the classes are mixed.
  """
  from sklearn.datasets import load_digits  # 1 s, and only this set needs it

  digits = load_digits()
  pixels = np.round(digits.images * 255 / 16).astype(np.uint8)
  images = np.pad(pixels.repeat(3, axis=1).repeat(3, axis=2), ((0, 0), (2, 2), (2, 2)))[..., None]
  labels = digits.target.astype(np.int32)
  test = own.is_test(labels)
  train = ~test
  return ImageData(images[train], labels[train], images[test], labels[test], 10, "digits")


def subset(data: ImageData, num_train: int | None, num_test: int | None) -> ImageData:
  """Returns the first `num_train` and `num_test` examples; None keeps all. UserError if too many.

  The arrays are views of `data`'s.
  """
  for setting, number, labels in (
    ("train_examples", num_train, data.train_labels),
    ("test_examples", num_test, data.test_labels),
  ):
    if number is not None and not 1 <= number <= len(labels):
      raise UserError(setting, number, f"1 to {len(labels)} for {data.name}")
  return dataclasses.replace(
    data,
    train_images=data.train_images[:num_train],
    train_labels=data.train_labels[:num_train],
    test_images=data.test_images[:num_test],
    test_labels=data.test_labels[:num_test],
  )


def as_float(images: Any, dtype: Any = jnp.float32) -> jax.Array:
  """Returns uint8 images divided by 255, in [0, 1] and `dtype`; to be called inside jit.

  PyTorch's `ToTensor`, without a shift by mean and deviation: neither report mentions one. Raises
  TypeError for images that are not uint8, which may have been divided before.
  """
  if jnp.result_type(images) != jnp.uint8:
    raise TypeError(f"images: got {jnp.result_type(images)}, expected uint8, 0 to 255")
  return jnp.asarray(images).astype(dtype) / 255
