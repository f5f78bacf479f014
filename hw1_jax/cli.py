"""From a command line to a finished run folder: flags, devices, x64, data, resume, figures.

The only place that touches flags, `jax.config` and the terminal. An experiment is described by an
`Experiment`; everything else about it is a pure function.
"""

import contextlib
import dataclasses
import datetime
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn, cast

import jax
from absl import flags

from hw1_jax import data, distributed, memory, resuming, runs, settings
from hw1_jax.monitoring import NonFiniteError
from hw1_jax.summary import Summary


@dataclasses.dataclass(frozen=True)
class Experiment:
  """What `main` needs to know of an experiment script."""

  name: str
  doc: str  # the script's docstring, shown by --help
  config: type[settings.Settings]
  result: type  # NamedTuple of arrays
  run: Callable[..., Any]  # (config, monitor), or (config, images, monitor) with a data set
  summarize: Callable[[Any, Any], Summary]
  draw: Callable[[Any, Any], dict[str, Any]]
  x64: bool = False
  memory_need: Callable[[Any], memory.Need] | None = None  # of what is large; None: nothing

  @property
  def uses_images(self) -> bool:
    """Whether the experiment trains on an image set, --dataset."""
    return any(field.name == "dataset" for field in dataclasses.fields(self.config))


def define_flags(experiment: Experiment) -> flags.FlagValues:
  """Returns the flags of an experiment: one for each field of its Config, and the common ones."""
  values = flags.FlagValues()
  hints = settings.field_types(experiment.config)
  for field in dataclasses.fields(experiment.config):
    kind, is_tuple, _ = settings.scalar_type(hints[field.name])
    text, initial = field.metadata["help"], cast(Any, field.default)
    bounds = settings.describe(field)
    text = f"{text} ({bounds})" if bounds else text
    if is_tuple:
      default: Any = ",".join(str(entry) for entry in initial)
      flags.DEFINE_string(field.name, default, text + "; comma-separated", flag_values=values)
    elif kind is bool:
      flags.DEFINE_boolean(field.name, initial, text, flag_values=values)
    else:
      default = None if initial is None else str(initial)
      flags.DEFINE_string(field.name, default, text, flag_values=values)
  _define_common(values, experiment)
  values.set_gnu_getopt(False)
  return values


def _define_common(values: flags.FlagValues, experiment: Experiment) -> None:
  def text(name: str, default: str | None, help: str) -> None:
    flags.DEFINE_string(name, default, help, flag_values=values)

  text("workdir", f"results/single/{experiment.name}", "the run folder")
  text("num_devices", None, "devices to use; default: all (on CPU one a core)")
  text("compilation_cache_dir", None, "keep compiled programs here between runs")
  text("coordinator_address", None, "HOST:PORT of process 0, for a run of several processes")
  text("num_processes", None, "how many processes make this run together")
  text("process_id", None, "which of them this is, from 0")
  text(
    "checkpoint_seconds",
    str(resuming.CHECKPOINT_SECONDS),
    "seconds between checkpoints: the most work that a kill can cost",
  )
  if experiment.uses_images:
    text("data_dir", None, "where downloads are kept; default: TFDS's folder")
    text("manual_dir", None, "folder with the data set's four original files; no download then")
  if experiment.memory_need is not None:
    text("max_memory_gb", None, "refuse what needs more, in 10^9 bytes; default: what is free")
  for name, help in (
    ("distributed", "join the processes that Slurm, Open MPI or Kubernetes started"),
    ("overwrite", "replace the run in --workdir instead of going on with it"),
    ("figures_only", "draw the figures and the summary again from result.npz"),
    ("help", "show the experiment's flags"),
    ("helpfull", "the same as --help"),
  ):
    flags.DEFINE_boolean(name, False, help, flag_values=values)


def parse_config(experiment: Experiment, options: dict[str, Any]) -> Any:
  """Returns the Config that the flags describe; SettingError names flag, value and bound."""
  hints = settings.field_types(experiment.config)
  fields: dict[str, Any] = {}
  for field in dataclasses.fields(experiment.config):
    kind, is_tuple, optional = settings.scalar_type(hints[field.name])
    raw = options[field.name]
    if raw is None or isinstance(raw, bool):
      fields[field.name] = raw
    elif optional and raw.lower() in ("none", ""):
      fields[field.name] = None
    elif is_tuple:
      entries = [entry.strip() for entry in raw.split(",")] if raw.strip() else []
      fields[field.name] = tuple(_scalar(field.name, kind, entry, raw) for entry in entries)
    else:
      fields[field.name] = _scalar(field.name, kind, raw, raw)
  return experiment.config(**fields)


def _scalar(name: str, kind: type, text: str, shown: str) -> Any:
  if kind is str:
    return text
  try:
    return kind(text)
  except ValueError:
    expected = {int: "a whole number", float: "a number"}[kind]
    raise settings.SettingError(name, shown, expected) from None


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
      raise settings.SettingError("", rest[1], "flags only, --name=value")
    if options["help"] or options["helpfull"]:
      print(f"{experiment.doc.strip()}\n\nFlags of {experiment.name}:\n{values.get_help()}")
      return
    config = parse_config(experiment, options)
    folder = runs.RunFolder(Path(options["workdir"]))
    options["checkpoint_seconds"] = checkpoint_seconds(options["checkpoint_seconds"])
    set_up_jax(experiment.x64, options)
    if options["figures_only"]:
      redraw(experiment, config, folder)
      return
    if experiment.memory_need is not None:
      memory.check(experiment.memory_need(config), options["max_memory_gb"])
    with distributed.noticing_losses():
      execute(experiment, config, folder, options, argv)
  except BrokenPipeError:  # the reader of our output has gone, as in `... --help | head`
    sys.stderr.close()
  except flags.UnrecognizedFlagError as error:
    stop(experiment, f"{error}; --help lists the flags of {experiment.name}", 2)
  except (flags.Error, settings.SettingError, data.DataError, runs.RunError) as error:
    stop(experiment, str(error), 2)
  except UnicodeError as error:
    stop(experiment, f"unreadable text in the flags: {error}", 2)
  except NonFiniteError as error:
    stop(experiment, f"{error}; what was recorded so far is in {folder.path}", 1)
  except distributed.ProcessLost as error:
    stop(experiment, f"{error}; the same command goes on from the last checkpoint", 1)
  except resuming.Interrupted as interrupt:
    stop(experiment, f"stopped by {interrupt}; the same command goes on from here", interrupt.code)


def read_flags(values: flags.FlagValues, argv: Sequence[str]) -> list[str]:
  """Sets the flags and returns what else stands in the command line; flags.Error names a flag."""
  try:
    return values(argv)
  except UnicodeError:
    raise
  except ValueError as error:  # a flagfile that names a flagfile whose name has a NUL character
    raise flags.Error(f"--flagfile: {error}") from None
  except RecursionError:  # absl looks recursively for names that are like it
    raise flags.Error("unknown command line flag, hundreds of characters long") from None


def check_text(argv: Sequence[str], options: dict[str, Any]) -> None:
  """Raises SettingError or UnicodeError for text that no file name or UTF-8 file can hold."""
  for text in argv:
    text.encode()
  for name, value in options.items():
    if isinstance(value, str):
      value.encode()
      if "\0" in value:
        raise settings.SettingError(name, value, "text without NUL characters")


def checkpoint_seconds(text: str) -> float:
  """Returns the value of --checkpoint_seconds; SettingError unless it is a number from 0."""
  value = _scalar("checkpoint_seconds", float, text, text)
  if not 0 <= value < float("inf"):
    raise settings.SettingError("checkpoint_seconds", text, "a number of at least 0")
  return value


def stop(experiment: Experiment, message: str, code: int) -> NoReturn:
  """Prints one line on stderr and exits."""
  line = " ".join(message.split()).removeprefix("--: ")
  if len(line) > 1000:  # absl repeats a wrong value whole
    line = f"{line[:500]} ... {line[-400:]}"
  with contextlib.suppress(OSError):  # stderr may be a file on the full disk
    print(f"{experiment.name}: {line}", file=sys.stderr, flush=True)
  distributed.leave(code)


def set_up_jax(x64: bool, options: dict[str, Any]) -> None:
  """Configures JAX before any array exists: precision, devices, processes, compilation cache."""
  num_devices = options["num_devices"]
  if num_devices is not None and not (
    num_devices.isdecimal() and len(num_devices) <= 4 and 1 <= int(num_devices) <= 4096
  ):
    raise settings.SettingError("num_devices", num_devices, "a whole number from 1 to 4096")
  if x64:
    jax.config.update("jax_enable_x64", True)
  if options["compilation_cache_dir"]:
    jax.config.update("jax_compilation_cache_dir", options["compilation_cache_dir"])
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)
  with contextlib.suppress(RuntimeError):  # a backend exists: a second call in one process
    jax.config.update("jax_num_cpu_devices", int(num_devices or runs.usable_cores()))
  if num_devices is not None:
    visible = ",".join(map(str, range(int(num_devices))))
    jax.config.update("jax_cuda_visible_devices", visible)
    jax.config.update("jax_rocm_visible_devices", visible)
  processes = [options[name] for name in ("coordinator_address", "num_processes", "process_id")]
  if options["distributed"] or any(value is not None for value in processes):
    distributed.initialize(*processes)
  available = jax.local_device_count()
  if num_devices and int(num_devices) > available:
    raise settings.SettingError("num_devices", num_devices, f"at most {available} here")


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
  folder: runs.RunFolder,
  options: dict[str, Any],
  argv: Sequence[str],
) -> None:
  """Runs, or goes on with, an experiment in its folder and writes all of its files."""
  images = load_images(config, options) if experiment.uses_images else None
  with contextlib.ExitStack() as held:

    def take() -> bytes:
      new = settings.defaults(experiment.config)
      held.enter_context(
        folder.hold(dataclasses.asdict(config), overwrite=options["overwrite"], new=new)
      )
      if not folder.finished():
        return b""
      resuming.discard_checkpoints(folder)  # a kill may have come before the run's own discarding
      return b"finished"

    finished = distributed.from_writer(take) == b"finished"
    if not finished:
      execute_held(experiment, config, images, folder, options, argv)
    elif distributed.is_writer():
      print(f"{experiment.name}: finished before, in {folder.path}; --overwrite runs it anew")


def execute_held(
  experiment: Experiment,
  config: Any,
  images: data.ImageData | None,
  folder: runs.RunFolder,
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
    **runs.environment(),
    "x64": experiment.x64,
    "dataset": images and describe_data(images),
  }

  def record(**facts: Any) -> None:
    provenance.update(facts)
    if distributed.is_writer():
      runs.write_json(folder.path / "provenance.json", provenance)

  if distributed.is_writer():
    runs.write_bytes(folder.path / "run.flags", run_flags(experiment, config, folder, options))
  record()
  seconds = options["checkpoint_seconds"]
  monitor = resuming.RunMonitor(folder, experiment.name, seconds=seconds)
  monitor.catch_signals()
  try:
    inputs = (config, images) if experiment.uses_images else (config,)
    result = experiment.run(*inputs, monitor)
    if distributed.is_writer():
      runs.write_result(folder.path / "result.npz", result)
      provenance["checksums"] = folder.checksums("config.json", "metrics.jsonl", "result.npz")
      present(experiment, config, result, folder)
      provenance["checksums"] |= folder.checksums("summary.json")
  except BaseException as error:
    interrupted = isinstance(error, resuming.Interrupted | KeyboardInterrupt)
    message = " ".join(f"{type(error).__name__}: {error}".split())
    with contextlib.suppress(runs.RunError):  # the first error says what is wrong
      record(
        status="interrupted" if interrupted else "failed", message=message, seconds=monitor.seconds
      )
    raise
  record(status="finished", seconds=monitor.seconds)
  monitor.discard()
  if distributed.is_writer():
    print(f"{experiment.name}: {monitor.seconds:.0f} s, results in {folder.path}")


def run_flags(
  experiment: Experiment, config: Any, folder: runs.RunFolder, options: dict[str, Any]
) -> bytes:
  """Returns a flagfile that repeats the run in the same folder, whatever the defaults become."""
  lines = [f"# python -m experiments.{experiment.name} --flagfile={folder.path / 'run.flags'}"]
  for name, value in dataclasses.asdict(config).items():
    if isinstance(value, bool):
      lines.append(f"--{name}" if value else f"--no{name}")
    else:
      text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
      lines.append(f"--{name}={text}")
  lines.append(f"--workdir={folder.path}")
  for name in ("data_dir", "manual_dir", "num_devices"):  # not who the processes were
    if options.get(name) is not None:
      lines.append(f"--{name}={options[name]}")
  return ("\n".join(lines) + "\n").encode()


def describe_data(images: data.ImageData) -> dict[str, Any]:
  """Returns what provenance.json says of the data set."""
  return {
    "name": images.name,
    "sha256": images.checksum,
    "train_examples": len(images.train_labels),
    "test_examples": len(images.test_labels),
  }


def present(experiment: Experiment, config: Any, result: Any, folder: runs.RunFolder) -> None:
  """Writes summary.json, the tables and the figures from a result."""
  summary = experiment.summarize(config, result)
  content = {"experiment": experiment.name, **dataclasses.asdict(summary)}
  runs.write_json(folder.path / "summary.json", content)
  folder.write_tables(summary.tables)
  folder.write_figures(experiment.draw(config, result))


def redraw(experiment: Experiment, config: Any, folder: runs.RunFolder) -> None:
  """Writes summary, tables and figures anew from result.npz; nothing is computed again.

  The settings are the folder's own, whatever flags stand beside --figures_only.
  """
  saved = runs.read_json(folder.path / "config.json")
  known = {field.name for field in dataclasses.fields(experiment.config)}
  if not isinstance(saved, dict) or not set(saved) <= known:
    raise runs.RunError(
      f"{folder.path / 'config.json'} is not of {experiment.name}; check --workdir"
    )
  try:
    config = experiment.config(**saved)
  except settings.SettingError as error:
    raise runs.damaged(folder.path / "config.json", error) from None
  folder.verify(("config.json", "result.npz"))
  result = runs.read_result(folder.path / "result.npz", experiment.result)
  present(experiment, config, result, folder)
  provenance = folder.provenance()
  provenance["checksums"] |= folder.checksums("summary.json")
  runs.write_json(folder.path / "provenance.json", provenance)
  print(f"{experiment.name}: figures in {folder.path / 'figures'}")
