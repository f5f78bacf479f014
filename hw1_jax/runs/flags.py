"""Flags of an experiment: a Config and the common options, read from a command line."""

import dataclasses
from collections.abc import Sequence
from typing import Any, cast

from absl import flags

from hw1_jax.errors import SettingError
from hw1_jax.runs.experiment import Experiment
from hw1_jax.runs.folder import RunFolder
from hw1_jax.runs.monitor import CHECKPOINT_SECONDS
from hw1_jax.runs.settings import describe, field_types, scalar_type


def define_flags(experiment: Experiment) -> flags.FlagValues:
  """Returns the flags of an experiment: one for each field of its Config, and the common ones."""
  values = flags.FlagValues()
  hints = field_types(experiment.config)
  for field in dataclasses.fields(experiment.config):
    kind, is_tuple, _ = scalar_type(hints[field.name])
    text, initial = field.metadata["help"], cast(Any, field.default)
    bounds = describe(field)
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
    str(CHECKPOINT_SECONDS),
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
  hints = field_types(experiment.config)
  fields: dict[str, Any] = {}
  for field in dataclasses.fields(experiment.config):
    kind, is_tuple, optional = scalar_type(hints[field.name])
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
    raise SettingError(name, shown, expected) from None


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
        raise SettingError(name, value, "text without NUL characters")


def checkpoint_seconds(text: str) -> float:
  """Returns the value of --checkpoint_seconds; SettingError unless it is a number from 0."""
  value = _scalar("checkpoint_seconds", float, text, text)
  if not 0 <= value < float("inf"):
    raise SettingError("checkpoint_seconds", text, "a number of at least 0")
  return value


def run_flags(
  experiment: Experiment, config: Any, folder: RunFolder, options: dict[str, Any]
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
