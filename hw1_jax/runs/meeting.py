"""Whether all processes of a run come, found out before JAX waits for them.

JAX ends a process with a C++ stack trace when another does not come in time, or comes with other
numbers. So the processes meet here first, at the same address: each tells process 0 who it is, and
process 0 lets all go on when all have come.
"""

import contextlib
import json
import socket
import time
from collections.abc import Iterator

from hw1_jax.errors import UserError

HELLO_BYTES, HELLO_SECONDS = 200, 5.0  # at most, for a process to say who it is; our choice


class ProcessLost(Exception):
  """Another process of this run died, or could not be reached."""


def meet(address: str, count: int, index: int, seconds: float) -> None:
  """Returns when all `count` processes have come to `address`, HOST:PORT of process 0.

  Raises:
    ProcessLost: they did not come within `seconds`.
    UserError: the address is of no use, or two processes have other numbers of processes than each
      other, or the same index; all that have come get the error.
  """
  deadline = time.monotonic() + seconds
  host, _, port = address.rpartition(":")
  if int(port) > 65535:
    raise UserError("coordinator_address", repr(address), "a port of at most 65535")
  if index == 0:
    with _server(int(port), address) as server:
      _receive(server, count, deadline, seconds)
  else:
    _report(host.strip("[]"), int(port), count, index, deadline, seconds)


def _server(port: int, address: str) -> socket.socket:
  try:
    if socket.has_dualstack_ipv6():
      return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("", port))
  except OSError as error:
    reason = f"{address!r} ({error.strerror or error})"
    raise UserError("coordinator_address", reason, "a free port of process 0's host") from None


def _receive(server: socket.socket, count: int, deadline: float, seconds: float) -> None:
  come: dict[int, socket.socket] = {}
  answer = b"no\n"
  with contextlib.ExitStack() as connections:
    try:
      for connection in _connections(server, deadline):
        connections.enter_context(connection)
        who = _hello(connection)
        if who is None:
          continue
        index, number = who
        come[-len(come) - 1 if index in come else index] = connection
        if number != count:
          raise UserError("num_processes", f"{count} and {number}", "the same in all processes")
        if not 0 < index < count or min(come) < 0:
          raise UserError("process_id", f"{index} twice or too large", "another for each process")
        if len(come) == count - 1:
          answer = b"go\n"
          return
      missing = ", ".join(str(i) for i in range(1, count) if i not in come)
      raise ProcessLost(f"process {missing} of {count} did not come within {seconds:.0f} s")
    except UserError as error:
      answer = json.dumps([error.what, error.got, error.expected]).encode() + b"\n"
      raise
    finally:
      for connection in come.values():
        with contextlib.suppress(OSError):
          connection.sendall(answer)


def _connections(server: socket.socket, deadline: float) -> Iterator[socket.socket]:
  while (left := deadline - time.monotonic()) > 0:
    server.settimeout(left)
    try:
      yield server.accept()[0]
    except TimeoutError:
      return


def _hello(connection: socket.socket) -> tuple[int, int] | None:
  """Returns (process_id, num_processes) that a connection sends; None where it is no process."""
  connection.settimeout(HELLO_SECONDS)
  try:
    index, number = json.loads(_line(connection))
    return int(index), int(number)
  except (OSError, ValueError, TypeError):
    return None


def _line(connection: socket.socket) -> bytes:
  received = b""
  while not received.endswith(b"\n") and len(received) < HELLO_BYTES:
    part = connection.recv(HELLO_BYTES)
    if not part:
      break
    received += part
  return received


def _report(host: str, port: int, count: int, index: int, deadline: float, seconds: float) -> None:
  while time.monotonic() < deadline:
    try:
      with socket.create_connection((host, port), timeout=HELLO_SECONDS) as connection:
        connection.sendall(json.dumps([index, count]).encode() + b"\n")
        connection.settimeout(max(deadline - time.monotonic(), 0.1) + HELLO_SECONDS)
        answer = _line(connection)
    except OSError:
      time.sleep(0.2)
      continue
    if answer == b"go\n":
      return
    if answer.startswith(b"["):
      raise UserError(*json.loads(answer))
    if answer == b"no\n":
      break
    time.sleep(0.2)  # it was not process 0's answer: someone else still has the port
  raise ProcessLost(f"process 0 was not met at {host}:{port} within {seconds:.0f} s")
