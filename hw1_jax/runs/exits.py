"""How a command ends: what went wrong as one line on stderr, and the exit code."""

import contextlib
import sys
from collections.abc import Iterator, Sequence
from typing import NoReturn

import jax

from hw1_jax.errors import UserError
from hw1_jax.loops import RunFailed
from hw1_jax.runs import flags
from hw1_jax.runs.experiment import Experiment
from hw1_jax.runs.meeting import ProcessLost
from hw1_jax.runs.monitor import Interrupted
from hw1_jax.runs.processes import leave
from hw1_jax.runs.terminal import announce

SMALLER = "use smaller settings or fewer devices, num_devices=1"
FAILED, REFUSED = 1, 2  # exit codes; 128 + the signal's number where one ended the run


@contextlib.contextmanager
def one_line(experiment: Experiment, argv: Sequence[str]) -> Iterator[None]:
  """Ends the process with one line and an exit code for every error that a user can meet."""
  try:
    yield
  except flags.HelpAsked as help:
    announce(str(help))
  except UserError as error:
    stop(experiment, str(error), REFUSED)
  except UnicodeError as error:
    stop(experiment, f"unreadable text in the flags: {error}", REFUSED)
  except RunFailed as error:
    stop(experiment, str(error), FAILED)
  except ProcessLost as error:
    stop(experiment, f"{error}; {command(argv)} resumes from the last checkpoint", FAILED)
  except Interrupted as interrupt:
    message = f"stopped by {interrupt}; {command(argv)} resumes here"
    stop(experiment, message, interrupt.code)
  except KeyboardInterrupt:  # before the first step, or a second one
    stop(experiment, f"stopped by SIGINT; {command(argv)} resumes from the last checkpoint", 130)
  except MemoryError as error:
    stop(experiment, f"out of memory ({error or 'no more to have'}); {SMALLER}", FAILED)
  except jax.errors.JaxRuntimeError as error:
    if "RESOURCE_EXHAUSTED" not in str(error) and "Out of memory" not in str(error):
      raise
    stop(experiment, f"out of memory ({str(error).splitlines()[0][:200]}); {SMALLER}", FAILED)


def command(argv: Sequence[str]) -> str:
  """Returns what to call the command that resumes a run."""
  overwrites = any(text.lstrip("-").split("=")[0] == "overwrite" for text in argv[1:])
  return "the same command without --overwrite" if overwrites else "the same command"


def stop(experiment: Experiment, message: str, code: int) -> NoReturn:
  """Prints one line on stderr and exits."""
  line = flags.as_flags(" ".join(message.split()), flags.names(experiment))
  if len(line) > 1000:  # absl repeats a wrong value whole
    line = f"{line[:500]} ... {line[-400:]}"
  with contextlib.suppress(OSError):  # stderr may be a file on the full disk
    print(f"{experiment.name}: {line}", file=sys.stderr, flush=True)
  leave(code)
