"""How a command ends: what went wrong as one line on stderr, and the exit code."""

import contextlib
import sys
from collections.abc import Iterator
from typing import NoReturn

from hw1_jax.errors import UserError
from hw1_jax.loops import NonFiniteError
from hw1_jax.runs import flags
from hw1_jax.runs.experiment import Experiment
from hw1_jax.runs.monitor import Interrupted
from hw1_jax.runs.processes import ProcessLost, leave

FAILED, REFUSED = 1, 2  # exit codes; 128 + the signal's number where one ended the run


@contextlib.contextmanager
def one_line(experiment: Experiment) -> Iterator[None]:
  """Ends the process with one line and an exit code for every error that a user can meet."""
  try:
    try:
      yield
    except flags.HelpAsked as help:
      print(help, flush=True)
  except BrokenPipeError:  # the reader of our output has gone, as in `... --help | head`
    sys.stderr.close()
  except UserError as error:
    stop(experiment, flags.as_flags(str(error), flags.names(experiment)), REFUSED)
  except UnicodeError as error:
    stop(experiment, f"unreadable text in the flags: {error}", REFUSED)
  except NonFiniteError as error:
    stop(experiment, str(error), FAILED)
  except ProcessLost as error:
    stop(experiment, f"{error}; the same command resumes from the last checkpoint", FAILED)
  except Interrupted as interrupt:
    stop(experiment, f"stopped by {interrupt}; the same command resumes here", interrupt.code)


def stop(experiment: Experiment, message: str, code: int) -> NoReturn:
  """Prints one line on stderr and exits."""
  line = " ".join(message.split())
  if len(line) > 1000:  # absl repeats a wrong value whole
    line = f"{line[:500]} ... {line[-400:]}"
  with contextlib.suppress(OSError):  # stderr may be a file on the full disk
    print(f"{experiment.name}: {line}", file=sys.stderr, flush=True)
  leave(code)
