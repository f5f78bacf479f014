"""Data: targets, grids, image sets from files, folders and a loopback server, corrupted labels."""

import contextlib
import dataclasses
import functools
import gzip
import hashlib
import http.server
import logging
import os
import pathlib
import socket
import struct
import subprocess
import sys
import threading
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hw1_jax import data
from hw1_jax.data import files as original_files
from hw1_jax.errors import UserError

X64 = pytest.mark.parametrize("x64", [False, True])

# Targets and grids.


@pytest.mark.parametrize(
  ("target", "x", "y"),
  [
    ("sinc", 0.0, 1.0),
    ("sinc", 0.1, 2 / np.pi),
    ("sinc", -0.3, -2 / (3 * np.pi)),
    ("sinc", 0.2, 0.0),
    ("sign_sine", 0.0, 0.0),
    ("sign_sine", 0.1, 1.0),
    ("sign_sine", -0.1, -1.0),
    ("sign_sine", 0.3, -1.0),
    ("sigmoid", 0.0, 0.5),
    ("sigmoid", np.log(3), 0.75),
    ("sigmoid", -1e4, 0.0),  # e^-x overflows
  ],
)
def test_target_values(target, x, y):
  in_numpy = data.TARGETS[target](np.float64(x) * np.ones(1))
  in_jax = data.TARGETS[target](jnp.float32(x))
  assert isinstance(in_numpy, np.ndarray)
  assert in_numpy.dtype == np.float64
  np.testing.assert_allclose(in_numpy, y, atol=1e-15)
  assert in_jax.dtype == jnp.float32
  np.testing.assert_allclose(in_jax, y, atol=1e-6)


@X64
def test_sinc_derivatives_at_zero(x64):
  with jax.enable_x64(x64):
    zero = jnp.zeros(())
    sinc = data.TARGETS["sinc"]
    assert jax.grad(sinc)(zero) == 0.0
    # sin(t)/t = 1 - t^2/6 + ..., so the second derivative in x is -(5 pi)^2 / 3.
    np.testing.assert_allclose(jax.grad(jax.grad(sinc))(zero), -((5 * np.pi) ** 2) / 3, rtol=1e-6)


@pytest.mark.parametrize("target", data.TARGETS)
def test_gradients_are_finite_on_the_grid(target):
  x, _ = data.function_data(target, 301)
  slopes = jax.vmap(jax.grad(data.TARGETS[target]))(jnp.asarray(x[:, 0]))
  assert np.isfinite(slopes).all()


def test_every_target_has_a_label():
  assert data.TARGET_LABELS.keys() == data.TARGETS.keys()


@X64
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_function_data_is_a_grid_and_the_target_on_it(x64, dtype):
  with jax.enable_x64(x64):
    x, y = data.function_data("sinc", 5, low=-0.2, high=0.2, dtype=dtype)
  assert x.shape == y.shape == (5, 1)
  assert x.dtype == y.dtype == dtype
  tolerance = np.finfo(dtype).eps  # one rounding of numbers up to 1
  np.testing.assert_allclose(x[:, 0], [-0.2, -0.1, 0, 0.1, 0.2], atol=tolerance)
  np.testing.assert_allclose(y[:, 0], [0, 2 / np.pi, 1, 2 / np.pi, 0], atol=tolerance)


def test_function_data_evaluates_before_it_casts():
  # At float32(x) instead of x the target of 300 points differs in the last bits.
  x, y = data.function_data("sinc", 300)
  grid = np.linspace(-1, 1, 300)
  np.testing.assert_array_equal(y[:, 0], np.sinc(5 * grid).astype(np.float32))
  assert (np.sinc(5 * x.astype(np.float64)).astype(np.float32) != y).any()


@pytest.mark.parametrize(
  ("arguments", "match"),
  [
    ({"target": "cosine"}, r"target: got 'cosine', expected one of sinc, sign_sine, sigmoid"),
    ({"num_points": 1}, r"num_points: got 1, expected at least 2"),
    ({"low": 1.0}, r"low and high: got 1.0 and 1.0, expected low below high"),
    ({"high": float("nan")}, r"low and high: got -1.0 and nan"),
  ],
)
def test_function_data_errors(arguments, match):
  with pytest.raises(UserError, match=match):
    data.function_data(**{"target": "sinc", "num_points": 300, **arguments})


# Digits, subsets, scaling.


@pytest.fixture(scope="module")
def digits():
  return data.load_images("digits")


def test_digits_shapes_and_split(digits):
  assert digits.train_images.shape == (1437, 28, 28, 1)
  assert digits.test_images.shape == (360, 28, 28, 1)
  for images, labels in (
    (digits.train_images, digits.train_labels),
    (digits.test_images, digits.test_labels),
  ):
    assert images.dtype == np.uint8
    assert labels.dtype == np.int32
    assert labels.shape == images.shape[:1]
  assert (digits.name, digits.num_classes) == ("digits", 10)
  # A fifth of each class, to within one digit.
  all_counts = np.array([178, 182, 177, 183, 181, 182, 181, 179, 174, 180])
  test_counts = np.bincount(digits.test_labels)
  assert np.abs(test_counts - all_counts / 5).max() < 1
  np.testing.assert_array_equal(np.bincount(digits.train_labels), all_counts - test_counts)
  # The first examples, which `subset` takes, are not of one class.
  assert np.bincount(digits.train_labels[:200], minlength=10).min() >= 10


def test_digits_are_scikit_learns_pixels(digits):
  from sklearn.datasets import load_digits

  images = np.concatenate([digits.train_images, digits.test_images])[..., 0]
  blocks = images[:, 2:26, 2:26].reshape(-1, 8, 3, 8, 3)
  assert (blocks == blocks[:, :, :1, :, :1]).all()
  assert images.sum() == blocks.sum()  # the margin is empty
  small = blocks[:, :, 0, :, 0]
  assert small.max() == 255
  labels = np.concatenate([digits.train_labels, digits.test_labels])
  ours = sorted((label, (row / 255 * 16).round().tobytes()) for row, label in zip(small, labels))
  original = load_digits()
  theirs = sorted((t, image.tobytes()) for image, t in zip(original.images, original.target))
  assert ours == theirs  # each digit once, with its label


def test_digits_are_the_same_bytes_everywhere(digits):
  # Golden: changes only with the resize, the split or scikit-learn's digits, i.e. with all results.
  golden = "73bdd1070733a2d1727f7f4bc314fad978c97347c57c09eb94b3528ff93c883c"
  assert digits.checksum == golden
  assert data.load_images("digits").checksum == golden


def test_checksum_sees_every_array(digits):
  for field in ("train_images", "train_labels", "test_images", "test_labels"):
    changed = getattr(digits, field).copy()
    changed.flat[-1] ^= 1
    assert dataclasses.replace(digits, **{field: changed}).checksum != digits.checksum


def test_subset_takes_the_first_examples(digits):
  part = data.subset(digits, 7, 5)
  np.testing.assert_array_equal(part.train_images, digits.train_images[:7])
  np.testing.assert_array_equal(part.train_labels, digits.train_labels[:7])
  np.testing.assert_array_equal(part.test_images, digits.test_images[:5])
  np.testing.assert_array_equal(part.test_labels, digits.test_labels[:5])
  assert part.checksum != digits.checksum
  assert data.subset(digits, None, None).checksum == digits.checksum
  assert data.subset(digits, 1437, 360).checksum == digits.checksum


@pytest.mark.parametrize(
  ("num_train", "num_test", "match"),
  [
    (1438, None, r"train_examples: got 1438, expected 1 to 1437 for digits"),
    (0, None, r"train_examples: got 0, expected 1 to 1437"),
    (None, 361, r"test_examples: got 361, expected 1 to 360"),
    (None, -1, r"test_examples: got -1, expected 1 to 360"),
  ],
)
def test_subset_errors(digits, num_train, num_test, match):
  with pytest.raises(UserError, match=match):
    data.subset(digits, num_train, num_test)


@X64
def test_as_float(x64):
  images = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
  with jax.enable_x64(x64):
    scaled = jax.jit(data.as_float)(images)
    half = data.as_float(images, jnp.bfloat16)
  assert scaled.dtype == jnp.float32
  assert scaled.shape == images.shape
  np.testing.assert_allclose(np.ravel(scaled), np.arange(256) / 255, rtol=1e-6)
  assert (scaled.min(), scaled.max()) == (0.0, 1.0)
  assert half.dtype == jnp.bfloat16


# Corrupted labels.


@settings(deadline=None, max_examples=25)
@given(
  seed=st.integers(0, 2**32 - 1),
  num_examples=st.sampled_from([1, 2, 3, 40]),  # few shapes: each compiles once
  fraction=st.floats(0, 1),
)
def test_corrupt_labels_draws_exactly_the_rounded_fraction(seed, num_examples, fraction):
  # -1 is no class, so every example that got a draw shows.
  labels = np.full(num_examples, -1, np.int32)
  corrupted = np.asarray(data.corrupt_labels(jax.random.key(seed), labels, 10, fraction))
  assert corrupted.dtype == np.int32
  assert corrupted.max() < 10
  assert corrupted.min() >= -1
  assert (corrupted >= 0).sum() == round(fraction * num_examples)


def test_corrupt_labels_with_fraction_0_changes_nothing():
  labels = np.arange(100) % 10
  np.testing.assert_array_equal(data.corrupt_labels(jax.random.key(0), labels, 10, 0.0), labels)


def test_corrupt_labels_takes_lists_and_is_the_same_within_jit_and_vmap():
  labels, keys = [0, 1, 2, 0, 1, 2, 2], jax.random.split(jax.random.key(0), 3)

  def corrupt(key, labels=labels):
    return data.corrupt_labels(key, labels, 3, 0.6)

  alone = np.stack([corrupt(key) for key in keys])
  assert (alone != labels).any()
  np.testing.assert_array_equal(jax.vmap(corrupt)(keys), alone)
  np.testing.assert_array_equal(jax.jit(corrupt)(keys[1], np.array(labels)), alone[1])


def test_corrupt_labels_with_fraction_1_is_uniform_and_independent_of_the_truth():
  num_examples, num_classes = 20_000, 10
  labels = np.arange(num_examples) % num_classes
  corrupted = np.asarray(data.corrupt_labels(jax.random.key(1), labels, num_classes, 1.0))
  # Binomial(N, 1/10): standard deviation of a fraction 0.0021; five of them.
  assert abs((corrupted == labels).mean() - 0.1) < 0.011
  assert np.abs(np.bincount(corrupted, minlength=10) / num_examples - 0.1).max() < 0.011


def test_corrupted_examples_are_spread_over_the_set():
  labels = np.full(10_000, -1)
  drawn = np.asarray(data.corrupt_labels(jax.random.key(2), labels, 10, 0.5)) >= 0
  # Hypergeometric: of 5000 draws, 2500 fall into each half, standard deviation 25.
  assert abs(drawn[:5000].sum() - 2500) < 125


def test_corrupt_labels_depends_on_the_key_and_grows_with_the_fraction():
  labels = np.full(200, -1)
  few, many, other = (
    np.asarray(data.corrupt_labels(jax.random.key(seed), labels, 10, fraction))
    for seed, fraction in ((0, 0.3), (0, 0.6), (1, 0.3))
  )
  assert ((few >= 0) != (other >= 0)).any()  # other examples
  both = (few >= 0) & (other >= 0)
  assert (few[both] != other[both]).any()  # other labels
  np.testing.assert_array_equal(many[few >= 0], few[few >= 0])


def test_corrupt_labels_is_the_same_with_and_without_x64():
  labels = np.arange(1000) % 10
  with jax.enable_x64(False):
    narrow = data.corrupt_labels(jax.random.key(3), labels, 10, 0.7)
  with jax.enable_x64(True):
    wide = data.corrupt_labels(jax.random.key(3), labels, 10, 0.7)
  assert narrow.dtype == wide.dtype == jnp.int32
  np.testing.assert_array_equal(narrow, wide)


def test_corrupt_labels_maps_over_keys():
  labels = np.arange(50) % 10
  keys = jax.random.split(jax.random.key(4), 3)
  together = jax.vmap(lambda key: data.corrupt_labels(key, labels, 10, 0.5))(keys)
  alone = [data.corrupt_labels(key, labels, 10, 0.5) for key in keys]
  np.testing.assert_array_equal(together, alone)
  each = data.corrupt_labels_each(keys, labels, 10, 0.5)
  np.testing.assert_array_equal(each, alone)
  assert each.dtype == np.int32
  assert (each[0] != each[1]).any()


@pytest.mark.parametrize(
  ("num_classes", "fraction", "match"),
  [
    (10, -0.1, r"fraction: got -0.1, expected 0 to 1"),
    (10, 1.1, r"fraction: got 1.1, expected 0 to 1"),
    (10, float("nan"), r"fraction: got nan"),
    (0, 0.5, r"num_classes: got 0, expected at least 1"),
  ],
)
def test_corrupt_labels_errors(num_classes, fraction, match):
  with pytest.raises(UserError, match=match):
    data.corrupt_labels(jax.random.key(0), np.zeros(4, int), num_classes, fraction)


# Image sets from files. Small ones of the same form, with checksums of their own, stand in for the
# registered ones; `publish` puts them into the registry under an address of our choice.


def zipped(content: bytes) -> bytes:
  """Returns gzip that is the same whenever it is made."""
  return gzip.compress(content, mtime=0)


def idx(array: np.ndarray) -> bytes:
  header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
  return gzip.compress(header + array.astype(np.uint8).tobytes(), mtime=0)


def small_files() -> dict[str, bytes]:
  images = np.arange(5 * 28 * 28).reshape(5, 28, 28) % 251
  labels = np.array([3, 1, 4, 1, 9])
  arrays = (images[:3], labels[:3], images[3:], labels[3:])
  return {name: idx(array) for name, array in zip(data.FILE_NAMES, arrays)}


@pytest.fixture
def publish(monkeypatch):
  """Returns a function that registers files, {name: bytes}, as every image set, at a base URL."""

  def publish_files(files, base="http://127.0.0.1:9/"):  # the discard port: nobody answers
    from tensorflow_datasets.core.download import checksums

    urls = {name: base + name for name in files}
    url_infos = {
      urls[name]: checksums.UrlInfo(len(content), hashlib.sha256(content).hexdigest(), name)
      for name, content in files.items()
    }
    monkeypatch.setattr(original_files, "_registry", lambda name: (urls, url_infos))

  return publish_files


@pytest.fixture
def manual_dir(tmp_path):
  folder = tmp_path / "manual"
  folder.mkdir()
  for name, content in small_files().items():
    (folder / name).write_bytes(content)
  return folder


def assert_small(loaded):
  images = np.arange(5 * 28 * 28).reshape(5, 28, 28, 1) % 251
  np.testing.assert_array_equal(loaded.train_images, images[:3])
  np.testing.assert_array_equal(loaded.test_images, images[3:])
  np.testing.assert_array_equal(loaded.train_labels, [3, 1, 4])
  np.testing.assert_array_equal(loaded.test_labels, [1, 9])
  assert loaded.train_images.dtype == loaded.test_images.dtype == np.uint8
  assert loaded.train_labels.dtype == loaded.test_labels.dtype == np.int32


def raises_one_line(match):
  """Like pytest.raises(UserError, match=...), and the message is one line that says what to do."""

  @contextlib.contextmanager
  def manager():
    with pytest.raises(UserError, match=match) as caught:
      yield
    assert "\n" not in str(caught.value)
    assert "use manual_dir=DIR" in str(caught.value)
    assert "dataset=digits" in str(caught.value)

  return manager()


def test_unknown_name():
  expected = r"dataset: got 'cifar', expected one of digits, mnist, .*svhn, or a path: FILE\.npz"
  with pytest.raises(UserError, match=expected):
    data.load_images("cifar")


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "kmnist"])
def test_registry_knows_the_four_files(name):
  urls, url_infos = original_files._registry(name)
  assert tuple(urls) == data.FILE_NAMES
  for file_name, url in urls.items():
    assert url.endswith("/" + file_name)
    assert len(url_infos[url].checksum) == 64
    assert url_infos[url].size > 4000


def test_manual_dir(publish, manual_dir):
  publish(small_files())
  before = sorted(manual_dir.parent.rglob("*"))
  loaded = data.load_images("kmnist", manual_dir=manual_dir)
  assert_small(loaded)
  assert (loaded.name, loaded.num_classes) == ("kmnist", 10)
  assert sorted(manual_dir.parent.rglob("*")) == before  # nothing was written


def test_manual_dir_must_exist(publish, tmp_path):
  publish(small_files())
  with raises_one_line(r"manual_dir: got '.*nowhere', expected an existing folder"):
    data.load_images("mnist", manual_dir=tmp_path / "nowhere")


@pytest.mark.parametrize("file_name", data.FILE_NAMES)
@pytest.mark.parametrize(
  ("damage", "match"),
  [
    (lambda path: path.unlink(), "got no such file, expected the original file of mnist"),
    (lambda path: path.write_bytes(path.read_bytes()[:-5]), r"got \d+ bytes with SHA-256"),
    (lambda path: path.write_bytes(flip_a_bit(path.read_bytes())), r"got \d+ bytes with SHA-256"),
    (lambda path: path.write_bytes(b""), "got 0 bytes with SHA-256"),
    (lambda path: (path.unlink(), path.mkdir()), r"got no content \(Is a directory\)"),
  ],
  ids=["missing", "truncated", "bit flipped", "empty", "folder"],
)
def test_manual_dir_with_a_bad_file(publish, manual_dir, file_name, damage, match):
  publish(small_files())
  damage(manual_dir / file_name)
  with raises_one_line(f"{file_name}: {match}"):
    data.load_images("mnist", manual_dir=manual_dir)


def flip_a_bit(content: bytes) -> bytes:
  return content[:-20] + bytes([content[-20] ^ 1]) + content[-19:]


LABELS = "train-labels-idx1-ubyte.gz"


@pytest.mark.parametrize(
  ("file_name", "content", "match"),
  [
    (LABELS, b"", "got header '', expected IDX, 8 bytes from 00000801 on"),
    (LABELS, b"plain text", "got a file that is not gzip"),
    (LABELS, idx(np.zeros(3))[:-9], "got a file that is not gzip"),
    (LABELS, idx(np.zeros(3))[:10] + b"\xff" * 20, "got a file that is not gzip"),
    (LABELS, zipped(b""), "got header '', expected IDX"),
    (LABELS, zipped(b"\0\0\x08\x01\0\0"), "got header '000008010000', expected IDX, 8"),
    (LABELS, idx(np.zeros((3, 1))), "got header '00000802.*', expected IDX"),
    (LABELS, zipped(b"\0\0\x0b\x01" + bytes(9)), "got header '00000b01.*', expected"),
    (LABELS, zipped(b"\0\0\x08\x01\0\0\0\x03\1\2"), r"got 2 entries, expected \(3,\)"),
    (LABELS, zipped(b"\0\0\x08\x01\0\0\0\x03\1\2\3\4"), r"got 4 entries, expected \(3,\)"),
    (LABELS, idx(np.zeros(4)), "got 3 images with 4 labels up to 0, expected one label below 10"),
    (LABELS, idx(np.array([0, 10, 0])), "got 3 images with 3 labels up to 10, expected one"),
    ("t10k-labels-idx1-ubyte.gz", idx(np.zeros(1)), "got 2 images with 1 labels"),
  ],
)
def test_files_that_are_registered_but_malformed(publish, manual_dir, file_name, content, match):
  publish(small_files() | {file_name: content})
  (manual_dir / file_name).write_bytes(content)
  with raises_one_line(match):
    data.load_images("mnist", manual_dir=manual_dir)


# The download, from a server on this machine.


class Handler(http.server.BaseHTTPRequestHandler):
  """Serves `server.files`; `server.trouble` names what goes wrong with one file after the first."""

  def do_GET(self):
    name = self.path.lstrip("/")
    trouble = self.server.trouble if name == LABELS else None
    content = self.server.files[name]
    self.server.requests.append(name)
    if trouble == "not found":
      self.send_error(404)
      return
    if trouble == "refused":
      self.connection.close()
      return
    self.send_response(200)
    self.send_header("Content-Length", str(len(content)))
    self.end_headers()
    if trouble == "broken off":
      content = content[: len(content) // 2]
    if trouble == "altered":
      content = flip_a_bit(content)
    with contextlib.suppress(ConnectionError):  # the client may look at the header only
      self.wfile.write(content)

  def log_message(self, *_):
    pass


@pytest.fixture
def server(publish):
  with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
    server.files, server.trouble, server.requests = small_files(), None, []
    publish(server.files, f"http://127.0.0.1:{server.server_port}/")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
      yield server
    finally:
      server.shutdown()
      thread.join()


@pytest.mark.parametrize("name", ["mnist", "kmnist"])
def test_download_then_offline(server, tmp_path, name, capfd, caplog):
  caplog.set_level(logging.DEBUG)
  assert_small(data.load_images(name, data_dir=tmp_path))
  assert set(server.requests) == set(data.FILE_NAMES)
  folder = tmp_path / "downloads" / name
  assert {path.name for path in folder.iterdir()} == set(data.FILE_NAMES)  # and nothing else
  server.requests.clear()
  assert_small(data.load_images(name, data_dir=tmp_path))
  assert_small(data.load_images(name, manual_dir=folder))
  assert server.requests == []
  assert capfd.readouterr() == ("", "")
  assert caplog.records == []


def test_download_goes_to_the_folder_of_tfds_by_default(server, tmp_path, monkeypatch):
  import tensorflow_datasets as tfds

  monkeypatch.setattr(tfds.core.constants, "DATA_DIR", str(tmp_path))
  data.load_images("mnist")
  assert (tmp_path / "downloads" / "mnist" / LABELS).is_file()


def test_download_shows_progress_only_if_asked(server, tmp_path, capfd):
  data.load_images("mnist", data_dir=tmp_path, show_progress=True)
  assert "Dl Completed" in capfd.readouterr().err
  data.load_images("kmnist", data_dir=tmp_path)
  assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
  ("trouble", "match"),
  [
    ("broken off", r"got no connection, or one that broke off \(ChunkedEncodingError\)"),
    ("altered", r"got other bytes than the expected ones \(SHA-256 [0-9a-f]{64}\)"),
    ("not found", r"got HTTP status 404 Not Found, expected 200"),
    ("refused", r"got no connection, or one that broke off \(ConnectionError\)"),
  ],
)
def test_failed_download_leaves_nothing_to_be_taken_for_good(server, tmp_path, trouble, match):
  server.trouble = trouble
  with raises_one_line(rf"mnist: {LABELS} not downloaded from 127\.0\.0\.1:\d+: {match}"):
    data.load_images("mnist", data_dir=tmp_path)
  kept = [path.name for path in (tmp_path / "downloads").rglob("*") if path.is_file()]
  assert kept == [data.FILE_NAMES[0]]  # the whole file before the trouble, and no part of another
  server.trouble = None
  assert_small(data.load_images("mnist", data_dir=tmp_path))


@pytest.mark.parametrize("damage", [flip_a_bit, lambda content: content[:9]])
def test_kept_file_that_is_damaged_is_downloaded_again(server, tmp_path, damage):
  data.load_images("mnist", data_dir=tmp_path)
  path = tmp_path / "downloads" / "mnist" / LABELS
  path.write_bytes(damage(path.read_bytes()))
  server.requests.clear()
  assert_small(data.load_images("mnist", data_dir=tmp_path))
  assert set(server.requests) == {LABELS}


def test_no_server(publish, tmp_path):
  with socket.socket() as unused:  # bound but not listening: connections are refused
    unused.bind(("127.0.0.1", 0))
    publish(small_files(), f"http://127.0.0.1:{unused.getsockname()[1]}/")
    with raises_one_line(r"train-images.* not downloaded from .*got no connection"):
      data.load_images("mnist", data_dir=tmp_path)


def test_server_that_never_answers(publish, tmp_path, monkeypatch):
  monkeypatch.setattr(original_files, "_CONNECT_SECONDS", 0.2)
  start = time.monotonic()
  with socket.create_server(("127.0.0.1", 0)) as silent:
    publish(small_files(), f"http://127.0.0.1:{silent.getsockname()[1]}/")
    with raises_one_line(r"got no connection, or one that broke off \(ReadTimeout\)"):
      data.load_images("mnist", data_dir=tmp_path)
  assert time.monotonic() - start < 10  # 0.2 s and the import of TFDS on a busy machine


def test_data_dir_that_cannot_be_written(server, tmp_path):
  (tmp_path / "file").write_text("not a folder")
  with raises_one_line(r"data_dir: got '.*mnist', not writable \(Not a directory\).*data_dir=DIR"):
    data.load_images("mnist", data_dir=tmp_path / "file")


def test_data_dir_without_room(server, tmp_path, monkeypatch):
  replace = os.replace

  def full(source, destination):
    if pathlib.Path(destination).name not in data.FILE_NAMES:  # TFDS, within the staging folder
      return replace(source, destination)
    assert pathlib.Path(destination).parent in pathlib.Path(source).parents  # so a move is atomic
    raise OSError(28, "No space left on device")

  monkeypatch.setattr(os, "replace", full)
  with raises_one_line(r"data_dir: got '.*', not writable \(No space left on device\)"):
    data.load_images("mnist", data_dir=tmp_path)
  assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


# The real MNIST, and what an import costs.


def test_real_mnist(mnist_dir):
  mnist = data.load_images("mnist", manual_dir=mnist_dir)
  assert mnist.train_images.shape == (60_000, 28, 28, 1)
  assert mnist.test_images.shape == (10_000, 28, 28, 1)
  train_counts = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
  test_counts = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
  assert np.bincount(mnist.train_labels).tolist() == train_counts
  assert np.bincount(mnist.test_labels).tolist() == test_counts
  # The mean that PyTorch's MNIST example subtracts.
  assert mnist.train_images.mean() / 255 == pytest.approx(0.1307, abs=5e-5)
  assert mnist.train_labels[:5].tolist() == [5, 0, 4, 1, 9]


def test_mnist_files_are_not_fashion_mnist(mnist_dir):
  with raises_one_line("expected the original file of fashion_mnist"):
    data.load_images("fashion_mnist", manual_dir=mnist_dir)


def test_import_takes_neither_tfds_nor_scikit_learn():
  check = (
    "import sys, hw1_jax.data;"
    "print({'tensorflow_datasets', 'sklearn', 'requests', 'tensorflow'} & set(sys.modules))"
  )
  root = pathlib.Path(data.__file__).parents[2]
  run = functools.partial(subprocess.run, capture_output=True, text=True, check=True, cwd=root)
  assert run([sys.executable, "-c", check]).stdout.strip() == "set()"


def test_files_are_read_without_tensorflow_and_without_network(publish, manual_dir, monkeypatch):
  def no_network(*_, **__):
    raise AssertionError("network")

  monkeypatch.setattr(socket.socket, "connect", no_network)
  monkeypatch.setattr(socket, "getaddrinfo", no_network)
  original_files._registry("mnist")
  publish(small_files())
  assert_small(data.load_images("mnist", manual_dir=manual_dir))
  assert "tensorflow" not in sys.modules
