"""Flags of an experiment: its Config and the common Options, read from a command line.

    config, options = flags.parse(experiment, argv)

One flag for each field of both. The only module that knows absl, and beside `main` the only one
that writes dashes before a setting's name.
"""

import dataclasses
import functools
import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from absl import flags

from hw1_jax import own
from hw1_jax.errors import UserError, show
from hw1_jax.runs.experiment import Experiment
from hw1_jax.runs.options import REPEATED, Options, default_of, fields_of
from hw1_jax.runs.settings import describe, field_types, scalar_type

HELP = ("help", "h", "helpfull")


class HelpAsked(Exception):
  """The command line asks for help; the exception's text is what to print."""


def parse(experiment: Experiment, argv: Sequence[str]) -> tuple[Any, Options]:
  """Returns what a command line says: (the experiment's Config, the common Options).

  Raises:
    UserError: unknown flags, wrong values (setting, what it got, what is expected), other words.
    HelpAsked: --help stands in it.
  """
  values = define_flags(experiment)
  rest = _read(experiment, values, argv)
  given = values.flag_values_dict()
  _check_text(argv, given)
  if len(rest) > 1:
    raise UserError(f"got {show(rest[1])}, expected flags only, --name=value")
  if any(given[name] for name in HELP):
    raise HelpAsked(f"{experiment.doc.strip()}\n\nFlags of {experiment.name}:\n{values.get_help()}")
  hints = field_types(experiment.config) | field_types(Options)
  found = {f.name: _value(f, hints[f.name], given[f.name]) for f in _fields(experiment)}
  own = {field.name for field in dataclasses.fields(experiment.config)}
  config = experiment.config(**{name: found[name] for name in found if name in own})
  options = Options(**{name: found[name] for name in found if name not in own})
  return config, options


def given(experiment: Experiment, argv: Sequence[str]) -> list[str]:
  """Returns the names of the flags that a command line sets, itself or by its flagfiles."""
  values = define_flags(experiment)
  _read(experiment, values, argv)
  return [field.name for field in _fields(experiment) if values[field.name].present]


def names(experiment: Experiment) -> list[str]:
  """Returns the names of an experiment's flags."""
  also = ["model"] if own_network_field(experiment) else []
  return [field.name for field in _fields(experiment)] + also


def as_flags(text: str, names: Collection[str]) -> str:
  """Returns a message with the settings that it names written as flags.

  A name counts where it opens the message, `name: got`, and before `=`, unless it is inside quotes
  or a path; `name=true` becomes `--name`.
  """

  def dashed(match: re.Match) -> str:
    found = match[0]
    return found if found[0] in "'\"" else "--" + found.removesuffix("=true")

  return _named(tuple(names)).sub(dashed, text) if names else text


@functools.cache  # of each flag's help
def _named(names: tuple[str, ...]) -> re.Pattern:
  """Returns the pattern of texts in quotes, and of names where they stand for settings."""
  known = "|".join(map(re.escape, sorted(names, key=len, reverse=True)))
  return re.compile(
    rf"'[^']*'|\"[^\"]*\"|^(?:{known})(?=: )|(?<![\w./=-])(?:{known})(?:=true\b|(?==))"
  )


def run_flags(experiment: Experiment, config: Any, options: Options) -> bytes:
  """Returns a flagfile that repeats the run in the same folder, whatever the defaults become."""
  folder = options.workdir
  lines = [f"# python -m {experiment.package} --flagfile={folder / 'run.flags'}"]
  settings = {**dataclasses.asdict(config), "workdir": folder}
  settings |= {name: value for name in REPEATED if (value := getattr(options, name)) is not None}
  for name, value in settings.items():
    if isinstance(value, bool):
      lines.append(f"--{name}" if value else f"--no{name}")
    else:
      text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
      lines.append(f"--{name}={text}")
  return ("\n".join(lines) + "\n").encode()


def in_file(path: str) -> list[str]:
  """Returns the flags that stand in a flagfile, and in those that it names."""
  try:
    return list(flags.FlagValues().read_flags_from_files([f"--flagfile={path}"]))
  except (flags.Error, OSError, ValueError) as error:
    raise UserError(f"--flagfile: {error}") from None


def define_flags(experiment: Experiment) -> flags.FlagValues:
  """Returns the flags of an experiment: one for each field of its Config and of its Options."""
  values = flags.FlagValues()
  hints = field_types(experiment.config) | field_types(Options)
  all_names = names(experiment)
  for field in _fields(experiment):
    kind, is_tuple, _ = scalar_type(hints[field.name])
    initial: Any = default_of(experiment, field)
    bounds = describe(field)
    text = as_flags(field.metadata["help"], all_names) + (f" ({bounds})" if bounds else "")
    if kind is bool:
      flags.DEFINE_boolean(field.name, initial, text, flag_values=values)
      continue
    if is_tuple:
      initial, text = ",".join(map(str, initial)), text + "; comma-separated"
    default = None if initial is None else str(initial)
    flags.DEFINE_string(field.name, default, text, flag_values=values)
  if field_name := own_network_field(experiment):
    flags.DEFINE_alias("model", field_name, flag_values=values)
  for name in HELP:
    flags.DEFINE_boolean(name, False, "show the experiment's flags", flag_values=values)
  values.set_gnu_getopt(False)
  return values


def choices_of(experiment: Experiment, name: str) -> tuple[str, ...]:
  """Returns the words that a flag takes; none for numbers, free text and unknown flags."""
  found = {field.name: field for field in _fields(experiment)}
  return found[name].metadata["choices"] or () if name in found else ()


def own_network_field(experiment: Experiment) -> str | None:
  """Returns the field for which `model` is another name: the one that takes your own network."""
  fields = {field.name: field for field in dataclasses.fields(experiment.config)}
  if "model" in fields:
    return None
  takes = (n for n, f in fields.items() if own.NAME[1] in (f.metadata["pattern"] or ("", ""))[1])
  return next((name for name in takes if name in ("widths", "architectures")), None)


def _fields(experiment: Experiment) -> Iterator[dataclasses.Field]:
  yield from dataclasses.fields(experiment.config)
  yield from fields_of(experiment).values()


def _read(experiment: Experiment, values: flags.FlagValues, argv: Sequence[str]) -> list[str]:
  """Sets the flags and returns what else stands in the command line."""
  try:
    return values(argv)
  except UnicodeError:
    raise
  except flags.UnrecognizedFlagError as error:
    raise UserError(f"{error}; --help lists the flags of {experiment.name}") from None
  except flags.Error as error:
    raise UserError(str(error)) from None
  except ValueError as error:  # a flagfile that names a flagfile whose name has a NUL character
    raise UserError(f"--flagfile: {error}") from None
  except RecursionError:  # absl looks recursively for names that are like it
    raise UserError("unknown command line flag, hundreds of characters long") from None


def _check_text(argv: Sequence[str], given: dict[str, Any]) -> None:
  """Raises UserError or UnicodeError for text that no file name or UTF-8 file can hold."""
  for text in argv:
    text.encode()
  for name, value in given.items():
    if isinstance(value, str):
      value.encode()
      if "\0" in value:
        raise UserError(name, show(value), "text without NUL characters")


def _value(field: dataclasses.Field, annotation: Any, raw: Any) -> Any:
  """Returns a flag's text as the field's type."""
  kind, is_tuple, optional = scalar_type(annotation)
  if raw is None or isinstance(raw, bool):
    return raw
  if optional and raw.lower() == "none":
    return None
  if is_tuple:
    entries = [entry.strip() for entry in raw.split(",")] if raw.strip() else []
    return tuple(_scalar(field.name, kind, entry, raw) for entry in entries)
  return _scalar(field.name, kind, raw, raw)


def _scalar(name: str, kind: type, text: str, shown: str) -> Any:
  if kind in (str, Path):
    return text
  try:
    return kind(text)
  except ValueError:
    expected = {int: "a whole number", float: "a number"}[kind]
    raise UserError(name, show(shown), expected) from None
