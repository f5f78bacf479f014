"""From a command line to a finished run folder.

An experiment is described by an `Experiment`; everything else about it is a pure function.
"""

import contextlib
import dataclasses
import datetime
import shlex
import sys
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hw1_jax import data, devices
from hw1_jax.errors import UserError
from hw1_jax.loops import RunFailed
from hw1_jax.runs import exits, files, flags, memory, weights
from hw1_jax.runs.checkpoint import discard_checkpoints
from hw1_jax.runs.circumstances import strict
from hw1_jax.runs.experiment import Experiment
from hw1_jax.runs.folder import FIGURES, RunFolder, default_style
from hw1_jax.runs.jax_setup import set_up
from hw1_jax.runs.monitor import Interrupted, RunMonitor
from hw1_jax.runs.options import Options
from hw1_jax.runs.processes import from_writer, is_writer, noticing_losses, on_all, require_equal
from hw1_jax.runs.provenance import Record, environment
from hw1_jax.runs.settings import later_defaults
from hw1_jax.runs.terminal import announce, secure_streams, shows_bars

# What computing or drawing raises for arrays of other shapes and types than a run's.
SHAPELESS = (AttributeError, LookupError, TypeError, ValueError)
RERUN = "rerun the experiment by overwrite=true"


def main(experiment: Experiment, argv: Sequence[str] | None = None) -> None:
  """Runs an experiment from its command line and exits.

  Exit codes: 0 finished, 1 the run failed (what was recorded is kept), 2 wrong input or a folder
  that cannot be used (full, read-only, damaged), 130 and 143 interrupted by SIGINT and SIGTERM.
  """
  secure_streams()
  argv = list(sys.argv if argv is None else argv)
  with exits.one_line(experiment, argv):
    config, options = flags.parse(experiment, argv)
    set_up(experiment, options)
    with noticing_losses():
      require_equal(common(experiment, config, options))
      if options.figures_only:
        redraw(experiment, options, argv)
      else:
        execute(experiment, config, options, argv)


def common(experiment: Experiment, config: Any, options: Options) -> dict[str, Any]:
  """Returns what must be the same in all processes of a run before anything is computed."""
  decided = {name: getattr(options, name) for name in ("overwrite", "figures_only")}
  facts = {"experiment": experiment.name, **dataclasses.asdict(config), **decided}
  return files.jsonable({**facts, **strict(experiment, config)})


def execute(experiment: Experiment, config: Any, options: Options, argv: Sequence[str]) -> None:
  """Runs, or resumes, an experiment in its folder and writes all of its files."""
  own = experiment.memory_need(config) if experiment.memory_need else None
  needs = [need for need in (own, config.memory_need()) if need is not None]
  on_all(lambda: memory.check(needs, options.max_memory_gb))
  images = on_all(lambda: load_images(config, options)) if experiment.uses_images else None
  require_equal({"data": images and images.checksum})
  folder = RunFolder(options.workdir)
  with hold(folder, experiment, config, options) as finished:
    if not finished:
      compute(experiment, config, images, folder, options, argv)
    elif is_writer():
      announce(f"{experiment.name}: finished before, in {folder.path}; --overwrite reruns it")


def load_images(config: Any, options: Options) -> data.ImageData:
  """Returns the data set that the settings name, cut to the examples that they ask for."""
  images = data.load_images(
    config.dataset,
    data_dir=options.data_dir,
    manual_dir=options.manual_dir,
    show_progress=shows_bars(),
  )
  config.check_images(images)
  return data.subset(images, config.train_examples, config.test_examples)


@contextlib.contextmanager
def hold(
  folder: RunFolder, experiment: Experiment, config: Any, options: Options
) -> Iterator[bool]:
  """Keeps the folder for this run while the context lasts; whether the run in it is finished."""
  with contextlib.ExitStack() as held:

    def take() -> bytes:
      held.enter_context(enter(folder, experiment, config, overwrite=options.overwrite))
      if not folder.finished():
        return b""
      discard_checkpoints(folder)  # a kill may have come before the run's own discarding
      return b"finished"

    yield from_writer(take) == b"finished"


def enter(
  folder: RunFolder, experiment: Experiment, config: Any, *, overwrite: bool
) -> contextlib.AbstractContextManager[None]:
  """Returns the folder's `hold` for a run of these settings."""
  settings, later = dataclasses.asdict(config), later_defaults(type(config))
  return folder.hold(settings, overwrite=overwrite, experiment=experiment.name, later=later)


def compute(
  experiment: Experiment,
  config: Any,
  images: data.ImageData | None,
  folder: RunFolder,
  options: Options,
  argv: Sequence[str],
) -> None:
  """Computes what the folder lacks of a run, and writes result, summary, tables and figures."""
  monitor = RunMonitor(
    folder,
    experiment.name,
    seconds=options.checkpoint_seconds,
    circumstances=strict(experiment, config, images.checksum if images else None),
    accept_changes=options.accept_changes,
    tensorboard=options.tensorboard,
  )
  record = Record(folder, describe(experiment, images, argv, monitor))
  if is_writer():
    files.write_bytes(folder.path / "run.flags", flags.run_flags(experiment, config, options))
  with recorded(record, monitor), resuming(monitor.resumed_from):
    inputs = (config, images) if experiment.uses_images else (config,)
    with devices.one_lapack_thread():
      result = experiment.run(*inputs, monitor)
    if is_writer():
      files.write_result(folder.path / "result.npz", result)
      if monitor.weights:
        weights.write_weights(folder.path / weights.FILE, monitor.weights)
      record.facts["checksums"] = folder.checksums("config.json", "metrics.jsonl", "result.npz")
      present(experiment, config, result, record)
  monitor.discard()
  if is_writer():
    announce(f"{experiment.name}: {monitor.seconds:.0f} s, results in {folder.path}")


def describe(
  experiment: Experiment,
  images: data.ImageData | None,
  argv: Sequence[str],
  monitor: RunMonitor,
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
    "command": shlex.join(["python", "-m", experiment.package, *argv[1:]]),
    "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    "seconds": 0.0,
    "changes_since_start": monitor.changes,
    **environment(experiment),
    "dataset": dataset,
  }


@contextlib.contextmanager
def recorded(record: Record, monitor: RunMonitor) -> Iterator[None]:
  """Keeps provenance.json at what is true: running, then finished, interrupted or failed."""
  record.update()
  monitor.catch_signals()
  try:
    yield
  except BaseException as error:
    interrupted = isinstance(error, Interrupted | KeyboardInterrupt)
    status = "interrupted" if interrupted else "failed"
    message = " ".join(f"{type(error).__name__}: {error}".split())
    with contextlib.suppress(UserError):  # the first error says what is wrong
      record.folder.check_held()
      record.update(status=status, message=message, seconds=monitor.seconds)
    if isinstance(error, RunFailed):
      where = f"what was recorded so far is in {record.folder.path}"
      raise RunFailed(f"{error}; {where}") from None
    raise
  record.update(status="finished", seconds=monitor.seconds)


@contextlib.contextmanager
def resuming(checkpoint: Path | None) -> Iterator[None]:
  """Turns what fails in a run that was resumed into UserError: the saved state does not fit it.

  A checkpoint has a checksum, not a signature; one that somebody made may hold any arrays.
  """
  try:
    yield
  except (UserError, RunFailed):
    raise
  except SHAPELESS as error:
    if checkpoint is None:
      raise
    raise UserError(f"{checkpoint} cannot be resumed ({reason(error)})", remedy=RERUN) from error


def reason(error: BaseException) -> str:
  """Returns what went wrong and where, as 'IndexError: ..., run.py:12'."""
  place = traceback.extract_tb(error.__traceback__)[-1]
  text = " ".join(str(error).split())[:200]
  return f"{type(error).__name__}: {text}, {Path(place.filename).name}:{place.lineno}"


def present(experiment: Experiment, config: Any, result: Any, record: Record) -> None:
  """Writes summary.json, the tables and the figures from a result."""
  folder = record.folder
  with default_style():
    summary = experiment.summarize(config, result)
    figures = experiment.draw(config, result)
    names = [f"tables/{name}.csv" for name in summary.tables]
    names += [f"figures/{name}.{kind}" for name in figures for kind in FIGURES]
    record.update(files=sorted({*names, *record.facts.get("files", [])}))
    content = {"experiment": experiment.name, **dataclasses.asdict(summary)}
    files.write_json(folder.path / "summary.json", content)
    folder.write_tables(summary.tables)
    folder.write_figures(figures)
  record.facts["checksums"] |= folder.checksums("summary.json")


def redraw(experiment: Experiment, options: Options, argv: Sequence[str]) -> None:
  """Writes summary, tables and figures again from result.npz; nothing is computed.

  The settings are the folder's own, whatever the command line says. A run whose drawing failed is
  finished then.
  """
  if not is_writer():
    return
  folder = RunFolder(options.workdir)
  config = saved_config(experiment, folder)
  if unused := unused_settings(experiment, config, argv):
    text = flags.as_flags("=, ".join(unused) + "=", unused).replace("=", "")
    announce(f"{experiment.name}: the figures show the run as it is; without effect: {text}")
  folder.verify(("config.json", "result.npz"))
  path = folder.path / "result.npz"
  with enter(folder, experiment, config, overwrite=False):
    record = Record(folder, folder.provenance())
    result = files.read_result(path, experiment.result)
    try:
      present(experiment, config, result, record)
    except UserError:
      raise
    except (ArithmeticError, *SHAPELESS) as error:
      raise UserError(f"{path} cannot be shown ({reason(error)})", remedy=RERUN) from error
    record.update(status="finished", message="")  # its result is whole, whatever failed later
  announce(f"{experiment.name}: figures in {folder.path / 'figures'}")


def unused_settings(experiment: Experiment, saved: Any, argv: Sequence[str]) -> list[str]:
  """Returns the settings to which the command line gives other values than the run has."""
  wanted = flags.parse(experiment, argv)[0]
  settings = {field.name for field in dataclasses.fields(saved)}
  return [
    name
    for name in flags.given(experiment, argv)
    if name in settings and getattr(wanted, name) != getattr(saved, name)
  ]


def saved_config(experiment: Experiment, folder: RunFolder) -> Any:
  """Returns the Config in a run folder; UserError where it is missing, damaged or another's."""
  path = folder.path / "config.json"
  saved = files.read_json(path)
  known = {field.name for field in dataclasses.fields(experiment.config)}
  later = later_defaults(experiment.config)
  if not isinstance(saved, dict) or not known - set(later) <= set(saved) <= known:
    raise UserError(
      f"{path} does not hold the settings of {experiment.name}",
      remedy="check workdir=FOLDER, or rerun the experiment by overwrite=true",
    )
  try:
    return experiment.config(**later | saved)
  except UserError as error:
    raise files.damaged(path, error) from None
