"""From the words of a command line to the experiments to run, each with its own flags."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hw1_jax.command.catalog import (
  experiment,
  flagfiles,
  guess,
  members,
  names,
  profiles,
)
from hw1_jax.errors import UserError, show
from hw1_jax.runs import flags
from hw1_jax.runs.experiment import Experiment
from hw1_jax.runs.options import Options
from hw1_jax.runs.provenance import usable_cores
from hw1_jax.runs.settings import field_types

QUICK = "quick"  # the profile of a command that names none
EMBEDDED = "digits"
PATHS = (Path, Path | None)
PATH_FLAGS = {"flagfile"} | {name for name, kind in field_types(Options).items() if kind in PATHS}
JOBS = "jobs"  # the one flag that is no experiment's
COMPILING = ("quick", "tiny")  # profiles that mostly compile, each experiment on one core
MEETING = ("coordinator_address", "num_processes", "process_id", "distributed")
MOST_JOBS = 4  # by default; our choice: a quick experiment takes up to 1 GB
HELP = ("help", "helpfull", "helpshort", "h", "?")


class Plan(NamedTuple):
  """What to run, in order, and where."""

  profile: str
  folder: Path  # takes a run folder for each experiment, and the page
  commands: dict[str, list[str]]  # experiment -> its flags
  jobs: int  # how many run at a time
  notes: tuple[str, ...]  # lines to tell the user
  help: bool


class Flag(NamedTuple):
  name: str  # without dashes and "no"
  token: str  # as it is given on


def make_plan(arguments: Sequence[str], came_from: Path | None = None) -> Plan:
  """Returns the plan of `[PROFILE] [NAME ...] [--flag=value ...]`, in any order.

  Every flag is given to the experiments that have it. UserError for a flag that none has, for a
  value that one refuses, for words that name nothing. Relative paths are those of `came_from`.
  """
  known = {name: flags.define_flags(experiment(name)) for name in names()}
  words, given = _sort(list(_expand(arguments, came_from)), known, came_from)
  profile, chosen = _choose(words)
  if any(flag.name in HELP for flag in given):
    return Plan(profile, Path(), {name: [] for name in chosen if words}, 1, (), help=True)
  jobs = _jobs(profile, given)
  given = [flag for flag in given if flag.name != JOBS]
  _refuse_unknown(given, chosen, known)
  placed = [flag.token.partition("=")[2] for flag in given if flag.name == "workdir"]
  given = [flag for flag in given if flag.name != "workdir"]
  folder = Path(placed[-1] if placed else Path("results", profile))
  if placed and not placed[-1]:
    raise UserError("--workdir: got '', expected a folder")
  if placed and (folder / "config.json").exists():
    raise UserError(
      f"--workdir: {folder} is a run folder itself, and a run would go to {folder / chosen[0]};"
      " name another folder"
    )
  commands, notes = {}, []
  for name in chosen:
    own = [flag.token for flag in given if flag.name in known[name]]
    workdir = [f"--workdir={folder / name}"] if placed else []
    commands[name] = [*flagfiles(profile, name), *own, *workdir]
    _check(experiment(name), commands[name])
  for flag in given:
    without = [name for name in chosen if flag.name not in known[name]]
    if without:
      notes.append(f"--{flag.name} is no flag of {', '.join(without)}: not given to them")
  return Plan(profile, folder, commands, jobs, tuple(dict.fromkeys(notes)), help=False)


def _jobs(profile: str, given: Sequence[Flag]) -> int:
  """Returns how many experiments run at a time: as many as the last --jobs says, or our default."""
  texts = [flag.token.partition("=")[2] for flag in given if flag.name == JOBS]
  meeting = [flag.name for flag in given if flag.name in MEETING]
  if not texts:
    return min(usable_cores(), MOST_JOBS) if profile in COMPILING and not meeting else 1
  text = texts[-1]
  if not (text.isascii() and text.isdecimal() and len(text) <= 4 and int(text) >= 1):
    raise UserError("--jobs", show(text), "a whole number of at least 1")
  if meeting and int(text) > 1:
    raise UserError("--jobs", text, f"1 beside --{meeting[0]}: processes meet for one run")
  return int(text)


def _expand(arguments: Sequence[str], came_from: Path | None) -> Iterator[str]:
  """Yields the arguments, with the lines of a flagfile in its place."""
  waiting = iter(arguments)
  for argument in waiting:
    name, equals, path = argument.lstrip("-").partition("=")
    if not argument.startswith("-") or name != "flagfile":
      yield argument
      continue
    path = path if equals else next(waiting, "")
    yield from flags.in_file(_from(path, came_from))


def _sort(
  arguments: Sequence[str], known: dict[str, Any], came_from: Path | None
) -> tuple[list[str], list[Flag]]:
  """Returns the words, and the flags with their values, `--name=value` or `--name value`."""
  words, found = [], []
  waiting = iter(arguments)
  for argument in waiting:
    if not argument.startswith("-") or argument == "-":
      words.append(argument)
      continue
    name, equals, value = argument.lstrip("-").partition("=")
    definition = next((values[name] for values in known.values() if name in values), None)
    if definition is None and name.startswith("no"):  # --noname
      positive = name.removeprefix("no")
      definition = next((values[positive] for values in known.values() if positive in values), None)
      if definition is not None and definition.boolean and not equals:
        found.append(Flag(positive, argument))
        continue
    takes_value = name == JOBS or (definition is not None and not definition.boolean)
    if takes_value and not equals:
      equals, value = "=", next(waiting, "")
      if not value:
        raise UserError(f"--{name}: a value is missing, --{name}=...")
    if name in PATH_FLAGS and equals:
      value = str(_from(value, came_from))
    found.append(Flag(name, f"--{name}{equals}{value}"))
  return words, found


def _from(path: str, came_from: Path | None) -> str:
  """Returns a relative path as seen from where the command was given."""
  if not path or came_from is None or path.startswith("~") or os.path.isabs(path):
    return path
  return str(came_from / path)


def _choose(words: Sequence[str]) -> tuple[str, list[str]]:
  """Returns the profile and the experiments that the words name; all of them if none."""
  words = [word.rstrip("/") or word for word in words]
  named = [word for word in words if word in profiles()]
  if len(set(named)) > 1:
    raise UserError(f"two profiles, {named[0]} and {named[1]}: run one after the other")
  profile = named[0] if named else QUICK
  there = members(profile)
  wanted = dict.fromkeys(word for word in words if word not in named)
  for word in wanted:
    if word in names() and word not in there:
      raise UserError(f"{word} is not in profile {profile}, which has: {' '.join(there)}")
    if word not in there:
      kind = "experiment" if named else "profile or experiment"
      near = guess(word, [*there, *([] if named else profiles())])
      raise UserError(f"no {kind} {word[:80]!r}{near}")
  return profile, list(wanted) or there


def _refuse_unknown(given: Sequence[Flag], chosen: Sequence[str], known: dict[str, Any]) -> None:
  for flag in given:
    if any(flag.name in known[name] for name in chosen):
      continue
    others = [name for name in known if flag.name in known[name]]
    if others:
      raise UserError(
        f"--{flag.name} is no flag of {', '.join(chosen)}; it is one of {', '.join(others)}"
      )
    every = {each for name in chosen for each in known[name]}
    near = guess(flag.name, sorted(every))
    near = near if "did you mean" in near else "; --help behind an experiment's name lists them"
    raise UserError(f"no flag --{flag.name[:80]}{near.replace('mean ', 'mean --')}")


def _check(one: Experiment, arguments: Sequence[str]) -> None:
  """Raises UserError if the experiment would refuse its flags, before any is run."""
  try:
    config, options = flags.parse(one, [one.name, *arguments])
  except (UserError, UnicodeError) as error:
    raise UserError(f"{one.name}: {flags.as_flags(str(error), flags.names(one))}") from None
  if one.uses_images and config.dataset == EMBEDDED and options.manual_dir is not None:
    raise UserError(
      f"--manual_dir: {one.name} here trains on the embedded {EMBEDDED} and reads no file; add"
      " --dataset=mnist, or run the profile long_report"
    )
