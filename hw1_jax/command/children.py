"""One process for each experiment, which stops when we are told to stop, and when we are killed."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PR_SET_PDEATHSIG = 1  # Linux: the signal that a process gets when its parent dies


def die_with(parent: int) -> None:
  """Has this process stopped by SIGTERM when its parent is killed; Linux only."""
  with contextlib.suppress(AttributeError, OSError):
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
  if os.getppid() != parent:  # killed before we could ask
    sys.exit(128 + signal.SIGTERM)


class Children:
  """Runs commands one after the other and hands on the signals that this process gets.

  A child is in a process group of its own, so that Ctrl-C reaches it once, through us: twice
  would make it stop at once, without a checkpoint. `code` is 128 + the signal that came, or 0.
  """

  def __init__(self) -> None:
    self.process: subprocess.Popen | None = None
    self.code = 0

  @contextlib.contextmanager
  def listening(self) -> Iterator[None]:
    """Hands signals on as long as it lasts; those that were ignored (nohup) stay ignored."""
    former = {signum: signal.getsignal(signum) for signum in (*STOPPING, signal.SIGTSTP)}
    for signum, handler in former.items():
      if handler != signal.SIG_IGN:
        signal.signal(signum, self._hand_on if signum in STOPPING else self._pause)
    try:
      yield
    finally:
      for signum, handler in former.items():
        signal.signal(signum, handler)

  def run(self, command: Sequence[str]) -> int:
    """Returns the exit code of a command, 128 + signal if one ended it."""
    if self.code:
      return self.code
    self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, process_group=0)
    if self.code:  # it came while the process was being made
      self._signal(self.code - 128)
    code = self.process.wait()
    self.process = None
    return code if code >= 0 else 128 - code

  def _signal(self, signum: int) -> None:
    if self.process is not None:
      with contextlib.suppress(ProcessLookupError):
        os.killpg(self.process.pid, signum)

  def _hand_on(self, signum: int, frame: Any) -> None:
    self.code = 128 + signum
    self._signal(signum)

  def _pause(self, signum: int, frame: Any) -> None:  # Ctrl-Z
    self._signal(signal.SIGSTOP)
    os.kill(os.getpid(), signal.SIGSTOP)
    self._signal(signal.SIGCONT)
