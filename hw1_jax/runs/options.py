"""Options: what every experiment's command line has beside the experiment's own settings.

No number depends on them; they say where, on what and how patiently to compute.
"""
# ruff: noqa: RUF009 `setting` returns a new field; the linter knows that only of fields like int

import dataclasses
from pathlib import Path
from typing import Any

from hw1_jax.runs.experiment import Experiment
from hw1_jax.runs.settings import Checked, setting

CHECKPOINT_SECONDS = 20.0  # at most this much work is done twice after a kill; our choice
MOST_PROCESSES = 1_000_000  # what the command line takes for a number of processes; our choice


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(Checked):
  """The common options, checked like settings."""

  workdir: Path = setting(Path("results/single"), "the run folder")
  num_devices: int | None = setting(
    None, "devices to use; none: all (on CPU one for each core)", minimum=1, maximum=4096
  )
  compilation_cache_dir: Path | None = setting(
    None, "where compiled programs are kept between runs; none: in the virtual environment"
  )
  coordinator_address: str | None = setting(
    None,
    "where the processes of a run of several meet: an address of process 0's host",
    pattern=(r"\S+:[0-9]{1,5}", "HOST:PORT"),
  )
  num_processes: int | None = setting(
    None, "how many processes make this run together", minimum=1, maximum=MOST_PROCESSES
  )
  process_id: int | None = setting(
    None, "which of them this is, from 0", minimum=0, maximum=MOST_PROCESSES
  )
  distributed: bool = setting(
    False, "join the processes that Slurm, Open MPI or Kubernetes started"
  )
  checkpoint_seconds: float = setting(
    CHECKPOINT_SECONDS, "between checkpoints: the most work that a kill can cost", minimum=0
  )
  data_dir: Path | None = setting(None, "where downloads are kept; none: TFDS's folder")
  manual_dir: Path | None = setting(
    None, "folder with the data set's four original files; no download then"
  )
  max_memory_gb: float | None = setting(
    None, "refuse what needs more, in 10^9 bytes; none: what is free", above=0
  )
  accept_changes: bool = setting(
    False, "resume although code, versions, data or device are others than at the start"
  )
  tensorboard: bool = setting(False, "also write TensorBoard's event files, into tensorboard/")
  overwrite: bool = setting(False, "replace the run in the run folder instead of resuming it")
  figures_only: bool = setting(
    False, "draw the figures and write the summary again from result.npz"
  )

  def __post_init__(self) -> None:
    super().__post_init__()
    contrary = self.figures_only and self.overwrite
    self.require(
      not contrary, "overwrite", "false beside figures_only=true, which computes nothing"
    )
    count, index, address = self.num_processes, self.process_id, self.coordinator_address
    if count is not None and index is not None:
      self.require(index < count, "process_id", f"less than num_processes, {count}")
    if count is not None:
      complete = index is not None and address is not None
      need = "with it coordinator_address=HOST:PORT and process_id=NUMBER"
      self.require(complete, "num_processes", need)

  @property
  def several_processes(self) -> bool:
    """Whether this process is to join others."""
    given = (self.coordinator_address, self.num_processes, self.process_id)
    return self.distributed or any(value is not None for value in given)


# Not in run.flags, because they concern one attempt: who the processes were, what to do now.
REPEATED = ("data_dir", "manual_dir", "num_devices")


def fields_of(experiment: Experiment) -> dict[str, dataclasses.Field]:
  """Returns {name: field} of the options that an experiment has."""
  left_out: set[str] = set()
  if not experiment.uses_images:
    left_out |= {"data_dir", "manual_dir"}
  return {f.name: f for f in dataclasses.fields(Options) if f.name not in left_out}


def default_of(experiment: Experiment, field: dataclasses.Field) -> Any:
  """Returns an option's default; the run folder is named after the experiment."""
  default: Any = field.default
  return default / experiment.name if field.name == "workdir" else default
