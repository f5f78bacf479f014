"""Times every workload in ours and in PyTorch eager, in turns, and prints the ratios.

    pip install -e '.[bench]'
    python -m benchmarks.compare                     # all workloads, long report's sizes
    python -m benchmarks.compare --workload=hessian --pairs=7
    pip install --no-deps pyhessian==0.1             # for the workloads spectrum, spectrum_probes
    python -m benchmarks.compare --workload=spectrum --mnist=FOLDER    # zeros matter to it
    python -m benchmarks.compare --workload=plane --pairs=1      # PyTorch's loop: 15 minutes a call
    python -m benchmarks.compare --device=gpu        # both sides on the GPU
    python -m benchmarks.compare --quick             # small sizes: does it run at all
    python -m benchmarks.compare --output=benchmarks/RESULTS.md

Each side works in a process of its own, so neither disturbs the other's threads; they take turns,
A B A B ..., after a warm-up, and a ratio is that of two neighbours in time. The first call of ours
compiles; its time stands apart. Peak memory is the process's, data included.
"""

import argparse
import datetime
import importlib
import os
import pathlib
import platform
import resource
import statistics
import subprocess
import sys
import time
import zlib

from benchmarks import sizes as settings

SIDES = ("ours", "pytorch")
NAMES = (
  "cnn_epoch", "cnn_family", "mlp_batch_10", "mlp_batch_64", "mlp_batch_100", "mlp_batch_1000",
  "small_steps", "six_fits", "hessian", "minimal_ratio", "critical_points", "interpolation",
  "plane", "spectrum", "spectrum_probes", "sensitivity", "path_members",
)  # fmt: skip
ON_MNIST = ("spectrum", "spectrum_probes")  # where `--mnist` is given


def serve(side: str, name: str, quick: bool) -> None:
  """Makes one side's work ready, then does it once for every line read; prints the seconds."""
  module = importlib.import_module(f"benchmarks.{side}")
  module.set_up(name)
  work = module.WORKLOADS[name](settings.QUICK if quick else settings.FULL)
  for _ in sys.stdin:
    start = time.perf_counter()
    work()
    module.finish()
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{seconds} {peak}", flush=True)


class Worker:
  """One side's process."""

  def __init__(self, side: str, name: str, quick: bool):
    command = [sys.executable, "-m", "benchmarks.compare", "--serve", side, "--workload", name]
    self.process = subprocess.Popen(
      [*command, *(["--quick"] if quick else [])],
      stdin=subprocess.PIPE,
      stdout=subprocess.PIPE,
      text=True,
    )

  def run(self) -> tuple[float, float]:
    """Returns (seconds, peak MiB so far) of one piece of work."""
    assert self.process.stdin
    assert self.process.stdout
    self.process.stdin.write("go\n")
    self.process.stdin.flush()
    line = self.process.stdout.readline()
    if not line:
      raise SystemExit("benchmarks.compare: a worker died; see its message above")
    seconds, peak = line.split()
    return float(seconds), float(peak)

  def stop(self) -> None:
    """Ends the process."""
    if self.process.stdin:
      self.process.stdin.close()
    self.process.wait()


def matmul_rate() -> float:
  """Returns the machine's float32 matrix-product rate in GFLOP/s: the best of ten products."""
  import numpy as np

  n = 2048
  a = np.random.default_rng(0).random((n, n), dtype=np.float32)
  best = min(_timed(lambda: a @ a) for _ in range(10))
  return 2 * n**3 / best / 1e9


def _timed(work) -> float:
  start = time.perf_counter()
  work()
  return time.perf_counter() - start


def compare(name: str, pairs: int, quick: bool, rate: float) -> str:
  """Returns one row of the table."""
  ours, theirs = (Worker(side, name, quick) for side in SIDES)
  first, _ = ours.run()
  ours.run()
  theirs.run()
  rows = [(ours.run(), theirs.run()) for _ in range(pairs)]
  ours.stop()
  theirs.stop()
  ratios = sorted(b[0] / a[0] for a, b in rows)
  mine = statistics.median(a[0] for a, _ in rows)
  other = statistics.median(b[0] for _, b in rows)
  operations = settings.flops(name, settings.QUICK if quick else settings.FULL)
  fraction = f"{operations / mine / 1e9 / rate:.0%}" if operations else ""
  real = ", MNIST" if name in ON_MNIST and "BENCHMARK_MNIST" in os.environ else ""
  return (
    f"| {name}{real} | {mine:.3g} | {other:.3g} | {statistics.median(ratios):.2f} "
    f"({ratios[0]:.2f} to {ratios[-1]:.2f}) | {max(first - mine, 0):.1f} | {fraction} "
    f"| {rows[-1][0][1]:.0f} / {rows[-1][1][1]:.0f} |"
  )


def main() -> None:
  """Parses the arguments and prints the table."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--workload", action="append", choices=NAMES)
  parser.add_argument("--pairs", type=int, default=5)
  parser.add_argument("--quick", action="store_true")
  parser.add_argument("--device", choices=("cpu", "gpu"), default="cpu")
  parser.add_argument("--mnist", metavar="FOLDER", help="its four files: spectra of real images")
  parser.add_argument("--output", type=pathlib.Path, help="write the table there, too")
  parser.add_argument("--serve", choices=SIDES, help=argparse.SUPPRESS)
  options = parser.parse_args()
  if not options.serve:  # the workers inherit it
    os.environ["JAX_PLATFORMS"] = {"cpu": "cpu", "gpu": "cuda"}[options.device]
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # the sides share a GPU
  if options.serve:
    serve(options.serve, options.workload[0], options.quick)
    return
  if options.mnist:
    os.environ["BENCHMARK_MNIST"] = os.path.abspath(options.mnist)
    try:
      settings.mnist(1)
    except (OSError, EOFError, ValueError, zlib.error) as error:
      parser.error(f"--mnist: got {options.mnist}, expected a folder of MNIST's .gz files: {error}")
  rate = matmul_rate()
  versions = [importlib.import_module(f"benchmarks.{side}").versions() for side in SIDES]
  threads = len(os.sched_getaffinity(0))
  gpu = importlib.import_module("benchmarks.pytorch").device()
  lines = [
    "# Against PyTorch",
    "",
    f"`python -m benchmarks.compare --device={options.device}`, {datetime.date.today()}: "
    f"{' against '.join(versions)}, eager, Python {platform.python_version()}.",
    f"{gpu and gpu + ', '}{processor()}, {threads} cores, each side with as many threads; "
    f"NumPy's matrix products at {rate:.0f} GFLOP/s (float32, 2048 x 2048).",
    f"{options.pairs} pairs in turns after a warm-up, medians; what each workload is stands in "
    "`benchmarks/sizes.py`, `ours.py` and `pytorch.py`.",
    "",
    "| workload | ours, s | PyTorch, s | ratio PyTorch / ours, median (range) | compile, s "
    "| of NumPy's product rate | peak MiB, ours / PyTorch |",
    "| --- | --- | --- | --- | --- | --- | --- |",
  ]
  print("\n".join(lines), flush=True)
  for name in options.workload or NAMES:
    lines.append(compare(name, options.pairs, options.quick, rate))
    print(lines[-1], flush=True)
  if options.output:
    options.output.write_text("\n".join(lines) + "\n")


def processor() -> str:
  """Returns the processor's name as the system gives it."""
  lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
  names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
  return names[0] if names else platform.processor()


if __name__ == "__main__":
  main()
