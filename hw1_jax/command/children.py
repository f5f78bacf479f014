"""Processes that stop when we are told to stop, and when we are killed; several at a time."""

import contextlib
import gc
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
BETWEEN_LOOKS = 0.05  # seconds; our choice: neither felt nor work
HANDLED = (*STOPPING, signal.SIGTSTP)
Main = Callable[[Sequence[str]], int]  # arguments -> exit code


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
  """Runs calls of `python -m PROGRAM ARGUMENTS`, and hands on the signals that we get.

  A child is in a process group of its own, so that Ctrl-C reaches it once, through us: twice
  would make it stop at once, without a checkpoint. It is a fork of this process, which has
  imported already what takes a child 2.5 seconds of processor time; where this process has several
  threads, whose locks a fork would copy in whatever state they are, it is a new one.

  Attributes:
    running: process -> its name.
    code: 128 + the signal that came, or 0.
  """

  def __init__(self, program: str, main: Main) -> None:
    self.program, self.main = program, main
    self.running: dict[int, str] = {}
    self.code = 0
    self._former: dict[signal.Signals, Any] = {}
    self._reading = self._writing = -1

  @contextlib.contextmanager
  def listening(self) -> Iterator[None]:
    """Hands signals on as long as it lasts; those that were ignored (nohup) stay ignored."""
    self._reading, self._writing = os.pipe()
    self._former = {signum: signal.getsignal(signum) for signum in HANDLED}
    for signum, handler in self._former.items():
      if handler != signal.SIG_IGN:
        signal.signal(signum, self._hand_on if signum in STOPPING else self._pause)
    try:
      yield
    finally:
      gc.unfreeze()
      for signum, handler in self._former.items():
        signal.signal(signum, handler)
      os.close(self._reading)
      os.close(self._writing)

  def start(self, name: str, given: Sequence[str]) -> None:
    """Begins a child, unless a signal has come; see `running`.

    Its arguments are `child PARENT`, the file descriptor for `stop_with`, and those given.
    """
    arguments = ["child", str(self._reading), *given]
    for stream in (sys.stdout, sys.stderr):
      with contextlib.suppress(OSError):
        stream.flush()  # or a fork would print it once more
    gc.freeze()  # what is imported: no child's garbage collector need look at it
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)
    try:
      if self.code:
        return
      if not _alone():
        process = self._new(arguments, mask)
      elif not (process := os.fork()):
        self._become(arguments, mask)
      with contextlib.suppress(OSError):  # it does so itself; whoever comes first
        os.setpgid(process, process)
      self.running[process] = name
    finally:
      signal.pthread_sigmask(signal.SIG_SETMASK, mask)

  def wait(self) -> tuple[str, int]:
    """Returns the name and the exit code of the next child that ends, 128 + signal if one did.

    It looks again and again: Python would handle a signal that comes just before a system call
    that waits only when that returns.
    """
    while True:
      for process, name in self.running.items():
        ended, status = os.waitpid(process, os.WNOHANG)
        if ended:
          del self.running[process]
          code = os.waitstatus_to_exitcode(status)
          return name, code if code >= 0 else 128 - code
      time.sleep(BETWEEN_LOOKS)

  def stop(self, signum: int) -> None:
    """Hands a signal to all children that run, and remembers it."""
    self.code = 128 + signum
    self._signal(signum)

  def _new(self, arguments: Sequence[str], mask: set[Any]) -> int:
    os.set_inheritable(self._reading, True)
    try:
      return os.posix_spawn(
        sys.executable,
        [sys.executable, "-m", self.program, *arguments],
        os.environ,
        file_actions=[(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)],
        setpgroup=0,
        setsigmask=mask,
      )
    finally:
      os.set_inheritable(self._reading, False)

  def _become(self, arguments: Sequence[str], mask: set[Any]) -> NoReturn:
    """Makes this process, just forked, what `python -m PROGRAM ARGUMENTS` would be."""
    code = 1
    try:
      os.setpgid(0, 0)
      os.close(self._writing)
      for signum, handler in self._former.items():
        signal.signal(signum, handler)
      signal.pthread_sigmask(signal.SIG_SETMASK, mask)
      os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
      code = self.main(arguments)
    except SystemExit as end:
      code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except KeyboardInterrupt:
      code = 128 + signal.SIGINT
    except BaseException:
      traceback.print_exc()
    finally:
      for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
          stream.flush()
      os._exit(code)

  def _signal(self, signum: int) -> None:
    for process in list(self.running):
      with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process, signum)

  def _hand_on(self, signum: int, frame: Any) -> None:
    self.stop(signum)

  def _pause(self, signum: int, frame: Any) -> None:  # Ctrl-Z
    self._signal(signal.SIGSTOP)
    os.kill(os.getpid(), signal.SIGSTOP)
    self._signal(signal.SIGCONT)


def _alone() -> bool:
  """Returns whether this process is known to have one thread, of Python's or of a library."""
  try:
    return len(list(Path("/proc/self/task").iterdir())) == 1
  except OSError:
    return False
