"""One process for each experiment, which stops when we are told to stop, and when we are killed."""

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def stop_with(parent: int) -> None:
  """Has SIGTERM stop this process when the one that writes to the pipe `parent` is gone.

  Linux's PR_SET_PDEATHSIG would send it once for each thread of the dying parent, and a second
  signal stops a run at once, without a checkpoint.
  """
  os.set_inheritable(parent, False)

  def wait() -> None:
    os.read(parent, 1)  # nothing is ever written: it returns when the last writer has ended
    os.kill(os.getpid(), signal.SIGTERM)

  threading.Thread(target=wait, daemon=True).start()


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

  def run(self, make_command: Callable[[int], Sequence[str]]) -> int:
    """Returns the exit code of a command, 128 + signal if one ended it.

    The command is made with the file descriptor that it is to give to `stop_with`.
    """
    if self.code:
      return self.code
    reading, writing = os.pipe()
    try:
      self.process = subprocess.Popen(
        make_command(reading), stdin=subprocess.DEVNULL, process_group=0, pass_fds=[reading]
      )
      if self.code:  # it came while the process was being made
        self._signal(self.code - 128)
      code = self.process.wait()
    finally:
      self.process = None
      os.close(reading)
      os.close(writing)
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
