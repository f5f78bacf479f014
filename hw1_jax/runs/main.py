"""From a command line to a finished run folder.

An experiment is described by an `Experiment`; everything else about it is a pure function.
"""

import contextlib
import dataclasses
import datetime
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from hw1_jax import data
from hw1_jax.errors import UserError
from hw1_jax.loops import NonFiniteError
from hw1_jax.runs import exits, flags, memory
from hw1_jax.runs.checkpoint import discard_checkpoints
from hw1_jax.runs.experiment import Experiment
from hw1_jax.runs.files import (
  damaged,
  read_json,
  read_result,
  write_bytes,
  write_json,
  write_result,
)
from hw1_jax.runs.folder import RunFolder
from hw1_jax.runs.jax_setup import set_up
from hw1_jax.runs.monitor import Interrupted, RunMonitor
from hw1_jax.runs.options import Options
from hw1_jax.runs.processes import from_writer, is_writer, noticing_losses
from hw1_jax.runs.provenance import environment


def main(experiment: Experiment, argv: Sequence[str] | None = None) -> None:
  """Runs an experiment from its command line and exits.

  Exit codes: 0 finished, 1 the run failed (what was recorded is kept), 2 wrong input or a folder
  that cannot be used (full, read-only, damaged), 130 and 143 interrupted by SIGINT and SIGTERM.
  """
  argv = list(sys.argv if argv is None else argv)
  with exits.one_line(experiment):
    config, options = flags.parse(experiment, argv)
    set_up(experiment, options)
    if options.figures_only:
      redraw(experiment, options)
    else:
      with noticing_losses():
        execute(experiment, config, options, argv)


def execute(experiment: Experiment, config: Any, options: Options, argv: Sequence[str]) -> None:
  """Runs, or resumes, an experiment in its folder and writes all of its files."""
  if experiment.memory_need is not None:
    memory.check(experiment.memory_need(config), options.max_memory_gb)
  images = load_images(config, options) if experiment.uses_images else None
  folder = RunFolder(options.workdir)
  with hold(folder, config, options) as finished:
    if not finished:
      compute(experiment, config, images, folder, options, argv)
    elif is_writer():
      print(f"{experiment.name}: finished before, in {folder.path}; --overwrite reruns it")


def load_images(config: Any, options: Options) -> data.ImageData:
  """Returns the data set that the settings name, cut to the examples that they ask for."""
  images = data.load_images(
    config.dataset,
    data_dir=options.data_dir,
    manual_dir=options.manual_dir,
    show_progress=sys.stderr.isatty(),
  )
  config.check_images(images)
  return data.subset(images, config.train_examples, config.test_examples)


@contextlib.contextmanager
def hold(folder: RunFolder, config: Any, options: Options) -> Iterator[bool]:
  """Keeps the folder for this run while the context lasts; whether the run in it is finished."""
  with contextlib.ExitStack() as held:

    def take() -> bytes:
      held.enter_context(folder.hold(dataclasses.asdict(config), overwrite=options.overwrite))
      if not folder.finished():
        return b""
      discard_checkpoints(folder)  # a kill may have come before the run's own discarding
      return b"finished"

    yield from_writer(take) == b"finished"


def compute(
  experiment: Experiment,
  config: Any,
  images: data.ImageData | None,
  folder: RunFolder,
  options: Options,
  argv: Sequence[str],
) -> None:
  """Computes what the folder lacks of a run, and writes result, summary, tables and figures."""
  provenance = describe(experiment, images, argv)
  from_writer(lambda: refuse_other_inputs(folder, provenance))
  monitor = RunMonitor(folder, experiment.name, seconds=options.checkpoint_seconds)
  if is_writer():
    write_bytes(folder.path / "run.flags", flags.run_flags(experiment, config, options))
  with recorded(folder, provenance, monitor):
    inputs = (config, images) if experiment.uses_images else (config,)
    result = experiment.run(*inputs, monitor)
    if is_writer():
      write_result(folder.path / "result.npz", result)
      provenance["checksums"] = folder.checksums("config.json", "metrics.jsonl", "result.npz")
      present(experiment, config, result, folder)
      provenance["checksums"] |= folder.checksums("summary.json")
  monitor.discard()
  if is_writer():
    print(f"{experiment.name}: {monitor.seconds:.0f} s, results in {folder.path}")


def describe(
  experiment: Experiment, images: data.ImageData | None, argv: Sequence[str]
) -> dict[str, Any]:
  """Returns what provenance.json says of a run that begins now."""
  dataset = images and {
    "name": images.name,
    "sha256": images.checksum,
    "train_examples": len(images.train_labels),
    "test_examples": len(images.test_labels),
  }
  return {
    "experiment": experiment.name,
    "status": "running",
    "message": "",
    "command": " ".join([f"python -m experiments.{experiment.name}", *argv[1:]]),
    "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    "seconds": 0.0,
    **environment(),
    "x64": experiment.x64,
    "dataset": dataset,
  }


def refuse_other_inputs(folder: RunFolder, provenance: dict[str, Any]) -> bytes:
  """Raises UserError where a run would go on with other images than it began with."""
  if not list(folder.path.glob("checkpoint*.msgpack")):
    return b""
  try:
    before = folder.provenance().get("dataset")
  except UserError:  # damaged; the run's numbers do not depend on it
    return b""
  now = provenance["dataset"]
  if before and now and before.get("sha256") != now["sha256"]:
    raise UserError(
      f"the images of dataset={now['name']} have changed since the run in {folder.path} began",
      remedy="start anew by overwrite=true or choose another folder, workdir=FOLDER",
    )
  return b""


@contextlib.contextmanager
def recorded(folder: RunFolder, provenance: dict[str, Any], monitor: RunMonitor) -> Iterator[None]:
  """Keeps provenance.json at what is true: running, then finished, interrupted or failed."""

  def record(**facts: Any) -> None:
    provenance.update(facts)
    if is_writer():
      write_json(folder.path / "provenance.json", provenance)

  record()
  monitor.catch_signals()
  try:
    yield
  except BaseException as error:
    interrupted = isinstance(error, Interrupted | KeyboardInterrupt)
    status = "interrupted" if interrupted else "failed"
    message = " ".join(f"{type(error).__name__}: {error}".split())
    with contextlib.suppress(UserError):  # the first error says what is wrong
      record(status=status, message=message, seconds=monitor.seconds)
    if isinstance(error, NonFiniteError):
      raise NonFiniteError(f"{error}; what was recorded so far is in {folder.path}") from None
    raise
  record(status="finished", seconds=monitor.seconds)


def present(experiment: Experiment, config: Any, result: Any, folder: RunFolder) -> None:
  """Writes summary.json, the tables and the figures from a result."""
  summary = experiment.summarize(config, result)
  content = {"experiment": experiment.name, **dataclasses.asdict(summary)}
  write_json(folder.path / "summary.json", content)
  folder.write_tables(summary.tables)
  folder.write_figures(experiment.draw(config, result))


def redraw(experiment: Experiment, options: Options) -> None:
  """Writes summary, tables and figures again from result.npz; nothing is computed.

  The settings are the folder's own, whatever the command line says.
  """
  folder = RunFolder(options.workdir)
  config = saved_config(experiment, folder)
  folder.verify(("config.json", "result.npz"))
  result = read_result(folder.path / "result.npz", experiment.result)
  present(experiment, config, result, folder)
  provenance = folder.provenance()
  provenance["checksums"] |= folder.checksums("summary.json")
  write_json(folder.path / "provenance.json", provenance)
  print(f"{experiment.name}: figures in {folder.path / 'figures'}")


def saved_config(experiment: Experiment, folder: RunFolder) -> Any:
  """Returns the Config in a run folder; UserError where it is missing, damaged or another's."""
  path = folder.path / "config.json"
  saved = read_json(path)
  known = {field.name for field in dataclasses.fields(experiment.config)}
  if not isinstance(saved, dict) or set(saved) != known:
    raise UserError(
      f"{path} does not hold the settings of {experiment.name}",
      remedy="check workdir=FOLDER, or rerun the experiment by overwrite=true",
    )
  try:
    return experiment.config(**saved)
  except UserError as error:
    raise damaged(path, error) from None
