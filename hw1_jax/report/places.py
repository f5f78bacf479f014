"""Which folder a user names: one of runs, a single run's, or one too high."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from hw1_jax.errors import UserError
from hw1_jax.report.assignment import topics
from hw1_jax.runs.folder import RunFolder


@contextlib.contextmanager
def folder_of_runs(folder: Path) -> Iterator[Path]:
  """Yields the folder of runs; of a run's own folder one that has this run only.

  There the run is called after its experiment, the name by which a page finds it.

  Raises:
    UserError: the folder holds no run but folders that do, or a run of an unknown experiment.
  """
  if not (folder / "provenance.json").is_file():
    require_no_runs_below(folder)
    yield folder
    return
  name = str(RunFolder(folder).provenance().get("experiment"))
  if name not in {topic.experiment for topic in topics()}:
    raise UserError(f"{folder} holds a run of {name[:80]!r}, which is no experiment here")
  with tempfile.TemporaryDirectory() as place:
    above = Path(place, folder.resolve().parent.name or "runs")
    above.mkdir()
    (above / name).symlink_to(folder.resolve())
    yield above


def require_no_runs_below(folder: Path) -> None:
  """Raises UserError for a folder that has no runs while those in it have some: one too high."""
  if any(folder.glob("*/provenance.json")):
    return
  below = sorted({str(path.parent.parent) for path in folder.glob("*/*/provenance.json")})
  if below:
    raise UserError(f"{folder} holds no run", remedy=f"name {' or '.join(below[:3])}")


def require_runs(folder: Path) -> None:
  """Raises UserError for a folder without run folders."""
  require_no_runs_below(folder)
  if not any(folder.glob("*/provenance.json")):
    raise UserError(f"{folder} holds no run", remedy="name a folder such as results/quick")
