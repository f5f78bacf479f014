"""The lock of a run folder: one process at a time, and the mark that the folder is a run's."""

import contextlib
import errno
import fcntl
import os
import socket
import stat
import sys
from pathlib import Path
from types import TracebackType

from hw1_jax.errors import UserError
from hw1_jax.runs.files import cannot_write

MARK = b"hw1_jax run folder\n"  # the first line; who holds the folder is the second
HELD_BY_ANOTHER = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES)


class Lock:
  """The file .lock of a folder, locked while the context lasts, however the process ends."""

  def __init__(self, folder: Path):
    self.folder, self.path = folder, folder / ".lock"
    self._file = -1

  def is_ours(self) -> bool:
    """Returns whether a lock of ours is there: a file that begins with our mark, no link."""
    try:
      file = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
      return False
    try:
      return stat.S_ISREG(os.fstat(file).st_mode) and os.read(file, len(MARK)) == MARK
    except OSError:
      return False
    finally:
      os.close(file)

  def __enter__(self) -> "Lock":
    self._file = self._open(0)
    try:
      self._take()
      self._sign()
    except BaseException:
      os.close(self._file)
      raise
    return self

  def __exit__(
    self, kind: type | None, error: BaseException | None, trace: TracebackType | None
  ) -> None:
    os.close(self._file)

  def check(self) -> None:
    """Makes and takes the file again if it has been deleted; UserError if another has taken it."""
    try:
      there = os.stat(self.path, follow_symlinks=False)
    except FileNotFoundError as error:
      if not self.folder.is_dir():
        raise cannot_write(self.folder, error) from None
    except OSError as error:
      raise cannot_write(self.path, error) from None
    else:
      mine = os.fstat(self._file)
      if (there.st_dev, there.st_ino) == (mine.st_dev, mine.st_ino):
        return
      raise self._taken()
    self.__exit__(None, None, None)
    self.__enter__()

  def _open(self, flags: int) -> int:
    flags |= os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
      file = os.open(self.path, flags, 0o666)
    except OSError as error:
      if os.path.lexists(self.path) and not self.is_ours():
        raise self._foreign() from None
      raise cannot_write(self.folder, error) from None
    regular = stat.S_ISREG(os.fstat(file).st_mode)
    if not regular or not MARK.startswith(os.pread(file, len(MARK), 0)):  # a kill may cut it short
      os.close(file)
      raise self._foreign()
    return file

  def _foreign(self) -> UserError:
    return UserError(
      f"{self.path} is a link or a file that no run has written",
      remedy="choose another folder, workdir=FOLDER",
    )

  def _taken(self) -> UserError:
    return UserError(
      f"{self.path} was replaced while this run held it, so another run may have begun here",
      remedy="let only one of them go on, or choose another folder, workdir=FOLDER",
    )

  def _take(self) -> None:
    try:
      fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
      if error.errno not in HELD_BY_ANOTHER:  # a file system without locks
        with contextlib.suppress(OSError):
          print(
            f"{self.folder}: no locks here ({error.strerror}); start no second run in this folder",
            file=sys.stderr,
          )
        return
      text = os.pread(self._file, 300, len(MARK)).decode(errors="replace")
      raise UserError(
        f"{self.folder} is in use by {' '.join(text.split()) or 'an unknown process'}",
        remedy="wait for it or choose another folder, workdir=FOLDER",
      ) from None
    there = os.stat(self.path, follow_symlinks=False)
    if there.st_ino != os.fstat(self._file).st_ino:  # deleted between opening and locking
      raise self._taken()

  def _sign(self) -> None:
    """Writes the mark and who holds the folder; the mark must come, the holder is only told."""
    holder = f"host {socket.gethostname()}, process {os.getpid()}\n"
    try:
      written = len(MARK) if os.pread(self._file, len(MARK), 0) == MARK else 0
      while written < len(MARK):  # the write after a short one fails, and says why
        written += os.pwrite(self._file, MARK[written:], written)
      with contextlib.suppress(OSError):
        os.ftruncate(self._file, len(MARK))
        os.pwrite(self._file, holder.encode(), len(MARK))
    except OSError as error:
      raise cannot_write(self.path, error) from None
