"""The workloads' settings, shared by both sides: the long report's, with a quick form of each."""

import dataclasses
import gzip
import os
import pathlib

import numpy as np

FUNCTION_NETS = ((5, 10, 10, 10, 10, 10, 5), (10, 18, 15, 4), (190,))  # 571, 572, 571 parameters
LEARNING_RATES = {"sinc": (0.0012, 0.0012, 0.0011), "sign_sine": (0.009, 0.009, 0.009)}
CNNS = ("10k4p-20k4p/50d-100", "10k4p-20k4p/50-50-40-30", "18k4p-22k4p/52")


@dataclasses.dataclass(frozen=True)
class Sizes:
  """How much work each workload is."""

  images: int = 60_000
  test_images: int = 10_000
  small_steps: int = 300  # steps of each function net
  fit_epochs: int = 3000  # the most epochs of the six trainings
  hessian_width: int = 500  # 1-500-1: 1501 parameters
  ratio_runs: int = 100
  ratio_epochs: int = 300
  search_runs: int = 10  # of Levenberg-Marquardt, 1-500-1
  search_steps: int = 30
  alphas: int = 31
  spectrum_images: int = 10_000
  lanczos_steps: int = 100  # of one probe
  probes: int = 4  # side by side, a quarter of the steps each
  plane: int = 51  # points along each of the plane's two axes
  members: int = 8
  points: int = 300


FULL = Sizes()
QUICK = Sizes(
  images=6000, test_images=1000, small_steps=50, fit_epochs=200, hessian_width=50, ratio_runs=6,
  ratio_epochs=30, search_runs=2, search_steps=3, alphas=5, plane=5, members=3,
  spectrum_images=1000, lanczos_steps=20, probes=4,
)  # fmt: skip


def mnist(count: int) -> tuple[np.ndarray, np.ndarray] | None:
  """Returns MNIST's first training images [count, 28, 28, 1] and labels, uint8; see `--mnist`.

  None where it is not given. Not by `hw1_jax.data`: PyTorch's process would start JAX, too.
  """
  if not (folder := os.environ.get("BENCHMARK_MNIST")):
    return None
  images, labels = (
    np.frombuffer(gzip.decompress(pathlib.Path(folder, name).read_bytes()), np.uint8, offset=start)
    for name, start in (("train-images-idx3-ubyte.gz", 16), ("train-labels-idx1-ubyte.gz", 8))
  )
  return images.reshape(-1, 28, 28, 1)[:count].copy(), labels[:count].copy()


MLP = 784 * 500 + 500 * 10  # multiplications an example, forward
CNN1 = 25 * 25 * 16 * 10 + 9 * 9 * 160 * 20 + 320 * 50 + 50 * 100 + 100 * 10


def flops(name: str, sizes: Sizes) -> float | None:
  """Returns the floating-point operations of the matrix products that a workload asks for.

  Training: 2 a multiplication forward, as much for the weight gradients, and for the input
  gradients of all layers but the first. None where products are not what takes the time.
  """
  backward_mlp = 784 * 500 + 2 * 500 * 10
  train_mlp = 2.0 * (MLP + backward_mlp)
  return {
    "cnn_epoch": sizes.images * 2.0 * (3 * CNN1 - 25 * 25 * 16 * 10),
    "mlp_batch_10": sizes.images * train_mlp,
    "mlp_batch_64": sizes.images * train_mlp,
    "mlp_batch_100": sizes.images * train_mlp,
    "mlp_batch_1000": sizes.images * train_mlp,
    "path_members": sizes.members * sizes.images * train_mlp,
    "sensitivity": sizes.test_images * 2.0 * (MLP + 10 * MLP),
  }.get(name)


def on_gpu() -> bool:
  """Returns whether both sides compute on a GPU: `--device=gpu` sets JAX_PLATFORMS for both."""
  return os.environ.get("JAX_PLATFORMS", "cpu").startswith("cuda")
