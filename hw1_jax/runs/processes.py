"""Several processes, on one host or many, as one run.

Every process executes the same experiment with the same settings; `devices.map_members` spreads
the members over the devices of all of them. Files are process 0's business alone, the writer's: it
reads the checkpoint and hands it to the others, and it alone writes.
"""

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any, NoReturn, TypeVar, cast

import jax
import numpy as np
from jax.experimental import multihost_utils

from hw1_jax.errors import UserError, show
from hw1_jax.runs.meeting import ProcessLost, meet
from hw1_jax.runs.options import Options
from hw1_jax.runs.terminal import keep_stdout

T = TypeVar("T")
HEARTBEAT_SECONDS = 30  # a process not heard of for so long is taken for dead; our choice
CONNECT_SECONDS = 120  # to wait for all processes at the start; our choice


def initialize(options: Options) -> None:
  """Joins this process to the others; JAX detects what of their options is None.

  It can under Slurm, Open MPI, Kubernetes and on TPUs. To be called before any array exists.

  Raises:
    UserError: the options do not make sense, or are missing where JAX cannot find them.
    ProcessLost: the others did not come within CONNECT_SECONDS.
  """
  keep_stdout()
  address, count, index = (
    options.coordinator_address, options.num_processes, options.process_id
  )  # fmt: skip
  if count is not None:
    print(
      f"process {index} of {count}: meeting the others at {address}, "
      f"for at most {CONNECT_SECONDS} s",
      file=sys.stderr,
      flush=True,
    )
    assert address is not None
    assert index is not None  # Options sees to it
    meet(address, count, index, CONNECT_SECONDS)
  try:
    jax.distributed.initialize(
      address,
      count,
      index,
      initialization_timeout=CONNECT_SECONDS,
      heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
    )
  except ValueError as error:
    raise UserError(
      "distributed",
      show(str(error).splitlines()[0]),
      "a cluster that JAX knows, or coordinator_address=HOST:PORT, num_processes=NUMBER and "
      "process_id=NUMBER",
    ) from None
  except RuntimeError as error:
    reason = str(error).splitlines()[0]
    raise ProcessLost(f"the processes did not come together ({reason})") from None


def is_writer() -> bool:
  """Returns whether this process writes the files and speaks on the terminal."""
  return jax.process_index() == 0


def from_writer(work: Callable[[], bytes]) -> bytes:
  """Returns on every process what `work` returns on the writer; a UserError comes to all, too."""
  if jax.process_count() == 1:
    return work()
  content, failed = b"", False
  if is_writer():
    try:
      content = work()
    except UserError as error:
      parts = (error.what, error.got, error.expected, error.remedy)
      content, failed = json.dumps(parts).encode(), True
  header = multihost_utils.broadcast_one_to_all(np.array([len(content), failed], np.int32))
  size, failed = int(header[0]), bool(header[1])
  buffer = np.zeros(max(size, 1), np.uint8)
  if is_writer():
    buffer[:size] = np.frombuffer(content, np.uint8)
  content = np.asarray(multihost_utils.broadcast_one_to_all(buffer)).tobytes()[:size]
  if failed:
    raise UserError(*json.loads(content))
  return content


def require_equal(facts: dict[str, Any]) -> None:
  """Raises UserError on all processes unless all of them pass the same facts, {what: text}."""
  if jax.process_count() == 1:
    return
  text = json.dumps(facts, sort_keys=True).encode()
  sizes = multihost_utils.process_allgather(np.int32(len(text)))
  padded = np.zeros(int(np.max(sizes)), np.uint8)
  padded[: len(text)] = np.frombuffer(text, np.uint8)
  gathered = np.asarray(multihost_utils.process_allgather(padded)).reshape(len(sizes), -1)
  first, *others = (json.loads(row[:size].tobytes()) for row, size in zip(gathered, sizes))
  for index, other in enumerate(others, 1):
    names = [name for name in {**first, **other} if first.get(name) != other.get(name)]
    if names:
      values = [" ".join(f"{n}={each.get(n)}" for n in names) for each in (first, other)]
      raise UserError(
        f"the processes of this run differ: process {index}",
        values[1],
        f"{values[0]}, as process 0 has",
        "start all of them with the same command, code and versions",
      )


def on_all(work: Callable[[], T]) -> T:
  """Returns what `work` returns; a UserError of any process comes to all of them."""
  if jax.process_count() == 1:
    return work()
  result, mine = None, None
  try:
    result = work()
  except UserError as error:
    mine = error
  failed = np.asarray(multihost_utils.process_allgather(np.bool_(mine is not None)))
  if mine is not None:
    raise mine
  if failed.any():
    raise UserError(f"process {int(np.argmax(failed))} of this run has failed; see what it says")
  return cast(T, result)


def agree(signum: int | None) -> int | None:
  """Returns the signal that any process has caught, the same on all of them; None if none has."""
  if jax.process_count() == 1:
    return signum
  caught = np.max(multihost_utils.process_allgather(np.int32(signum or 0)))
  return int(caught) or None


@contextlib.contextmanager
def noticing_losses() -> Iterator[None]:
  """Turns the failure of a transfer between processes into ProcessLost."""
  try:
    yield
  except (jax.errors.JaxRuntimeError, ValueError) as error:
    transfer = isinstance(error, jax.errors.JaxRuntimeError) or "Gloo" in str(error)
    if jax.process_count() == 1 or not transfer:
      raise
    reason = str(error).splitlines()[0]
    raise ProcessLost(f"another process of this run was lost ({reason})") from None


def leave(code: int) -> NoReturn:
  """Ends this process at once where others are waiting for it: they notice, and end too."""
  if jax.distributed.is_initialized():
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
  sys.exit(code)
