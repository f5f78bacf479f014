"""Measures where the time of the long report's sections goes.

    python -m benchmarks.sections --manual_dir=DIR            # all nine; MNIST's files in DIR
    python -m benchmarks.sections --section=sensitivity ...   # one of them

A section runs with its published settings but for its amount: two seeds, and a small part of the
images (of the runs, where a section has functions). It runs with two amounts, twice each, the first
time to compile; the difference of the second times is what one unit costs, without what every run
pays once (data, tracing, figures). A third run of the smaller amount is made under JAX's profiler,
which tells how long each operation took. Floating-point operations are those that XLA counts in one
training step (`cost_analysis`), times the steps. The machine should do nothing else meanwhile.
"""

import argparse
import collections
import datetime
import importlib
import pathlib
import subprocess
import sys
import tempfile
import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from benchmarks import sizes
from benchmarks.compare import matmul_rate, processor
from hw1_jax import models
from hw1_jax.runs.main import main as run_experiment
from hw1_jax.training import losses

ROOT = pathlib.Path(__file__).resolve().parent.parent
SHAPE = (28, 28, 1)
IMAGES, SEEDS = 60_000, 10
BATCHES = (10, 385, 760, 1135, 1510)
WIDTHS = (50, 100, 250, 500, 550, 750, 1000, 1050, 1500, 2000)
SMALL, LARGE = 3000, 9000  # images


class Steps(NamedTuple):
  """Training steps of one seed over the whole data set."""

  model: str  # hidden widths, or a CNN as `models.parse_cnn` reads it
  batch: int
  epochs: float


class Section(NamedTuple):
  """What is measured of a section: images of MNIST, or runs where it has functions."""

  experiment: str
  number: str
  steps: tuple[Steps, ...] = ()
  flags: str = ""
  amounts: tuple[int, int] = (SMALL, LARGE)
  scale: float = IMAGES * SEEDS / 2  # amounts in the whole section; two seeds count as one
  seeds: int = SEEDS


SECTIONS = (
  # as if no run ended before its 25,000 epochs
  Section("simulate_function", "1.1.1", flags="--num_epochs=1000 --loss_below=1e-9",
          amounts=(2, 6), scale=100 * 25),
  Section("train_on_task", "1.1.2", tuple(Steps(cnn, 600, 15) for cnn in sizes.CNNS)),
  Section("optimization_path", "1.2.1", (Steps("500", 100, 45),)),
  Section("gradient_norm", "1.2.2", amounts=(4, 12), scale=100),
  Section("minimal_ratio", "1.2.3", amounts=(2, 6), scale=100),
  # 3 seeds on 2 devices: two rounds
  Section("random_labels", "1.3.1", (Steps("500", 100, 1000),), "--num_epochs=20",
          scale=IMAGES * 2 * 1000 / 20, seeds=3),
  Section("parameter_count", "1.3.2", tuple(Steps(str(width), 600, 10) for width in WIDTHS)),
  # two pairs, one more end each from its own start, and 31 models trained on for each pair
  Section("interpolation", "1.3.3", (Steps("500", 64, 15 * 4), Steps("500", 1000, 15 * 2),
                                     Steps("500", 100, 31 * 2))),
  Section("sensitivity", "1.3.4", tuple(
    Steps("500", batch, 5 + 780 * batch / IMAGES) for batch in BATCHES),
    "--num_steps={steps}"),
)  # fmt: skip


def arguments(section: Section, amount: int, folder: pathlib.Path, manual_dir: str) -> list[str]:
  """Returns the command line of a section with a part of its work."""
  name = section.experiment
  given = [name, f"--flagfile={ROOT}/experiments/flags/long_report/{name}.flags"]
  given += [f"--workdir={folder}", "--overwrite", "--checkpoint_seconds=1e6"]
  if not section.steps:
    path = ["--path_runs=1"] if name == "minimal_ratio" else []
    return [*given, f"--num_runs={amount}", *path, *section.flags.split()]
  steps = round(780 * amount / IMAGES)
  given += [f"--manual_dir={manual_dir}", "--num_runs=2", f"--train_examples={amount}"]
  return [*given, f"--test_examples={amount // 6}", *section.flags.format(steps=steps).split()]


def serve(section: Section, manual_dir: str) -> None:
  """Prints the seconds of both amounts, and of each kind of operation in the smaller one."""
  entry = importlib.import_module(f"experiments.{section.experiment}").EXPERIMENT
  with tempfile.TemporaryDirectory() as place:
    folder, trace = pathlib.Path(place, "run"), pathlib.Path(place, "trace")

    def run(amount: int) -> float:
      start = time.perf_counter()
      run_experiment(entry, arguments(section, amount, folder, manual_dir))
      return time.perf_counter() - start

    for amount in section.amounts:
      run(amount)
    small, large = map(run, section.amounts)
    quiet = jax.profiler.ProfileOptions()
    quiet.python_tracer_level = 0  # every call of Python, of the drawing too, would be an event
    with jax.profiler.trace(trace, profiler_options=quiet):
      run(section.amounts[0])
    kinds = time_of_kinds(next(trace.rglob("*.xplane.pb")))
  print("measured", small, large, *(kinds[kind] for kind in KINDS), flush=True)


KINDS = {  # of operations, by what XLA calls them on the CPU
  "products": ("ynn_fusion", "dot", "convolution", "gemm"),
  "LAPACK": ("custom-call", "lapack", "cholesky", "triangular"),
  "sorting": ("sort", "gather", "shuffle", "threefry"),
  "copies": ("copy", "transpose", "bitcast", "concatenate", "slice"),
  "elementwise": ("",),
}
AROUND = ("while", "call", "conditional", "end: ", "Thread", "Slinky", "Thunk")


def time_of_kinds(path: pathlib.Path) -> collections.Counter:
  """Returns nanoseconds of each of KINDS in a trace, of whatever runs in XLA's threads."""
  spent: collections.Counter = collections.Counter()
  for plane in jax.profiler.ProfileData.from_file(str(path)).planes:
    for line in plane.lines:
      if "XLA" not in line.name:
        continue
      for event in line.events:
        name = event.name
        if name.startswith(AROUND) or "::" in name:
          continue
        spent[next(k for k, parts in KINDS.items() if any(p in name for p in parts))] += (
          event.duration_ns
        )
  return spent


def operations(steps: Steps) -> tuple[float, float]:
  """Returns (floating-point operations, bytes) of one seed's training, as XLA counts them.

  Bytes are those of all operands of one step's fused operations; what stays in the cache counts.
  """
  cnn = "k" in steps.model
  model: Any = models.parse_cnn(steps.model) if cnn else models.make_mlp(steps.model, 10, SHAPE)
  if cnn:
    model = model.clone(convolution="lax")
  params, optimizer = models.init(model, jax.random.key(0), (1, *SHAPE)), optax.adam(1e-3)

  def step(params: Any, state: Any, x: jax.Array, y: jax.Array) -> Any:
    gradient = jax.grad(lambda p: losses.cross_entropy(models.apply(model, p, x), y))(params)
    change, state = optimizer.update(gradient, state)
    return optax.apply_updates(params, change), state

  x, y = jnp.zeros((steps.batch, *SHAPE)), jnp.zeros(steps.batch, jnp.int32)
  cost = jax.jit(step).lower(params, optimizer.init(params), x, y).compile().cost_analysis()
  count = steps.epochs * IMAGES / steps.batch
  return count * cost["flops"], count * cost["bytes accessed"]


def row(section: Section, manual_dir: str, rate: float) -> str:
  """Returns a section's row of the table."""
  command = [sys.executable, "-m", "benchmarks.sections", f"--manual_dir={manual_dir}"]
  command += ["--serve", f"--section={section.experiment}"]
  done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
  found = [line.split()[1:] for line in done.stdout.splitlines() if line.startswith("measured")]
  if done.returncode or not found:
    raise SystemExit(f"benchmarks.sections: {section.experiment} ended with code {done.returncode}"
                     f"\n{done.stderr[-2000:]}")  # fmt: skip
  small, large, *kinds = map(float, found[0])
  first, second = section.amounts
  whole = (large - small) / (second - first) * section.scale
  shares = ", ".join(
    f"{kind} {time / sum(kinds):.0%}"
    for kind, time in sorted(zip(KINDS, kinds), key=lambda pair: -pair[1])
    if time > 0.03 * sum(kinds)
  )
  counts = [operations(steps) for steps in section.steps]
  flops, moved = (section.seeds * sum(part) for part in zip(*counts)) if counts else (0, 0)
  speed = f"{flops / whole / 1e9:.0f} ({flops / whole / 1e9 / rate:.0%})" if counts else ""
  amounts = f"{flops / 1e12:.0f} | {moved / 1e12:.1f} | {speed}" if counts else " | | "
  return f"| {section.number} {section.experiment} | {whole:.0f} | {amounts} | {shares} |"


def main() -> None:
  """Parses the arguments and prints the table."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  names = [section.experiment for section in SECTIONS]
  parser.add_argument("--section", action="append", choices=names)
  parser.add_argument("--manual_dir", required=True, help="the folder of MNIST's four files")
  parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
  options = parser.parse_args()
  chosen = [one for one in SECTIONS if one.experiment in (options.section or names)]
  if options.serve:
    serve(chosen[0], options.manual_dir)
    return
  rate = matmul_rate()
  print(f"{datetime.date.today()}, {processor()}, {rate:.0f} GFLOP/s", flush=True)
  for section in chosen:
    print(row(section, options.manual_dir, rate), flush=True)


if __name__ == "__main__":
  try:
    main()
  except KeyboardInterrupt:
    raise SystemExit("benchmarks.sections: interrupted") from None
