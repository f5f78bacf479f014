"""TensorBoard's event files, written from metrics.jsonl with tensorboardX."""

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hw1_jax.errors import UserError

FOLDER = "tensorboard"
FLUSH_SECONDS = 5  # until a reader sees an epoch; our choice


class Events:
  """Event files in a run folder that say what metrics.jsonl says.

  A tag is 'LOOP/MEASURE', for a measure of several runs 'LOOP/MEASURE/run_1', ...; the step is the
  record's epoch (of that run), or its place in the file where it has none. Earlier event files are
  replaced, so a run that resumes writes what metrics.jsonl already holds again.
  """

  def __init__(self, folder: Path):
    try:
      from tensorboardX import SummaryWriter  # only --tensorboard needs it
    except ImportError:
      raise UserError(
        "tensorboard", True, "tensorboardX to be installed", "pip install tensorboardX"
      ) from None
    for old in (folder / FOLDER).glob("events.out.tfevents.*"):
      old.unlink()
    self._writer = SummaryWriter(str(folder / FOLDER), flush_secs=FLUSH_SECONDS)
    self._count = 0
    metrics = folder / "metrics.jsonl"
    if metrics.exists():
      self.add(json.loads(line) for line in metrics.read_text().splitlines())

  def add(self, records: Iterable[dict[str, Any]]) -> None:
    """Writes records of metrics.jsonl."""
    for record in records:
      self._count += 1
      for tag, value, step in scalars(record, self._count):
        self._writer.add_scalar(tag, value, step)

  def close(self) -> None:
    """Writes what is still in memory; nothing is added after it."""
    self._writer.close()


def scalars(record: dict[str, Any], place: int) -> Iterable[tuple[str, float, int]]:
  """Yields (tag, value, step) of a record; values that are not finite, or no numbers, have none."""
  steps = record.get("epoch", place)  # a number, or one for each run
  for key, value in record.items():
    values = value if isinstance(value, list) else [value]
    for i, entry in enumerate(values):
      if (
        key in ("phase", "epoch") or not isinstance(entry, int | float) or not math.isfinite(entry)
      ):
        continue
      tag = f"{record.get('phase', 'run')}/{key}" + (f"/run_{i + 1}" if value is values else "")
      yield tag, float(entry), int(steps[i] if isinstance(steps, list) else steps)
