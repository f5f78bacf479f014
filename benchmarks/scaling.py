"""Measures how time and peak memory grow with the work, beside what theory says.

    python -m benchmarks.scaling                       # all curves; writes docs/scaling.json, .svg
    python -m benchmarks.scaling --curve=width         # one again, the others stay
    python -m benchmarks.scaling --quick               # small sizes into results/: does it run
    python -m benchmarks.scaling --draw                # the tables and the figure, nothing measured

Each point is a process of its own. Its first call compiles and its time stands apart; then calls
are repeated and their median counts: at least 5 calls, or 3 where they are long. Memory is the
process's largest resident size over all calls, beside the size it had when only the packages and
the inputs were there. The machine should do nothing else meanwhile.
"""

import argparse
import datetime
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks import curves, fits
from hw1_jax.runs.files import write_json
from hw1_jax.runs.provenance import environment

ROOT = Path(__file__).resolve().parent.parent
OUTPUT, QUICK_OUTPUT = ROOT / "docs/scaling.svg", ROOT / "results/scaling.svg"
SHORT_CALLS, LONG_CALLS, MOST_CALLS = 5, 3, 50
LONG_SECONDS = 6.0  # once this much is spent, LONG_CALLS are enough
SHORT_SECONDS = 1.0  # short calls are repeated until this much is spent
TOLERANCE = 0.1  # how far a fitted exponent may exceed theory's before we call it steeper


def serve(curve: str, series: str, size: int, quick: bool) -> None:
  """Measures one point in this process and prints it as one line of JSON."""
  curves.set_up(curve, size)
  amounts = curves.QUICK if quick else curves.FULL
  work = curves.CURVES[curve].series[series].work(size, amounts)
  before, _ = memory_mib()
  forget_peak()
  first = seconds_of(work)
  calls: list[float] = []
  while not enough(calls, 0.0 if quick else SHORT_SECONDS):
    calls.append(seconds_of(work))
  _, peak = memory_mib()
  median = statistics.median(calls)
  point = {
    "size": size,
    "seconds": median,
    "fastest": min(calls),
    "slowest": max(calls),
    "calls": len(calls),
    "compile_seconds": max(first - median, 0.0),
    "peak_mib": peak,
    "inputs_mib": before,
  }
  print(json.dumps({"point": point, "environment": environment()}))


def seconds_of(work: Any) -> float:
  """Returns the wall-clock seconds of one call."""
  start = time.perf_counter()
  work()
  return time.perf_counter() - start


def enough(calls: list[float], short_seconds: float) -> bool:
  """Returns whether the calls made so far are worth a median; short ones go on for some time."""
  spent = sum(calls)
  if len(calls) >= LONG_CALLS and spent > LONG_SECONDS:
    return True
  return len(calls) >= SHORT_CALLS and (spent > short_seconds or len(calls) >= MOST_CALLS)


def memory_mib() -> tuple[float, float]:
  """Returns this process's resident memory now and at its peak.

  The peak is VmHWM, which is ru_maxrss less what the starting process held (Linux carries that
  over), and which can be set back.
  """
  try:
    lines = Path("/proc/self/status").read_text().splitlines()
    sizes = {line.split(":")[0]: line.split()[1] for line in lines if line.startswith("Vm")}
    return int(sizes["VmRSS"]) / 1024, int(sizes["VmHWM"]) / 1024
  except (OSError, KeyError):
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return peak, peak


def forget_peak() -> None:
  """Makes the present size the peak, so that making the inputs does not count; where Linux can."""
  try:
    Path("/proc/self/clear_refs").write_text("5")
  except OSError:
    print("scaling: the peak includes the making of the inputs here", file=sys.stderr)


def measure(name: str, quick: bool) -> dict[str, Any]:
  """Returns one curve as JSON's types: its points by series, and what they were measured on."""
  curve = curves.CURVES[name]
  found: dict[str, list[Any]] = {series: [] for series in curve.series}
  environment: dict[str, Any] = {}
  for size in curve.quick if quick else curve.sizes:
    for series in curve.series:
      command = [sys.executable, "-m", "benchmarks.scaling", f"--serve={series}", f"--size={size}"]
      done = subprocess.run(
        [*command, f"--curve={name}", *(["--quick"] if quick else [])],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
      )
      if done.returncode:
        raise SystemExit(f"scaling: {name}, {series} at {size} failed; see its message above")
      told = json.loads(done.stdout.splitlines()[-1])
      environment = told["environment"]
      found[series].append(told["point"])
      print(f"scaling: {name}, {series}, {size}: {told['point']['seconds']:.3g} s",
            file=sys.stderr, flush=True)  # fmt: skip
  return {
    "date": datetime.date.today().isoformat(),
    "quick": quick,
    "environment": environment,
    "series": {key: {"points": points, **fits.fitted(points)} for key, points in found.items()},
  }


def table(name: str, measured: dict[str, Any]) -> str:
  """Returns one curve's points as a markdown table, and its exponents beside theory's."""
  curve, environment = curves.CURVES[name], measured["environment"]
  versions = environment["versions"]
  lines = [
    f"### {curve.title}",
    "",
    f"{measured['date']}, {environment['processor']}, {environment['threads']} cores, "
    f"jax {versions['jax']}{', quick form' if measured['quick'] else ''}.",
    "",
    f"| series | {curve.axis} | time, s | range of calls, s | calls | compile, s | peak, MiB "
    "| of it before the calls, MiB |",
    "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
  ]
  for key, series in measured["series"].items():
    for p in series["points"]:
      lines.append(
        f"| {curve.series[key].label} | {p['size']:,} | {p['seconds']:.3g} "
        f"| {p['fastest']:.3g} to {p['slowest']:.3g} | {p['calls']} | {p['compile_seconds']:.2g} "
        f"| {p['peak_mib']:.0f} | {p['inputs_mib']:.0f} |"
      )
  lines.append("")
  for key, series in measured["series"].items():
    lines.append(f"- {judge(curve, curve.series[key], series)}")
  return "\n".join(lines)


def judge(curve: curves.Curve, series: curves.Series, measured: dict[str, Any]) -> str:
  """Returns a sentence: the fitted exponents of the upper half, theory's, and why these."""
  upper = [point["size"] for point in fits.upper_half(measured["points"])]
  parts = []
  for what, found, theory in (
    ("Time", measured["exponent"], series.exponent),
    ("added memory", measured["memory_exponent"], series.memory),
  ):
    said = "steeper than theory" if theory > 0 else "falls less than theory"
    steeper = f", **{said}**" if found > theory + TOLERANCE else ""
    parts.append(f"{what} grows as {curve.symbol}^{found:.2f} (theory {theory:g}{steeper})")
  model = ""
  if series.with_constant:
    a, b = fits.constant_and_rate(measured["points"])
    model = f" Over all sizes: {a:.3g} s + {b:.3g} s times {curve.symbol}."
  return (
    f"{series.label}: {' and '.join(parts)}, over {upper[0]:,} to {upper[-1]:,}.{model}"
    f" Why: {series.reason}."
  )


def read(path: Path, quick: bool) -> dict[str, Any]:
  """Returns the curves of a JSON file written before in the same form, by name; {} if none."""
  try:
    found = json.loads(path.read_text(encoding="utf-8"))["curves"]
  except FileNotFoundError:
    return {}
  return {name: found[name] for name in curves.CURVES if found.get(name, {}).get("quick") == quick}


def main(arguments: list[str] | None = None) -> None:
  """Measures or reads the curves, prints their tables, and writes JSON and figure."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--curve", action="append", choices=list(curves.CURVES), help="only this one")
  parser.add_argument("--quick", action="store_true", help="small sizes")
  parser.add_argument("--draw", action="store_true", help="from the JSON beside the figure")
  parser.add_argument("--output", type=Path, help="the figure; its JSON gets the same name")
  parser.add_argument("--serve", help=argparse.SUPPRESS)
  parser.add_argument("--size", type=int, help=argparse.SUPPRESS)
  options = parser.parse_args(arguments)
  if options.serve:
    serve(options.curve[0], options.serve, options.size, options.quick)
    return
  output = options.output or (QUICK_OUTPUT if options.quick else OUTPUT)
  data_path = output.with_suffix(".json")
  output.parent.mkdir(parents=True, exist_ok=True)
  names = options.curve or list(curves.CURVES)
  known = read(data_path, options.quick)
  for name in names:
    if not options.draw:
      known[name] = measure(name, options.quick)
      ordered = {key: known[key] for key in curves.CURVES if key in known}
      write_json(data_path, {"curves": ordered})  # after each: an interruption costs one
    if name in known:
      print(table(name, known[name]), end="\n\n", flush=True)
  if not known:
    raise SystemExit(f"scaling: no curves in {data_path}; measure first, without --draw")

  from benchmarks import panels  # here, because the points' processes need no matplotlib

  panels.save({name: known[name] for name in curves.CURVES if name in known}, output)
  print(f"scaling: {os.path.relpath(output)} and {os.path.relpath(data_path)}", file=sys.stderr)


if __name__ == "__main__":
  main()
