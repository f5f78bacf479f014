"""The four original files of an image set: TFDS's registry, download, check, IDX format."""

import contextlib
import gzip
import hashlib
import logging
import os
import pathlib
import tempfile
import urllib.parse
import warnings
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from hw1_jax.errors import UserError, show

NUM_CLASSES = 10  # of every set in IMAGE_SETS

# The family's file names, in the order: training images and labels, test images and labels.
FILE_NAMES = (
  "train-images-idx3-ubyte.gz",
  "train-labels-idx1-ubyte.gz",
  "t10k-images-idx3-ubyte.gz",
  "t10k-labels-idx1-ubyte.gz",
)

_REMEDY = "use manual_dir=DIR with the four original files, or dataset=digits"
_CONNECT_SECONDS = 10.0  # our choice: a firewall that drops packets is found out in 10 s


# The four files of an image set: registry, download, check, parse.


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
  """Silences warnings, and log lines below ERROR, while TFDS is imported and downloads.

  What TFDS and its dependencies say depends on their versions; a user needs the UserError only.
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
      raise UserError("manual_dir", show(str(folder)), "an existing folder", _REMEDY)
  else:
    root = pathlib.Path(data_dir or tfds.core.constants.DATA_DIR).expanduser()
    folder = root / "downloads" / name
  arrays = []
  for (file_name, url), num_axes in zip(urls.items(), (3, 1, 3, 1)):
    path = folder / file_name
    try:
      content = _read_original(path, url_infos[url], name)
    except UserError:  # not there, or not what it should be
      if manual_dir:
        raise
      _download(path, url, url_infos[url], name, show_progress)
      content = _read_original(path, url_infos[url], name)
    arrays.append(_parse_idx(content, num_axes, path))
  for images, labels in (arrays[:2], arrays[2:]):
    if len(images) != len(labels) or labels.max(initial=0) >= NUM_CLASSES:
      raise UserError(
        str(folder),
        f"{len(images)} images with {len(labels)} labels up to {labels.max(initial=0)}",
        f"one label below {NUM_CLASSES} an image",
        _REMEDY,
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
          raise UserError(failed, f"HTTP status {status}", "200", _REMEDY)
      tfds.display_progress_bar(show_progress)
      manager = tfds.download.DownloadManager(
        download_dir=staging,
        url_infos={url: url_info},
        dataset_name=name,
        force_checksums_validation=True,
      )
      os.replace(manager.download(url), path)
  except NonMatchingChecksumError as error:
    raise UserError(
      f"{failed}: got other bytes than the expected ones (SHA-256 {url_info.checksum}) and kept"
      " none",
      remedy=f"try again, {_REMEDY}",
    ) from error
  except (requests.RequestException, tfds.download.DownloadError) as error:
    raise UserError(
      f"{failed}: got no connection, or one that broke off ({type(error).__name__})",
      remedy=f"connect and try again, {_REMEDY}",
    ) from error
  except OSError as error:
    raise UserError(
      "data_dir",
      f"{str(path.parent)!r}, not writable ({error.strerror or error})",
      f"a folder with room for {name}",
      f"use data_dir=DIR, or {_REMEDY}",
    ) from error


def _read_original(path: pathlib.Path, url_info: Any, name: str) -> bytes:
  """Returns the bytes of a file that is byte for byte the registry's; UserError otherwise."""
  try:
    content = path.read_bytes()
  except FileNotFoundError:
    got = "no such file"
  except OSError as error:
    got = f"no content ({error.strerror or error})"
  else:
    digest = hashlib.sha256(content).hexdigest()
    if digest == url_info.checksum:
      return content
    got = f"{len(content)} bytes with SHA-256 {digest}"
  size, digest = int(url_info.size), url_info.checksum
  expected = f"the original file of {name}, {size} bytes with SHA-256 {digest}"
  raise UserError(str(path), got, expected, _REMEDY)


def _parse_idx(content: bytes, num_axes: int, path: pathlib.Path) -> np.ndarray:
  """Returns the uint8 array of a gzipped IDX file; UserError if it is not one with `num_axes`.

  IDX: two zero bytes, the type (8 is uint8), the number of axes, each axis' length as a big-endian
  32-bit integer, then the entries row-major (LeCun's MNIST page).
  """
  try:
    raw = gzip.decompress(content)
  except (OSError, EOFError, zlib.error) as error:
    raise UserError(str(path), "a file that is not gzip", "IDX", _REMEDY) from error
  magic, size = bytes((0, 0, 8, num_axes)), 4 + 4 * num_axes
  if raw[:4] != magic or len(raw) < size:
    got, expected = f"header {raw[:size].hex()!r}", f"IDX, {size} bytes from {magic.hex()} on"
    raise UserError(str(path), got, expected, _REMEDY)
  shape = tuple(int(length) for length in np.frombuffer(raw, ">u4", num_axes, 4))
  entries = np.frombuffer(raw, np.uint8, offset=size)
  if entries.size != np.prod(shape, dtype=np.int64):
    raise UserError(str(path), f"{entries.size} entries", f"{shape} from IDX", _REMEDY)
  return entries.reshape(shape)
