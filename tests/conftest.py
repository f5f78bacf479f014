"""Shared by all tests: two CPU devices wherever no platform is asked for, and the real MNIST."""

import os
import pathlib
import signal

# Test processes share the cores, and LAPACKs with threads wait for each other. Read by NumPy.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import jax
import pytest

if "JAX_PLATFORMS" not in os.environ:
  jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 2)
# Several test processes share one GPU; each takes what it needs, not most of the memory.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

ROOT = pathlib.Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"

# Most of the suite's time is compiling, and many tests compile the same programs, in both workers.
# What one reads while another writes it is cut short, which zlib notices: it is compiled anew.
jax.config.update("jax_compilation_cache_dir", str(ROOT / ".jax_cache"))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
jax.config.update("jax_persistent_cache_enable_xla_caches", "none")  # else keys hold the folder


# What a shell ignores for a command in the background (nohup, &), its children would ignore, too.
signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP"):
  signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(scope="session", autouse=True)
def no_power_cut():
  """Files reach the disk when it suits it: waiting for that, thousands of times, tests nothing."""
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(os, "fsync", lambda file: None)
    yield


@pytest.fixture(scope="session")
def mnist_dir() -> pathlib.Path:
  """The folder of MNIST's four original files; skips where there is none, but not on our CI."""
  folder = pathlib.Path(os.environ.get("HW1_JAX_MNIST_DIR") or SHARED / "mnist")
  if not (folder / "train-images-idx3-ubyte.gz").is_file():
    reason = f"no MNIST files in {folder}; set HW1_JAX_MNIST_DIR to their folder"
    if os.environ.get("CI") and SHARED.is_dir():
      pytest.fail(reason)
    pytest.skip(reason)
  return folder
