"""The experiments from any folder.

  hw1 list                                   the experiments, and which profiles have them
  hw1 run NAME [--profile=quick] [--flag=value ...]       one experiment; --help lists its flags
  hw1 run-all [PROFILE] [NAME ...] [--flag=value ...]     several, and one page of their results
  hw1 report FOLDER                          the page of a folder of runs, or of one run
  hw1 verify FOLDER                          what can be recomputed of them, line by line
  hw1 export RUN ... [--format=safetensors]  trained weights, as PyTorch's state dicts have them
  hw1 completion bash                        for .bashrc: eval "$(hw1 completion bash)"; or zsh

Without --profile, `hw1 run` uses the experiment's own defaults. Exit code: 0, 1 if a run failed or
a check disagrees, 2 for wrong arguments, 129, 130 or 143 if interrupted.
"""

import importlib.metadata
import os
import sys
from collections.abc import Sequence

from hw1_jax.command import children
from hw1_jax.command.catalog import (
  CALLED_FROM,
  experiment,
  flagfiles,
  known,
  members,
  names,
  profiles,
  program,
)
from hw1_jax.errors import UserError
from hw1_jax.report.assignment import topics
from hw1_jax.runs.surroundings import require_jax

# What needs JAX is imported where it is used: it takes seconds, and not every command does.


def show_list(arguments: Sequence[str]) -> int:
  """Prints one line per experiment: section, name, title, profiles."""
  if arguments:
    raise UserError(f"list takes no arguments; got {arguments[0][:80]!r}")
  width = max(map(len, names()))
  for topic in topics():
    having = " ".join(each for each in profiles() if topic.experiment in members(each))
    print(f"{topic.number:5}  {topic.experiment:{width}}  {topic.short}  [{having}]")
  return 0


def show_version() -> int:
  """Prints the version of the installed package."""
  try:
    print(f"hw1_jax {importlib.metadata.version('hw1_jax')}")
  except importlib.metadata.PackageNotFoundError:
    print("hw1_jax, a checkout that is not installed")
  return 0


def run(arguments: Sequence[str]) -> int:
  """Runs one experiment in this process, with a profile's flagfiles before the flags given."""
  if not arguments or arguments[0].startswith("-"):
    if arguments and arguments[0].lstrip("-") in ("h", "help"):
      print((__doc__ or "").strip())
      return 0
    raise UserError(f"run: name an experiment, one of: {' '.join(names())}")
  name = arguments[0]
  if name in profiles():
    raise UserError(f"run: {name} is a profile; hw1 run-all {name} runs its experiments")
  known(name, "experiment", names())
  files, rest, waiting = [], [], iter(arguments[1:])
  for argument in waiting:
    flag, equals, profile = argument.partition("=")
    if flag.lstrip("-") == "profile" and flag.startswith("-"):
      profile = profile if equals else next(waiting, "")
      known(profile, "profile", profiles())
      if name not in members(profile):
        raise UserError(f"{name} is not in profile {profile}; it has: {' '.join(members(profile))}")
      files = flagfiles(profile, name)
    else:
      rest.append("--help" if argument == "-h" else argument)
  main_of(name, [*files, *rest])
  return 0


def child(arguments: Sequence[str]) -> int:
  """`child PARENT NAME flags`: one of run-all, which stops when the pipe PARENT closes."""
  import jax

  parent, name, *flags = arguments
  children.stop_with(int(parent))
  main_of(name, flags)
  jax.distributed.shutdown()  # of several processes; at its exit JAX would, but a fork has none
  return 0


def main_of(name: str, arguments: Sequence[str]) -> None:
  """Runs an experiment's own command line in this process."""
  from hw1_jax.runs.main import main as run_experiment

  run_experiment(experiment(name), [name, *arguments])


def run_all(arguments: Sequence[str]) -> int:
  """Runs several experiments, each in a process of its own, and writes their page."""
  from hw1_jax.command.run_all import run_all as run_them

  return run_them(arguments, main)


def report(arguments: Sequence[str]) -> int:
  """Writes the page of a folder of runs, or of one run folder, and prints its path."""
  from hw1_jax.command.inspecting import report as write_page

  return write_page(arguments)


def verify(arguments: Sequence[str]) -> int:
  """Checks a folder of runs, or one run folder, by what can be recomputed within a minute."""
  from hw1_jax.command.inspecting import verify as check

  return check(arguments)


def export(arguments: Sequence[str]) -> int:
  """Writes the trained weights of run folders for other programs and prints the files' paths."""
  from hw1_jax.command.inspecting import export as write

  return write(arguments)


def complete(arguments: Sequence[str]) -> int:
  """Prints what the shell needs to complete our commands."""
  from hw1_jax.command import completion

  return completion.main(arguments, list(COMMANDS))


COMMANDS = {
  "list": show_list,
  "run": run,
  "run-all": run_all,
  "report": report,
  "verify": verify,
  "export": export,
  "completion": complete,
}


NEED_JAX = ("run", "run-all", "verify", "export")


def dispatch(command: str, arguments: Sequence[str]) -> int:
  """Returns the exit code of one of COMMANDS, or of what every program answers to."""
  if command in ("-h", "--help", "help"):
    print((__doc__ or "").strip())
    return 0
  if command == "--version":
    return show_version()
  if command == "child":
    return child(arguments)
  if command in NEED_JAX:
    require_jax()
  if command in names():
    raise UserError(f"no command {command!r}, it is an experiment: hw1 run {command}")
  if command in profiles():
    raise UserError(f"no command {command!r}, it is a profile: hw1 run-all {command}")
  return COMMANDS[known(command, "command", COMMANDS)](arguments)


def main(arguments: Sequence[str] | None = None) -> int:
  """Returns the exit code of `hw1 ARGUMENTS`."""
  if sys.stderr is None:  # closed: what is opened next must not become it, and print not use stdout
    sys.stderr = open(os.devnull, "w")  # noqa: SIM115 open until we end
  if (here := os.environ.get(CALLED_FROM) or os.getcwd()) not in sys.path:
    sys.path.append(here)  # for your own modules, as `python -m` has it
  command, *rest = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
  try:
    code = dispatch(command, rest)
    if sys.stdout is not None:
      sys.stdout.flush()
    return code
  except UserError as error:
    print(f"{program()}: {' '.join(str(error).split())}", file=sys.stderr)
    return 2
  except BrokenPipeError:  # the reader has gone, as in `hw1 list | head -1`
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return 0
  except OSError as error:
    where = error.filename or "standard output"  # a failed write does not say where
    print(f"{program()}: {where}: {error.strerror}", file=sys.stderr)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return 2
