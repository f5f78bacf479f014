"""Images of one's own, and MNIST, CIFAR-10 and SVHN in the forms in which people have them."""

import gzip
import hashlib
import io
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from hw1_jax import data
from hw1_jax.data import files, formats
from hw1_jax.errors import UserError
from hw1_jax.runs.files import read_json

ROOT = pathlib.Path(__file__).resolve().parents[2]


def pictures(count=20, height=9, width=7, channels=3, classes=3):
  """Returns (images [N, H, W, C] uint8, labels [N]) whose mean brightness tells the class."""
  random = np.random.default_rng(0)
  labels = np.arange(count) % classes
  noise = random.integers(0, 40, (count, height, width, channels))
  return (noise + 70 * labels[:, None, None, None]).astype(np.uint8), labels


# An .npz.


def save(tmp_path, **arrays):
  path = tmp_path / "own.npz"
  np.savez(path, **arrays)
  return str(path)


def test_an_npz_with_both_sets_is_taken_as_it_is(tmp_path):
  images, labels = pictures()
  path = save(
    tmp_path, images=images, labels=labels, test_images=images[:5], test_labels=labels[:5]
  )
  loaded = data.load_images(path)
  np.testing.assert_array_equal(loaded.train_images, images)
  np.testing.assert_array_equal(loaded.test_images, images[:5])
  np.testing.assert_array_equal(loaded.train_labels, labels)
  assert loaded.train_labels.dtype == np.int32
  assert (loaded.num_classes, loaded.name) == (3, path)


def test_without_a_test_set_every_fifth_of_each_class_is_held_out(tmp_path):
  images, labels = pictures(count=30)
  loaded = data.load_images(save(tmp_path, images=images, labels=labels))
  assert np.bincount(loaded.test_labels).tolist() == [2, 2, 2]
  everything = np.concatenate([loaded.train_images, loaded.test_images])
  assert sorted(map(bytes, everything)) == sorted(map(bytes, images))


def test_keras_names_grey_images_and_columns_of_labels(tmp_path):
  images, labels = pictures(channels=1)
  path = save(tmp_path, x_train=images[..., 0], y_train=labels[:, None], x_test=images[:4, ..., 0],
              y_test=labels[:4, None])  # fmt: skip
  loaded = data.load_images(path)
  np.testing.assert_array_equal(loaded.train_images, images)
  np.testing.assert_array_equal(loaded.test_labels, labels[:4])


IMAGES, LABELS = pictures()


@pytest.mark.parametrize(
  ("arrays", "match"),
  [
    ({"x": IMAGES}, r"own\.npz: got the arrays x, expected images and labels, or x_train"),
    ({"images": IMAGES / 255, "labels": LABELS}, r"images: got float64 \[20, .*uint8.*astype"),
    ({"images": IMAGES[0, 0], "labels": LABELS[:7]}, r"got uint8 \[7, 3\], expected \[N, height"),
    ({"images": IMAGES, "labels": LABELS[:3]}, r"labels: got int64 \[3\], expected 20 whole num"),
    ({"images": IMAGES, "labels": LABELS / 1}, r"labels: got float64 \[20\]"),
    ({"images": IMAGES, "labels": LABELS - 1}, r"labels: got -1 to 1, expected 0 to"),
    ({"images": IMAGES, "labels": LABELS * 0}, "got one class, expected at least two"),
    (
      {"images": IMAGES, "labels": LABELS, "test_images": IMAGES[:, 1:], "test_labels": LABELS},
      r"test_images: got images \(8, 7, 3\), expected \(9, 7, 3\)",
    ),
    ({"images": np.array([{}], object), "labels": LABELS}, "expected an .npz of plain arrays"),
  ],
)
def test_other_arrays_are_refused_in_one_line(tmp_path, arrays, match):
  with pytest.raises(UserError, match=match) as caught:
    data.load_images(save(tmp_path, **arrays))
  assert "\n" not in str(caught.value)


def test_a_path_with_nothing_there_names_what_is(tmp_path):
  save(tmp_path, images=IMAGES, labels=LABELS)
  with pytest.raises(UserError, match=r"dataset: got '.*owm\.npz', .*; the folder holds own\.npz"):
    data.load_images(str(tmp_path / "owm.npz"))
  with pytest.raises(UserError, match="nor is its folder there"):
    data.load_images(str(tmp_path / "nowhere" / "own.npz"))
  (tmp_path / "text.npz").write_text("no archive")
  with pytest.raises(UserError, match=r"expected an \.npz of plain arrays"):
    data.load_images(str(tmp_path / "text.npz"))


def test_manual_dir_beside_images_that_need_none_is_refused(tmp_path):
  with pytest.raises(
    UserError, match=r"manual_dir: got '.*', expected none with dataset=digits, wh"
  ):
    data.load_images("digits", manual_dir=tmp_path)
  path = save(tmp_path, images=IMAGES, labels=LABELS)
  with pytest.raises(UserError, match="which is read from its own path"):
    data.load_images(path, manual_dir=tmp_path)


# A folder of class folders.


def write_pictures(folder, images, labels, names="abc", mode="RGB"):
  for i, (image, label) in enumerate(zip(images, labels)):
    (folder / names[label]).mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(image if image.shape[-1] == 3 else image[..., 0]).convert(mode)
    picture.save(folder / names[label] / f"{i:03d}.png")


def test_a_folder_of_class_folders(tmp_path):
  write_pictures(tmp_path, IMAGES, LABELS)
  (tmp_path / "a" / "notes.txt").write_text("no image")
  (tmp_path / ".hidden").mkdir()
  loaded = data.load_images(f"{tmp_path}/")
  assert loaded.train_images.shape[1:] == (9, 7, 3)
  assert (loaded.num_classes, len(loaded.train_labels) + len(loaded.test_labels)) == (3, 20)
  known = {image.tobytes(): label for image, label in zip(IMAGES, LABELS)}
  for image, label in zip(loaded.train_images, loaded.train_labels):
    assert known[image.tobytes()] == label
  assert len(set(loaded.train_labels[:6])) > 1  # mixed: `train_examples` takes the first
  assert data.load_images(f"{tmp_path}/").checksum == loaded.checksum


def test_a_folder_with_train_and_test_and_grey_images(tmp_path):
  images, labels = pictures(channels=1)
  write_pictures(tmp_path / "train", images[:15], labels[:15], mode="L")
  write_pictures(tmp_path / "test", images[15:], labels[15:], mode="L")
  loaded = data.load_images(str(tmp_path))
  assert loaded.train_images.shape == (15, 9, 7, 1)
  assert loaded.test_images.shape == (5, 9, 7, 1)


def test_bad_folders_are_refused_in_one_line(tmp_path):
  write_pictures(tmp_path, IMAGES, LABELS)
  Image.new("RGB", (4, 5)).save(tmp_path / "b" / "small.png")
  with pytest.raises(UserError, match=r"got .*4 x 5|got .*7 x 9.*resize all images"):
    data.load_images(str(tmp_path))
  (tmp_path / "b" / "small.png").write_bytes(b"no image")
  with pytest.raises(UserError, match=r"small\.png: got .*, expected an image"):
    data.load_images(str(tmp_path))
  shutil.rmtree(tmp_path / "b")
  shutil.rmtree(tmp_path / "c")
  with pytest.raises(UserError, match=r"the folder holds a/, expected at least two folders"):
    data.load_images(str(tmp_path))
  (tmp_path / "b").mkdir()
  with pytest.raises(UserError, match=r"b: got the folder holds nothing, expected images"):
    data.load_images(str(tmp_path))


def test_without_pillow_a_folder_is_refused_with_the_command_to_get_it(tmp_path, monkeypatch):
  write_pictures(tmp_path, IMAGES, LABELS)
  monkeypatch.setitem(sys.modules, "PIL", None)
  with pytest.raises(UserError, match="expected Pillow; pip install pillow"):
    data.load_images(str(tmp_path))


# MNIST as people have it.


@pytest.fixture(scope="module")
def content(mnist_dir):
  """The content of MNIST's four files, decompressed."""
  return {n: gzip.decompress((mnist_dir / n).read_bytes()) for n in data.FILE_NAMES}


FORMS = {
  "decompressed": lambda name: name.removesuffix(".gz"),
  "with a dot": lambda name: name.removesuffix(".gz").replace("-idx", ".idx"),
  "folder of its name": lambda name: "/".join([name.removesuffix(".gz")] * 2),
  "torchvision": lambda name: "MNIST/raw/" + name.removesuffix(".gz"),
  "compressed again": lambda name: name,
}


@pytest.mark.parametrize("form", FORMS)
def test_mnist_is_known_by_its_content(form, content, tmp_path, mnist_dir):
  for name, raw in content.items():
    path = tmp_path / FORMS[form](name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(raw, 1) if path.suffix == ".gz" else raw)
  loaded = data.load_images("mnist", manual_dir=tmp_path)
  assert loaded.checksum == data.load_images("mnist", manual_dir=mnist_dir).checksum
  path.write_bytes(raw[:-1] + b"\x0b")  # the last test label
  with pytest.raises(UserError, match=r"expected the original file of mnist, .* packed or not"):
    data.load_images("mnist", manual_dir=tmp_path)


def test_keras_mnist(content, tmp_path, mnist_dir):
  original = data.load_images("mnist", manual_dir=mnist_dir)
  arrays = {
    "x_train": original.train_images[..., 0], "y_train": original.train_labels.astype(np.uint8),
    "x_test": original.test_images[..., 0], "y_test": original.test_labels.astype(np.uint8),
  }  # fmt: skip
  np.savez(tmp_path / "mnist.npz", **arrays)
  for place in (tmp_path, tmp_path / "mnist.npz"):
    assert data.load_images("mnist", manual_dir=place).checksum == original.checksum
  arrays["y_test"][0] ^= 1
  np.savez(tmp_path / "mnist.npz", **arrays)
  with pytest.raises(UserError, match=r"mnist\.npz: y_test: got [0-9a-f]{64}, expected the cont"):
    data.load_images("mnist", manual_dir=tmp_path)
  (tmp_path / "mnist.npz").write_text("no archive")
  with pytest.raises(UserError, match=r"x_train: got no such array"):
    data.load_images("mnist", manual_dir=tmp_path)


def test_a_refusal_names_the_files_that_are_there(tmp_path):
  (tmp_path / "train.csv").write_text("")
  (tmp_path / "old").mkdir()
  with pytest.raises(UserError, match=r"no such file, .*; the folder holds old/, train\.csv; use"):
    data.load_images("mnist", manual_dir=tmp_path)


def test_the_sums_of_the_contents_are_those_of_the_registered_files(mnist_dir, content):
  _, url_infos = files._registry("mnist")
  sums = {info.checksum for info in url_infos.values()}
  for name, raw in content.items():
    assert hashlib.sha256((mnist_dir / name).read_bytes()).hexdigest() in sums
    assert hashlib.sha256(raw).hexdigest() == files.MNIST_CONTENT[name]


# CIFAR-10 and SVHN: small files of the same form stand in for the registered ones.


def register(monkeypatch, folder, contents):
  """Registers files as originals and puts them into a folder."""
  from tensorflow_datasets.core.download import checksums

  urls = {name: f"http://127.0.0.1:9/{name}" for name in contents}
  url_infos = {
    urls[name]: checksums.UrlInfo(len(raw), hashlib.sha256(raw).hexdigest(), name)
    for name, raw in contents.items()
  }
  monkeypatch.setattr(files, "_registry", lambda *_: (urls, url_infos))
  for name, raw in contents.items():
    (folder / name).write_bytes(raw)


@pytest.mark.parametrize(
  ("name", "file_names", "size"),
  [
    ("cifar10", formats.CIFAR10_FILES, 170_052_171),
    ("svhn_cropped", formats.SVHN_FILES, 182_040_794),
  ],
)
def test_the_registry_knows_the_files(name, file_names, size):
  urls, url_infos = files._registry(name, file_names)
  assert tuple(urls) == file_names
  first = url_infos[urls[file_names[0]]]
  assert len(first.checksum) == 64
  assert first.size == size


def cifar10(records):
  """Returns the archive of six files of records [N, 3073]."""
  buffer = io.BytesIO()
  with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
    names = [f"data_batch_{i}.bin" for i in range(1, 6)] + ["test_batch.bin"]
    for name, part in zip(names, records):
      info = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
      info.size = part.size
      archive.addfile(info, io.BytesIO(part.tobytes()))
  return buffer.getvalue()


def test_cifar10(monkeypatch, tmp_path):
  random = np.random.default_rng(0)
  images = random.integers(0, 256, (12, 32, 32, 3)).astype(np.uint8)
  labels = np.arange(12) % 10
  records = np.concatenate(
    [labels[:, None], images.transpose(0, 3, 1, 2).reshape(12, -1)], axis=1
  ).astype(np.uint8)
  register(monkeypatch, tmp_path, {formats.CIFAR10_FILES[0]: cifar10(np.split(records, 6))})
  loaded = data.load_images("cifar10", manual_dir=tmp_path)
  np.testing.assert_array_equal(loaded.train_images, images[:10])
  np.testing.assert_array_equal(loaded.test_images, images[10:])
  np.testing.assert_array_equal(loaded.test_labels, labels[10:])
  register(monkeypatch, tmp_path, {formats.CIFAR10_FILES[0]: b"no archive"})
  with pytest.raises(UserError, match="expected CIFAR-10's binary archive"):
    data.load_images("cifar10", manual_dir=tmp_path)


def test_svhn(monkeypatch, tmp_path):
  random = np.random.default_rng(0)
  contents = {}
  for name in formats.SVHN_FILES:
    buffer = io.BytesIO()
    images = random.integers(0, 256, (32, 32, 3, 4)).astype(np.uint8)
    savemat(buffer, {"X": images, "y": np.array([[10], [1], [9], [2]], np.uint8)})
    contents[name] = buffer.getvalue()
  register(monkeypatch, tmp_path, contents)
  loaded = data.load_images("svhn", manual_dir=tmp_path)
  np.testing.assert_array_equal(loaded.test_images, images.transpose(3, 0, 1, 2))
  assert loaded.test_labels.tolist() == [0, 1, 9, 2]  # their 10 is the digit 0
  assert loaded.num_classes == 10


# As a user: a command, from another folder, with images of their own.


def command(tmp_path, name, *flags):
  return subprocess.run(
    [sys.executable, "-m", f"experiments.{name}", "--workdir=run", "--num_epochs=2", "--num_runs=1",
     *flags],
    cwd=tmp_path, env={"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu", "PATH": "/usr/bin:/bin"},
    capture_output=True, text=True, timeout=300,
  )  # fmt: skip


def test_a_command_trains_on_own_images_and_notices_other_ones(tmp_path):
  images, labels = pictures(count=60, height=12, width=14)
  save(tmp_path, images=images, labels=labels)
  flags = ["--dataset=own.npz", "--model=cnn", "--architecture=2k3p/5", "--batch_size=10"]
  done = command(tmp_path, "random_labels", *flags)
  assert done.returncode == 0, done.stderr
  found = np.load(tmp_path / "run" / "result.npz")
  assert found["num_classes"] == 3
  assert found["random_labels"].max() == 2
  assert "guessing: ln 3" in (tmp_path / "run" / "figures" / "loss.svg").read_text()
  dataset = read_json(tmp_path / "run" / "provenance.json")["dataset"]
  assert dataset["name"] == "own.npz"
  assert dataset["train_examples"] == 48
  # 8k9p needs images of 10 x 10 at least, 8k9p-8k9p of 28 x 28.
  flags[2] = "--architecture=8k9p-8k9p/5"
  done = command(tmp_path, "random_labels", *flags, "--overwrite")
  assert done.returncode == 2
  assert re.fullmatch(r"random_labels: --architecture: got .*images of 12 x 14.*\n", done.stderr)
