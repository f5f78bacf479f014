"""From a command line to a finished run folder: flags, devices, x64, data, resume, figures.

The only place that touches flags, `jax.config` and the terminal. An experiment is described by an
`Experiment`; everything else about it is a pure function.
"""

import contextlib
import dataclasses
import datetime
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import jax
from absl import flags

from hw1_jax import data
from hw1_jax.errors import DataError, RunError, SettingError
from hw1_jax.loops import NonFiniteError
from hw1_jax.runs.checkpoint import discard_checkpoints
from hw1_jax.runs.experiment import Experiment
from hw1_jax.runs.files import (
  damaged,
  read_json,
  read_result,
  write_bytes,
  write_json,
  write_result,
)
from hw1_jax.runs.flags import (
  check_text,
  checkpoint_seconds,
  define_flags,
  parse_config,
  read_flags,
  run_flags,
)
from hw1_jax.runs.folder import RunFolder
from hw1_jax.runs.memory import check
from hw1_jax.runs.monitor import Interrupted, RunMonitor
from hw1_jax.runs.processes import (
  ProcessLost,
  from_writer,
  initialize,
  is_writer,
  leave,
  noticing_losses,
)
from hw1_jax.runs.provenance import environment, usable_cores
from hw1_jax.runs.settings import defaults


def main(experiment: Experiment, argv: Sequence[str] | None = None) -> None:
  """Runs an experiment from its command line and exits.

  Exit codes: 0 finished, 1 the run failed (what was recorded is kept), 2 wrong input or a folder
  that cannot be used (full, read-only, damaged), 130 and 143 interrupted by SIGINT and SIGTERM.
  """
  argv = list(sys.argv if argv is None else argv)
  values = define_flags(experiment)
  try:
    rest = read_flags(values, argv)
    options = values.flag_values_dict()
    check_text(argv, options)
    if len(rest) > 1:
      raise SettingError("", rest[1], "flags only, --name=value")
    if options["help"] or options["helpfull"]:
      print(f"{experiment.doc.strip()}\n\nFlags of {experiment.name}:\n{values.get_help()}")
      return
    config = parse_config(experiment, options)
    folder = RunFolder(Path(options["workdir"]))
    options["checkpoint_seconds"] = checkpoint_seconds(options["checkpoint_seconds"])
    set_up_jax(experiment.x64, options)
    if options["figures_only"]:
      redraw(experiment, config, folder)
      return
    if experiment.memory_need is not None:
      check(experiment.memory_need(config), options["max_memory_gb"])
    with noticing_losses():
      execute(experiment, config, folder, options, argv)
  except BrokenPipeError:  # the reader of our output has gone, as in `... --help | head`
    sys.stderr.close()
  except flags.UnrecognizedFlagError as error:
    stop(experiment, f"{error}; --help lists the flags of {experiment.name}", 2)
  except (flags.Error, SettingError, DataError, RunError) as error:
    stop(experiment, str(error), 2)
  except UnicodeError as error:
    stop(experiment, f"unreadable text in the flags: {error}", 2)
  except NonFiniteError as error:
    stop(experiment, f"{error}; what was recorded so far is in {folder.path}", 1)
  except ProcessLost as error:
    stop(experiment, f"{error}; the same command goes on from the last checkpoint", 1)
  except Interrupted as interrupt:
    stop(experiment, f"stopped by {interrupt}; the same command goes on from here", interrupt.code)


def stop(experiment: Experiment, message: str, code: int) -> NoReturn:
  """Prints one line on stderr and exits."""
  line = " ".join(message.split()).removeprefix("--: ")
  if len(line) > 1000:  # absl repeats a wrong value whole
    line = f"{line[:500]} ... {line[-400:]}"
  with contextlib.suppress(OSError):  # stderr may be a file on the full disk
    print(f"{experiment.name}: {line}", file=sys.stderr, flush=True)
  leave(code)


def set_up_jax(x64: bool, options: dict[str, Any]) -> None:
  """Configures JAX before any array exists: precision, devices, processes, compilation cache."""
  num_devices = options["num_devices"]
  if num_devices is not None and not (
    num_devices.isdecimal() and len(num_devices) <= 4 and 1 <= int(num_devices) <= 4096
  ):
    raise SettingError("num_devices", num_devices, "a whole number from 1 to 4096")
  if x64:
    jax.config.update("jax_enable_x64", True)
  if options["compilation_cache_dir"]:
    jax.config.update("jax_compilation_cache_dir", options["compilation_cache_dir"])
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)
  with contextlib.suppress(RuntimeError):  # a backend exists: a second call in one process
    jax.config.update("jax_num_cpu_devices", int(num_devices or usable_cores()))
  if num_devices is not None:
    visible = ",".join(map(str, range(int(num_devices))))
    jax.config.update("jax_cuda_visible_devices", visible)
    jax.config.update("jax_rocm_visible_devices", visible)
  processes = [options[name] for name in ("coordinator_address", "num_processes", "process_id")]
  if options["distributed"] or any(value is not None for value in processes):
    initialize(*processes)
  available = jax.local_device_count()
  if num_devices and int(num_devices) > available:
    raise SettingError("num_devices", num_devices, f"at most {available} here")


def load_images(config: Any, options: dict[str, Any]) -> data.ImageData:
  """Returns the data set that the flags name, cut to --train_examples and --test_examples."""
  images = data.load_images(
    config.dataset,
    data_dir=options["data_dir"],
    manual_dir=options["manual_dir"],
    show_progress=sys.stderr.isatty(),
  )
  return data.subset(images, config.train_examples, config.test_examples)


def execute(
  experiment: Experiment,
  config: Any,
  folder: RunFolder,
  options: dict[str, Any],
  argv: Sequence[str],
) -> None:
  """Runs, or goes on with, an experiment in its folder and writes all of its files."""
  images = load_images(config, options) if experiment.uses_images else None
  with contextlib.ExitStack() as held:

    def take() -> bytes:
      new = defaults(experiment.config)
      held.enter_context(
        folder.hold(dataclasses.asdict(config), overwrite=options["overwrite"], new=new)
      )
      if not folder.finished():
        return b""
      discard_checkpoints(folder)  # a kill may have come before the run's own discarding
      return b"finished"

    finished = from_writer(take) == b"finished"
    if not finished:
      execute_held(experiment, config, images, folder, options, argv)
    elif is_writer():
      print(f"{experiment.name}: finished before, in {folder.path}; --overwrite runs it anew")


def execute_held(
  experiment: Experiment,
  config: Any,
  images: data.ImageData | None,
  folder: RunFolder,
  options: dict[str, Any],
  argv: Sequence[str],
) -> None:
  """What `execute` does once the folder is its own and not finished."""
  provenance: dict[str, Any] = {
    "experiment": experiment.name,
    "status": "running",
    "message": "",
    "command": " ".join([f"python -m experiments.{experiment.name}", *argv[1:]]),
    "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    "seconds": 0.0,
    **environment(),
    "x64": experiment.x64,
    "dataset": images and describe_data(images),
  }

  def record(**facts: Any) -> None:
    provenance.update(facts)
    if is_writer():
      write_json(folder.path / "provenance.json", provenance)

  if is_writer():
    write_bytes(folder.path / "run.flags", run_flags(experiment, config, folder, options))
  record()
  seconds = options["checkpoint_seconds"]
  monitor = RunMonitor(folder, experiment.name, seconds=seconds)
  monitor.catch_signals()
  try:
    inputs = (config, images) if experiment.uses_images else (config,)
    result = experiment.run(*inputs, monitor)
    if is_writer():
      write_result(folder.path / "result.npz", result)
      provenance["checksums"] = folder.checksums("config.json", "metrics.jsonl", "result.npz")
      present(experiment, config, result, folder)
      provenance["checksums"] |= folder.checksums("summary.json")
  except BaseException as error:
    interrupted = isinstance(error, Interrupted | KeyboardInterrupt)
    message = " ".join(f"{type(error).__name__}: {error}".split())
    with contextlib.suppress(RunError):  # the first error says what is wrong
      record(
        status="interrupted" if interrupted else "failed", message=message, seconds=monitor.seconds
      )
    raise
  record(status="finished", seconds=monitor.seconds)
  monitor.discard()
  if is_writer():
    print(f"{experiment.name}: {monitor.seconds:.0f} s, results in {folder.path}")


def describe_data(images: data.ImageData) -> dict[str, Any]:
  """Returns what provenance.json says of the data set."""
  return {
    "name": images.name,
    "sha256": images.checksum,
    "train_examples": len(images.train_labels),
    "test_examples": len(images.test_labels),
  }


def present(experiment: Experiment, config: Any, result: Any, folder: RunFolder) -> None:
  """Writes summary.json, the tables and the figures from a result."""
  summary = experiment.summarize(config, result)
  content = {"experiment": experiment.name, **dataclasses.asdict(summary)}
  write_json(folder.path / "summary.json", content)
  folder.write_tables(summary.tables)
  folder.write_figures(experiment.draw(config, result))


def redraw(experiment: Experiment, config: Any, folder: RunFolder) -> None:
  """Writes summary, tables and figures anew from result.npz; nothing is computed again.

  The settings are the folder's own, whatever flags stand beside --figures_only.
  """
  saved = read_json(folder.path / "config.json")
  known = {field.name for field in dataclasses.fields(experiment.config)}
  if not isinstance(saved, dict) or not set(saved) <= known:
    raise RunError(f"{folder.path / 'config.json'} is not of {experiment.name}; check --workdir")
  try:
    config = experiment.config(**saved)
  except SettingError as error:
    raise damaged(folder.path / "config.json", error) from None
  folder.verify(("config.json", "result.npz"))
  result = read_result(folder.path / "result.npz", experiment.result)
  present(experiment, config, result, folder)
  provenance = folder.provenance()
  provenance["checksums"] |= folder.checksums("summary.json")
  write_json(folder.path / "provenance.json", provenance)
  print(f"{experiment.name}: figures in {folder.path / 'figures'}")
