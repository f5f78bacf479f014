"""The original files of an image set: TFDS's registry, download, check."""

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

from hw1_jax.errors import UserError, show

# The MNIST family's file names: training images and labels, test images and labels.
FILE_NAMES = (
  "train-images-idx3-ubyte.gz",
  "train-labels-idx1-ubyte.gz",
  "t10k-images-idx3-ubyte.gz",
  "t10k-labels-idx1-ubyte.gz",
)

# SHA-256 of what is inside MNIST's four files, decompressed: whoever unpacked them, or packed them
# again, has the same data. Computed from files whose own SHA-256 is TFDS's.
MNIST_CONTENT = dict(
  zip(
    FILE_NAMES,
    (
      "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
      "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
      "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
      "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
  )
)

REMEDY = "use manual_dir=DIR with the four original files, or dataset=digits"
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


def _registry(
  name: str, file_names: tuple[str, ...] = FILE_NAMES
) -> tuple[dict[str, str], dict[str, Any]]:
  """Returns ({file name: URL}, {URL: TFDS's UrlInfo, with size and SHA-256}).

  The builder's class knows both; an instance would look for prepared data on disk and network.
  """
  import tensorflow_datasets as tfds  # 1.6 s, and "digits" never needs it

  builder = tfds.builder_cls(name)
  if hasattr(builder, "URL"):  # the MNIST family: the folder of its files
    return {n: urllib.parse.urljoin(builder.URL, n) for n in file_names}, builder.url_infos
  by_name = {url.rsplit("/", 1)[-1]: url for url in builder.url_infos}
  return {n: by_name[n] for n in file_names}, builder.url_infos


def load_originals(
  name: str,
  urls: dict[str, str],
  url_infos: dict[str, Any],
  data_dir: Any,
  manual_dir: Any,
  show_progress: bool,
) -> Iterator[tuple[str, pathlib.Path, bytes]]:
  """Yields (file name, path, content) of an image set's files, each checked; see `load_images`."""
  import tensorflow_datasets as tfds

  if manual_dir:
    folder = pathlib.Path(manual_dir).expanduser()
    if not folder.is_dir():
      raise UserError("manual_dir", show(str(folder)), "an existing folder", REMEDY)
  else:
    root = pathlib.Path(data_dir or tfds.core.constants.DATA_DIR).expanduser()
    folder = root / "downloads" / name
  for file_name, url in urls.items():
    path = find(folder, file_name)
    try:
      content = _read_original(path, file_name, url_infos[url], name)
    except UserError:  # not there, or not what it should be
      if manual_dir:
        raise
      path = folder / file_name
      _download(path, url, url_infos[url], name, show_progress)
      content = _read_original(path, file_name, url_infos[url], name)
    yield file_name, path, content


def find(folder: pathlib.Path, file_name: str) -> pathlib.Path:
  """Returns where a file lies in a folder under one of the names that it goes by.

  As it was downloaded, decompressed, with a dot before `idx` (Kaggle), in a folder of its own name
  (Kaggle's archive), or in torchvision's root, `MNIST/raw`. The original's place if there is none.
  """
  plain = file_name.removesuffix(".gz")
  dotted = plain.replace("-idx", ".idx")
  names = [file_name, plain, f"{dotted}.gz", dotted, f"{plain}/{plain}", f"{dotted}/{dotted}"]
  places = [folder, folder / "raw", *sorted(folder.glob("*MNIST/raw"))]
  for path in [place / name for place in places for name in names]:
    if path.is_file():
      return path
  return folder / file_name


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
          raise UserError(failed, f"HTTP status {status}", "200", REMEDY)
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
      remedy=f"try again, {REMEDY}",
    ) from error
  except (requests.RequestException, tfds.download.DownloadError) as error:
    raise UserError(
      f"{failed}: got no connection, or one that broke off ({type(error).__name__})",
      remedy=f"connect and try again, {REMEDY}",
    ) from error
  except OSError as error:
    raise UserError(
      "data_dir",
      f"{str(path.parent)!r}, not writable ({error.strerror or error})",
      f"a folder with room for {name}",
      f"use data_dir=DIR, or {REMEDY}",
    ) from error


def _read_original(path: pathlib.Path, file_name: str, url_info: Any, name: str) -> bytes:
  """Returns a file's content, decompressed where it is gzip; UserError if it is not the original's.

  The file is the registry's byte for byte, or, of MNIST, what is inside is.
  """
  try:
    content = path.read_bytes()
  except FileNotFoundError:
    got = "no such file"
  except OSError as error:
    got = f"no content ({error.strerror or error})"
  else:
    digest = hashlib.sha256(content).hexdigest()
    if digest == url_info.checksum:
      return unzipped(content, path) if file_name in FILE_NAMES else content
    if name == "mnist" and file_name in MNIST_CONTENT:
      with contextlib.suppress(UserError):
        inside = unzipped(content, path) if content[:2] == b"\x1f\x8b" else content
        if hashlib.sha256(inside).hexdigest() == MNIST_CONTENT[file_name]:
          return inside
    got = f"{len(content)} bytes with SHA-256 {digest}"
  size, digest = int(url_info.size), url_info.checksum
  expected = f"the original file of {name}, {size} bytes with SHA-256 {digest}"
  if name == "mnist":
    expected += ", packed or not"
  raise UserError(str(path), got, expected, f"{holds(path.parent)}; {REMEDY}")


def holds(folder: pathlib.Path) -> str:
  """Returns what a folder holds, as a refusal says it: at most eight names."""
  try:
    names = sorted(f"{path.name}/" if path.is_dir() else path.name for path in folder.iterdir())
  except OSError:
    return f"there is no folder {folder}"
  more = f" and {len(names) - 8} more" if len(names) > 8 else ""
  return f"the folder holds {', '.join(names[:8]) or 'nothing'}{more}"


def unzipped(content: bytes, path: pathlib.Path) -> bytes:
  """Returns gzip's content; UserError where it is none, or cut short."""
  try:
    return gzip.decompress(content)
  except (OSError, EOFError, zlib.error) as error:
    raise UserError(str(path), "a file that is not gzip", "IDX", REMEDY) from error
