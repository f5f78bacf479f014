"""An experiment that compiles nothing, for tests of files and flags: it counts, or sums images."""

import contextlib
import dataclasses
import io
import signal
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from hw1_jax.loops import Chunk
from hw1_jax.runs.experiment import Experiment
from hw1_jax.runs.main import main
from hw1_jax.runs.settings import ImageSettings, Settings, setting
from hw1_jax.summary import Number, Summary


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
  num_steps: int = setting(6, "steps", minimum=1)
  sizes: tuple[float, ...] = setting((1.0, 2.5), "sizes", above=0)
  loud: bool = setting(False, "louder")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageConfig(ImageSettings, Config):
  pass


class Result(NamedTuple):
  total: np.ndarray  # [3]
  parts: dict[str, np.ndarray]


class Killed(BaseException):
  """Stands for a SIGKILL: nothing in the program catches it to go on."""


class Picture:
  """As much of a matplotlib figure as `RunFolder.write_figures` needs."""

  def savefig(self, file, format, **options):
    png = b"\x89PNG\r\n\x1a\n" + bytes(20) + b"IEND"
    file.write({"svg": b"<svg></svg>", "png": png, "pdf": b"%PDF-1.4\n%%EOF\n"}[format])

  def set_layout_engine(self, layout):
    pass


def make_experiment(
  *,
  kill_at: int | None = None,
  images: bool = False,
  on_step: Callable[[int], None] = lambda step: None,
  on_draw: Callable[[], None] = lambda: None,
) -> Experiment:
  """Returns the experiment.

  `kill_at`: it is killed at this step, its records already written. `on_step` is called in each
  step, `on_draw` before the figures are drawn.
  """

  def run(config, *inputs):
    monitor = inputs[-1]
    start = np.full(3, config.seed + (inputs[0].train_images.sum() if images else 0.0))

    def advance(state):
      done = int(state["done"]) + 1
      on_step(done)
      new = {"done": np.int64(done), "total": state["total"] + done / 3}
      records = [{"step": done, "total": float(new["total"][0])}]
      if done == kill_at:
        monitor._append(records)
        raise Killed
      return Chunk(new, done, done >= config.num_steps, records)

    state = {"done": np.int64(0), "total": start}
    state = monitor.loop("count", state, advance, total=config.num_steps)
    return Result(state["total"], {"a": np.arange(40.0), "b": np.float32(config.sizes)})

  def summarize(config, result):
    return Summary(
      (Number("total", (float(result.total[0]),), note=f"{config.num_steps} steps"),),
      findings=(f"The total is {result.total[0]}.",),
      captions={"f": "c"},
      tables={"t": [{"x": 1, "y": float("nan")}]},
    )

  def draw(config, result):
    on_draw()
    return {"f": Picture()}

  config = ImageConfig if images else Config
  return Experiment("toy", "A toy.", config, Result, run, summarize, draw)


class Outcome(NamedTuple):
  """How a command ended: exit code, the lines on stderr, the text on stdout."""

  code: int
  lines: list[str]
  out: str


def command(experiment: Experiment, *flags: Any) -> Outcome:
  """Runs `cli.main` as a process would, and gives back what a user sees of it."""
  handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
  code, out, told = 0, io.StringIO(), io.StringIO()
  try:
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(told):
      main(experiment, [experiment.name, *map(str, flags)])
  except SystemExit as end:
    code = end.code
  finally:
    for number, handler in handlers.items():
      signal.signal(number, handler)
  lines = told.getvalue().splitlines()
  assert all(line.startswith(f"{experiment.name}: ") for line in lines), lines
  assert all(len(line) < 2000 for line in lines), lines
  assert (code != 0) <= bool(lines), "it failed and says nothing"
  return Outcome(code, lines, out.getvalue())
