"""Data: target functions on a grid, the image sets of the MNIST family, and label corruption.

Images come as uint8 and stay so; `as_float` scales them inside the jitted step. Everything a user
can get wrong (a name, a folder, a broken file, no network) raises `DataError`, one line long.
"""

import contextlib
import dataclasses
import functools
import gzip
import hashlib
import logging
import os
import pathlib
import tempfile
import urllib.parse
import warnings
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hw1_jax import rng

IMAGE_SETS = ("digits", "mnist", "fashion_mnist", "kmnist")
NUM_CLASSES = 10  # of every set in IMAGE_SETS
IMAGE_SIZE = 28  # height and width of every set in IMAGE_SETS

# The family's file names, in the order: training images and labels, test images and labels.
FILE_NAMES = (
  "train-images-idx3-ubyte.gz",
  "train-labels-idx1-ubyte.gz",
  "t10k-images-idx3-ubyte.gz",
  "t10k-labels-idx1-ubyte.gz",
)

_REMEDY = "use --manual_dir=DIR with the four original files, or --dataset=digits"
_CONNECT_SECONDS = 10.0  # our choice: a firewall that drops packets is found out in 10 s


class DataError(ValueError):
  """Data that cannot be had: what, got, expected and what to do, in one line."""


# Target functions. Each takes a NumPy array or a JAX array and answers in kind.


def _namespace(x: Any) -> Any:
  """Returns the module, NumPy or jax.numpy, whose functions fit `x`."""
  return jnp if isinstance(x, jax.Array) else np


def _sinc(x: Any) -> Any:
  """Returns sin(5 pi x)/(5 pi x), and 1 with slope 0 at x = 0."""
  return _namespace(x).sinc(5 * x)  # both sinc's are sin(pi t)/(pi t) and know the limit at 0


def _sign_sine(x: Any) -> Any:
  """Returns sgn(sin(5 pi x)): -1, 0 or 1. 0 at x = 0; at other k/5 rounding decides the sign."""
  xp = _namespace(x)
  return xp.sign(xp.sin(5 * np.pi * x))


def _sigmoid(x: Any) -> Any:
  """Returns 1/(1 + e^-x), as the same function 1/2 + tanh(x/2)/2, which never overflows."""
  return 0.5 + 0.5 * _namespace(x).tanh(x / 2)


Target = Callable[[Any], Any]
TARGETS: dict[str, Target] = {"sinc": _sinc, "sign_sine": _sign_sine, "sigmoid": _sigmoid}
TARGET_LABELS = {
  "sinc": "sin(5πx) / (5πx)",
  "sign_sine": "sgn(sin(5πx))",
  "sigmoid": "1 / (1 + exp(-x))",
}


def function_data(
  target: str, num_points: int, *, low: float = -1.0, high: float = 1.0, dtype: Any = np.float32
) -> tuple[np.ndarray, np.ndarray]:
  """Returns (x, y), each [N, 1]: an evenly spaced grid with both ends, and the target on it.

  NumPy computes both in float64 and then casts, so that neither x64 nor the device matters.
  The interval is the long report's (notebook). Raises DataError for an unknown target, fewer than
  two points, or an empty interval.
  """
  if target not in TARGETS:
    raise DataError(f"--target: got {target!r}, expected one of {', '.join(TARGETS)}")
  if num_points < 2:
    raise DataError(f"--num_points: got {num_points}, expected at least 2")
  if not low < high:
    raise DataError(f"low and high: got {low} and {high}, expected low below high")
  x = np.linspace(low, high, num_points, dtype=np.float64)[:, None]
  return x.astype(dtype), TARGETS[target](x).astype(dtype)


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
  """Returns the image set `name`, one of IMAGE_SETS; images [N, 28, 28, 1].

  "digits" ships with scikit-learn and needs no file. The others are four files, whose addresses,
  sizes and SHA-256 sums the TFDS registry knows; each is checked at every load.

  Args:
    name: of the image set.
    data_dir: the files are kept in `data_dir`/downloads/`name` under their own names, so the next
      call needs no network (and that folder can serve as a `manual_dir`). Default: TFDS's,
      ~/tensorflow_datasets or $TFDS_DATA_DIR.
    manual_dir: a folder with the four original files; nothing is downloaded or written then.
    show_progress: TFDS's progress bars while downloading, on stderr.

  Raises:
    DataError: an unknown name; a file missing, truncated, altered or malformed; no network; a
      folder that cannot be written.
  """
  if name not in IMAGE_SETS:
    raise DataError(f"--dataset: got {name!r}, expected one of {', '.join(IMAGE_SETS)}")
  if name == "digits":
    return _load_digits()
  with _quiet():
    arrays = _load_files(name, data_dir, manual_dir, show_progress)
  train_images, train_labels, test_images, test_labels = arrays
  return ImageData(
    train_images=train_images[..., None],
    train_labels=train_labels.astype(np.int32),
    test_images=test_images[..., None],
    test_labels=test_labels.astype(np.int32),
    num_classes=NUM_CLASSES,
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
  is_test = np.zeros(len(labels), bool)
  is_test[np.argsort(labels, kind="stable")[::5]] = True
  train, test = ~is_test, is_test
  return ImageData(images[train], labels[train], images[test], labels[test], NUM_CLASSES, "digits")


def subset(data: ImageData, num_train: int | None, num_test: int | None) -> ImageData:
  """Returns the first `num_train` and `num_test` examples; None keeps all. DataError if too many.

  The arrays are views of `data`'s.
  """
  for flag, number, labels in (
    ("--train_examples", num_train, data.train_labels),
    ("--test_examples", num_test, data.test_labels),
  ):
    if number is not None and not 1 <= number <= len(labels):
      raise DataError(f"{flag}: got {number}, expected 1 to {len(labels)} for {data.name}")
  return dataclasses.replace(
    data,
    train_images=data.train_images[:num_train],
    train_labels=data.train_labels[:num_train],
    test_images=data.test_images[:num_test],
    test_labels=data.test_labels[:num_test],
  )


def as_float(images: Any, dtype: Any = jnp.float32) -> jax.Array:
  """Returns uint8 images divided by 255, in [0, 1] and `dtype`; to be called inside jit.

  PyTorch's `ToTensor`, without a shift by mean and deviation: neither report mentions one.
  """
  return jnp.asarray(images).astype(dtype) / 255


def corrupt_labels(key: jax.Array, labels: Any, num_classes: int, fraction: float) -> jax.Array:
  """Returns int32 labels [N]; round(fraction N) random ones are drawn uniformly from all classes.

  A drawn label may be the true one, so fraction 1 leaves about 1/num_classes in agreement (Zhang
  et al. 2017, "random labels"). With one key, the examples drawn for a fraction are among those
  drawn for a larger one. Draws are the same with and without x64. Raises DataError for a fraction
  outside [0, 1] or no classes.
  """
  if not 0 <= fraction <= 1:
    raise DataError(f"fraction: got {fraction}, expected 0 to 1")
  if num_classes < 1:
    raise DataError(f"num_classes: got {num_classes}, expected at least 1")
  labels = jnp.asarray(labels, jnp.int32)
  (num_examples,) = labels.shape
  rank = jax.random.permutation(
    rng.stream(key, "corrupted examples"), jnp.arange(num_examples, dtype=jnp.int32)
  )
  draws = jax.random.randint(
    rng.stream(key, "corrupted labels"), labels.shape, 0, num_classes, dtype=jnp.int32
  )
  return jnp.where(rank < round(fraction * num_examples), draws, labels)


# The four files of an image set: registry, download, check, parse.


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
  """Silences warnings, and log lines below ERROR, while TFDS is imported and downloads.

  What TFDS and its dependencies say depends on their versions; a user needs the DataError only.
  """
  disabled = logging.root.manager.disable
  logging.disable(logging.WARNING)
  try:
    with warnings.catch_warnings():
      warnings.simplefilter("ignore")
      yield
  finally:
    logging.disable(disabled)


def _registry(name: str) -> tuple[dict[str, str], dict[str, Any]]:
  """Returns ({file name: URL}, {URL: TFDS's UrlInfo, with size and SHA-256}), as in FILE_NAMES.

  The builder's class knows both; an instance would look for prepared data on disk and network.
  """
  import tensorflow_datasets as tfds  # 1.6 s, and "digits" never needs it

  builder = tfds.builder_cls(name)
  urls = {file_name: urllib.parse.urljoin(builder.URL, file_name) for file_name in FILE_NAMES}
  return urls, builder.url_infos


def _load_files(name: str, data_dir: Any, manual_dir: Any, show_progress: bool) -> list[np.ndarray]:
  """Returns the four uint8 arrays of `name`, as in FILE_NAMES; arguments of `load_images`."""
  import tensorflow_datasets as tfds

  urls, url_infos = _registry(name)
  if manual_dir:
    folder = pathlib.Path(manual_dir).expanduser()
    if not folder.is_dir():
      raise DataError(f"--manual_dir: got {str(folder)!r}, expected an existing folder; {_REMEDY}")
  else:
    root = pathlib.Path(data_dir or tfds.core.constants.DATA_DIR).expanduser()
    folder = root / "downloads" / name
  arrays = []
  for (file_name, url), num_axes in zip(urls.items(), (3, 1, 3, 1)):
    path = folder / file_name
    try:
      content = _read_original(path, url_infos[url], name)
    except DataError:  # not there, or not what it should be
      if manual_dir:
        raise
      _download(path, url, url_infos[url], name, show_progress)
      content = _read_original(path, url_infos[url], name)
    arrays.append(_parse_idx(content, num_axes, path))
  for images, labels in (arrays[:2], arrays[2:]):
    if len(images) != len(labels) or labels.max(initial=0) >= NUM_CLASSES:
      raise DataError(
        f"{folder}: got {len(images)} images with {len(labels)} labels up to"
        f" {labels.max(initial=0)}, expected one label below {NUM_CLASSES} an image; {_REMEDY}"
      )
  return arrays


def _download(path: pathlib.Path, url: str, url_info: Any, name: str, show_progress: bool) -> None:
  """Puts one file at `path`: whole and with the registry's SHA-256, or not at all.

  TFDS downloads into a staging folder that is removed in any case; a good file moves out of it in
  one step. A request with a time limit goes first, because TFDS alone retries for minutes.
  """
  import requests  # TFDS's own client, so both see the same proxies and certificates
  import tensorflow_datasets as tfds
  from tensorflow_datasets.core.download.download_manager import NonMatchingChecksumError

  failed = f"{name}: {path.name} not downloaded from {urllib.parse.urlsplit(url).netloc}"
  try:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
      prefix="partial-", dir=path.parent, ignore_cleanup_errors=True
    ) as staging:
      with requests.get(url, stream=True, timeout=_CONNECT_SECONDS) as response:
        if response.status_code != 200:
          status = f"{response.status_code} {response.reason}"
          raise DataError(f"{failed}: got HTTP status {status}, expected 200; {_REMEDY}")
      tfds.display_progress_bar(show_progress)
      manager = tfds.download.DownloadManager(
        download_dir=staging,
        url_infos={url: url_info},
        dataset_name=name,
        force_checksums_validation=True,
      )
      os.replace(manager.download(url), path)
  except NonMatchingChecksumError as error:
    raise DataError(
      f"{failed}: got other bytes than the expected ones (SHA-256 {url_info.checksum}) and kept"
      f" none; try again, {_REMEDY}"
    ) from error
  except (requests.RequestException, tfds.download.DownloadError) as error:
    raise DataError(
      f"{failed}: got no connection, or one that broke off ({type(error).__name__}); connect"
      f" and try again, {_REMEDY}"
    ) from error
  except OSError as error:
    raise DataError(
      f"--data_dir: got {str(path.parent)!r}, not writable ({error.strerror or error}), expected a"
      f" folder with room for {name}; use --data_dir=DIR, or {_REMEDY}"
    ) from error


def _read_original(path: pathlib.Path, url_info: Any, name: str) -> bytes:
  """Returns the bytes of a file that is byte for byte the registry's; DataError otherwise."""
  try:
    content = path.read_bytes()
  except FileNotFoundError:
    got = "got no such file"
  except OSError as error:
    got = f"got no content ({error.strerror or error})"
  else:
    digest = hashlib.sha256(content).hexdigest()
    if digest == url_info.checksum:
      return content
    got = f"got {len(content)} bytes with SHA-256 {digest}"
  raise DataError(
    f"{path}: {got}, expected the original file of {name}, {int(url_info.size)} bytes with SHA-256"
    f" {url_info.checksum}; {_REMEDY}"
  )


def _parse_idx(content: bytes, num_axes: int, path: pathlib.Path) -> np.ndarray:
  """Returns the uint8 array of a gzipped IDX file; DataError if it is not one with `num_axes`.

  IDX: two zero bytes, the type (8 is uint8), the number of axes, each axis' length as a big-endian
  32-bit integer, then the entries row-major (LeCun's MNIST page).
  """
  try:
    raw = gzip.decompress(content)
  except (OSError, EOFError, zlib.error) as error:
    raise DataError(f"{path}: got a file that is not gzip, expected IDX; {_REMEDY}") from error
  magic, size = bytes((0, 0, 8, num_axes)), 4 + 4 * num_axes
  if raw[:4] != magic or len(raw) < size:
    raise DataError(
      f"{path}: got header {raw[:size].hex()!r}, expected IDX, {size} bytes from {magic.hex()} on;"
      f" {_REMEDY}"
    )
  shape = tuple(int(length) for length in np.frombuffer(raw, ">u4", num_axes, 4))
  entries = np.frombuffer(raw, np.uint8, offset=size)
  if entries.size != np.prod(shape, dtype=np.int64):
    raise DataError(f"{path}: got {entries.size} entries, expected {shape} from IDX; {_REMEDY}")
  return entries.reshape(shape)
