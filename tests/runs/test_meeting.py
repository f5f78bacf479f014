"""Processes that never meet, or come with other numbers, end in an error and not in JAX's abort."""

import concurrent.futures
import socket

import pytest

from hw1_jax.errors import UserError
from hw1_jax.runs.meeting import ProcessLost, meet


def free_port():
  with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    return probe.getsockname()[1]


def all_meet(*processes, seconds=20.0):
  """Returns what `meet` gave each process, (count, index): None or the exception."""
  address = f"127.0.0.1:{free_port()}"
  with concurrent.futures.ThreadPoolExecutor(len(processes)) as pool:
    futures = [pool.submit(meet, address, *process, seconds) for process in processes]
    return [future.exception(60) for future in futures]


def test_processes_that_all_come_go_on():
  assert all_meet((3, 0), (3, 2), (3, 1)) == [None] * 3


def test_a_process_that_does_not_come_is_named():
  (error, other) = all_meet((3, 0), (3, 2), seconds=1.0)
  assert isinstance(error, ProcessLost)
  assert "process 1 of 3 did not come within 1 s" in str(error)
  assert isinstance(other, ProcessLost)


def test_without_process_0_the_others_end():
  (error,) = all_meet((2, 1), seconds=1.0)
  assert isinstance(error, ProcessLost)
  assert "process 0 was not met" in str(error)


@pytest.mark.parametrize(
  ("processes", "message"),
  [
    (((3, 0), (2, 1)), "num_processes: got 3 and 2"),
    (((3, 0), (3, 1), (3, 1)), "process_id: got 1 twice or too large"),
  ],
)
def test_processes_with_other_numbers_are_all_refused(processes, message):
  for error in all_meet(*processes, seconds=3.0):
    assert isinstance(error, UserError)
    assert message in str(error)


def test_strangers_at_the_port_do_not_count():
  port = free_port()
  with concurrent.futures.ThreadPoolExecutor(3) as pool:
    first = pool.submit(meet, f"127.0.0.1:{port}", 2, 0, 20.0)
    for _ in range(200):
      try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as stranger:
          stranger.sendall(b"GET / HTTP/1.1\r\n\n")
        break
      except OSError:
        continue
    second = pool.submit(meet, f"127.0.0.1:{port}", 2, 1, 20.0)
    assert [first.exception(60), second.exception(60)] == [None, None]


def test_a_port_that_is_taken_is_named():
  with socket.create_server(("", 0)) as server:
    port = server.getsockname()[1]
    with pytest.raises(UserError, match="a free port of process 0's host"):
      meet(f"127.0.0.1:{port}", 2, 0, 1.0)
