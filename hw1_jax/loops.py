"""How long computations report progress and are made resumable, without knowing about files.

A computation is a sequence of named loops. Each loop owns a state (a pytree of arrays) and a
function that advances it by one chunk. `Monitor` just runs them; `runs.RunMonitor` also draws
progress, appends metrics, saves the state between chunks and resumes from a saved state.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np

State = TypeVar("State")


class Chunk(NamedTuple):
  """What one call of a loop's `advance` returns."""

  state: Any  # pytree of arrays: all that the next chunk needs
  done: int  # units done so far, counted from the start of the loop
  finished: bool  # True ends the loop, whatever `done` says
  records: list[dict]  # JSON-able, one line each in metrics.jsonl
  error: str | None = None  # a value that is not finite: where, what; ends the run


class RunFailed(ArithmeticError):
  """The computation came to an end without a result; the message names where and what."""


class NonFiniteError(RunFailed):
  """Training met NaN or infinity."""


class Monitor:
  """Runs loops and keeps nothing. The base of `runs.RunMonitor`, and enough for library use."""

  def loop(
    self,
    name: str,
    state: State,
    advance: Callable[[State], Chunk],
    *,
    total: int,
    unit: str = "epochs",
  ) -> State:
    """Returns the final state of `advance`, called until it says that it has finished.

    Args:
      name: unique within the experiment; a saved state is found again by it.
      state: the start; must not depend on anything but the settings.
      advance: state -> Chunk. Deterministic: the same state gives the same chunk.
      total: the most units that the loop can take, for progress.
      unit: what is counted.

    Raises:
      NonFiniteError: a chunk carried an error.
    """
    finished = False
    while not finished:
      state, _, finished, _, error = advance(state)
      if error:
        raise NonFiniteError(error)
    return state

  def map(
    self,
    name: str,
    function: Callable[[np.ndarray], dict[str, Any]],
    num_items: int,
    *,
    batch_size: int = 1,
    unit: str = "runs",
  ) -> dict[str, np.ndarray]:
    """Returns the outputs of `function` for items 0, 1, ..., joined: each [num_items, ...].

    `function` takes the indices of `batch_size` items, [B], and returns arrays [B, ...]; the last
    batch is filled up with the last item, what is too much is dropped. One batch is one chunk of a
    `loop`, so an interrupted map resumes with the next batch.
    """

    def advance(state: dict[str, Any]) -> Chunk:
      first = int(state["done"])
      done = min(first + batch_size, num_items)
      indices = np.minimum(np.arange(first, first + batch_size), num_items - 1)
      outputs = {key: np.asarray(value)[: done - first] for key, value in function(indices).items()}
      previous = state["outputs"]
      joined = {
        key: np.concatenate([previous[key], value]) if key in previous else value
        for key, value in outputs.items()
      }
      new_state = {"done": np.int64(done), "outputs": joined}
      return Chunk(new_state, done, done >= num_items, [])

    start: dict[str, Any] = {"done": np.int64(0), "outputs": {}}
    return self.loop(name, start, advance, total=num_items, unit=unit)["outputs"]

  def keep(self, name: str, params: Any, input_shape: Sequence[int]) -> None:
    """Keeps the final parameters of a training, leaves [M, ...]; this monitor keeps nothing.

    Args:
      name: unique within the experiment.
      params: a dict of arrays, or of such dicts.
      input_shape: of one example.
    """
