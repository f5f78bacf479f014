"""Run folders: what an experiment leaves on disk.

    config.json  run.flags  provenance.json  metrics.jsonl  checkpoint.msgpack
    result.npz   summary.json  figures/*.svg *.png *.pdf  tables/*.csv

Only metrics.jsonl grows in place; the checkpoint knows its length.
"""

import contextlib
import io
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from hw1_jax.errors import UserError, shortened
from hw1_jax.runs.files import (
  MAGIC,
  TEMPORARY,
  cannot_write,
  checksum,
  damaged,
  jsonable,
  read_json,
  starts_with,
  write_bytes,
  write_csv,
  write_json,
)
from hw1_jax.runs.lock import Lock

CHECKED = ("config.json", "metrics.jsonl", "result.npz", "summary.json")  # SHA-256 in provenance
CHECKPOINTS = ("checkpoint.msgpack", "checkpoint.previous.msgpack")
OWN = ("provenance.json", *CHECKPOINTS, "result.npz", "weights.npz", "run.flags",
       "metrics.jsonl", "summary.json", "config.json")  # fmt: skip
DRAWN = re.compile(r"figures/[^/\0]+\.(svg|png|pdf)|tables/[^/\0]+\.csv")
FIGURES: dict[str, dict[str, Any]] = {  # kind -> how it is saved, without the date
  "svg": {"metadata": {"Date": None}},
  "png": {"dpi": 150},
  "pdf": {"metadata": {"CreationDate": None}},
}
STATUSES = ("running", "finished", "interrupted", "failed")  # of provenance.json


NONE = object()  # no value, where None is one


class RunFolder:
  """One experiment's folder, held by one process at a time.

  Only what a run has written is ever replaced or removed. A folder is a run's if its .lock, its
  provenance.json or a checkpoint says so; in any other folder a file with one of our names is
  somebody else's, and the folder is refused as it is.
  """

  def __init__(self, path: Path):
    self.path = path
    self._lock: Lock | None = None

  @contextlib.contextmanager
  def hold(
    self,
    config: dict[str, Any],
    *,
    overwrite: bool,
    experiment: str = "",
    later: Mapping[str, Any] = {},
  ) -> Iterator[None]:
    """Creates or reopens the folder, and keeps other processes out while the context lasts.

    Args:
      config: the run's settings.
      overwrite: whether to remove the run that is there.
      experiment: whose run it is.
      later: what the settings were in folders from before they existed.

    Raises:
      UserError: it cannot be written, another process holds it, it holds files that no run wrote,
        or a run of another experiment or with other settings and `overwrite` is not given; the
        message names the settings that differ.
    """
    self._refuse_foreign()
    try:
      self.path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
      raise cannot_write(self.path, error) from None
    with Lock(self.path) as self._lock:
      if overwrite:
        self._sweep()
        self._clear()
      self._refuse_other_experiment(experiment)
      config_path = self.path / "config.json"
      if config_path.exists():
        self._refuse_other_config(read_json(config_path), jsonable(config), jsonable(later))
      else:
        write_json(config_path, config)
      self._sweep()
      yield

  def check_held(self) -> None:
    """Raises UserError if the lock of a folder that is held has been taken away meanwhile."""
    if self._lock is not None:
      self._lock.check()

  def _refuse_foreign(self) -> None:
    foreign = [name for name in (*OWN, "figures", "tables") if os.path.lexists(self.path / name)]
    if foreign and not self._is_a_runs():
      raise UserError(
        f"{self.path} holds files that no run has written: {', '.join(sorted(foreign))}",
        remedy="choose another folder, workdir=FOLDER",
      )

  def _is_a_runs(self) -> bool:
    if Lock(self.path).is_ours():
      return True
    with contextlib.suppress(UserError):
      return isinstance(self.provenance().get("experiment"), str)
    return any(starts_with(self.path / name, MAGIC) for name in CHECKPOINTS)

  def _refuse_other_experiment(self, experiment: str) -> None:
    try:
      there = self.provenance().get("experiment")
    except UserError:
      return  # a new folder, or one whose other files will tell
    if experiment and isinstance(there, str) and there != experiment:
      raise UserError(
        f"{self.path} holds a run of another experiment",
        str(experiment),
        str(there),
        "choose another folder, workdir=FOLDER",
      )

  def _sweep(self) -> None:
    """Removes the temporary files of killed processes; nobody else writes here now."""
    pattern = f".*.*{TEMPORARY}"
    for path in (*self.path.glob(pattern), *self.path.glob(f"figures/{pattern}"),
                 *self.path.glob(f"tables/{pattern}")):  # fmt: skip
      with contextlib.suppress(OSError):
        path.unlink()

  def _refuse_other_config(self, old: Any, new: dict[str, Any], later: dict[str, Any]) -> None:
    if not isinstance(old, dict):
      raise damaged(self.path / "config.json", "not an object of settings")
    old = later | old
    names = [name for name in {**old, **new} if old.get(name, NONE) != new.get(name, NONE)]
    if names:
      there, now = (
        " ".join(f"{name}={_as_text(settings[name])}" for name in names if name in settings)
        for settings in (old, new)
      )
      raise UserError(
        f"{self.path} holds a run with other settings",
        now or "none of these",
        there or "none of these",
        "replace it by overwrite=true or choose another folder, workdir=FOLDER",
      )

  def _clear(self) -> None:
    """Removes the run's files: our names, and the figures and tables that provenance.json lists."""
    names: list[str] = []
    content: dict[str, Any] = {}
    with contextlib.suppress(UserError):
      content = self.provenance()
    if content:
      listed = content.get("files") if isinstance(content.get("files"), list) else []
      names = [name for name in map(str, listed or ()) if DRAWN.fullmatch(name)]
      if content["status"] == "finished":  # no longer, from the first removal on
        write_json(self.path / "provenance.json", {**content, "status": "running"})
    try:
      for name in (*names, *OWN):  # config.json last: until then it says whose the rest is
        path = self.path / name
        path.unlink(missing_ok=True)
    except OSError as error:
      raise cannot_write(path, error) from None

  def provenance(self) -> dict[str, Any]:
    """Returns the content of provenance.json; UserError when it is missing or damaged."""
    path = self.path / "provenance.json"
    content = read_json(path)
    if not isinstance(content, dict) or content.get("status") not in STATUSES:
      raise damaged(path, "it does not say how the run stands")
    return content

  def finished(self) -> bool:
    """Returns whether the run is complete: provenance says so and its files are there.

    Raises:
      UserError: it is complete and damaged, so that running again would replace what is left.
    """
    result, path = self.path / "result.npz", self.path / "provenance.json"
    try:
      status = self.provenance()["status"]
    except UserError:
      if path.exists() and result.exists() and not list(self.path.glob("checkpoint*.msgpack")):
        raise
      return False  # nothing to lose, or a checkpoint to resume from
    needed = (result, self.path / "summary.json")
    if status != "finished" or not all(path.is_file() for path in needed):
      return False
    self.verify(CHECKED)
    return True

  def verify(self, names: Iterable[str]) -> None:
    """Raises UserError unless the files have the SHA-256 sums in provenance.json, where it has."""
    content = self.provenance()
    sums = content.get("checksums")
    if not isinstance(sums, dict) or "result.npz" not in sums:
      if content["status"] == "finished":
        raise damaged(self.path / "provenance.json", "no SHA-256 of result.npz")
      raise UserError(
        f"{self.path} holds no result yet", remedy="repeat its command without figures_only=true"
      )
    for name in names:
      if name in sums and checksum(self.path / name) != sums[name]:
        raise damaged(self.path / name, "its SHA-256 is not the one in provenance.json")

  def checksums(self, *names: str) -> dict[str, str]:
    """Returns {name: SHA-256} of files of the folder; UserError when one cannot be read."""
    return {name: checksum(self.path / name) for name in names}

  def _subfolder(self, name: str) -> Path:
    folder = self.path / name
    try:
      folder.mkdir(exist_ok=True)
    except OSError as error:
      raise cannot_write(folder, error) from None
    return folder

  def write_figures(self, figures: dict[str, Any]) -> None:
    """Saves matplotlib figures as figures/NAME.svg, .png and .pdf; the same figure, the same bytes.

    Text stays text in the SVG; the PDF holds its fonts. The figures' layout is fixed from then on.
    """
    folder = self._subfolder("figures")
    for name, figure in figures.items():
      for kind, content in render(name, figure):
        write_bytes(folder / f"{name}.{kind}", content)

  def write_tables(self, tables: dict[str, list[dict[str, Any]]]) -> None:
    """Saves each table as tables/NAME.csv."""
    folder = self._subfolder("tables")
    for name, rows in tables.items():
      write_csv(folder / f"{name}.csv", rows)


def render(name: str, figure: Any) -> Iterator[tuple[str, bytes]]:
  """Yields each kind of file of a matplotlib figure, and its bytes; see `write_figures`."""
  import matplotlib

  with (
    matplotlib.rc_context({"svg.hashsalt": name, "svg.fonttype": "none", "pdf.fonttype": 42}),
    _plain_fonts(),
  ):
    for kind, options in FIGURES.items():
      buffer = io.BytesIO()
      figure.savefig(buffer, format=kind, **options)
      figure.set_layout_engine(None)  # the first kind's layout is all kinds': no other is made
      yield kind, buffer.getvalue()


@contextlib.contextmanager
def _plain_fonts() -> Iterator[None]:
  """Embeds fonts without their tables for shaping text, which no PDF uses: in half of the time.

  Matplotlib has no option for it; a version that embeds in another way does as it does.
  """
  try:
    from matplotlib.backends._backend_pdf_ps import subset

    options = subset.Options
    default = options._drop_tables_default
  except (ImportError, AttributeError):
    yield
    return
  options._drop_tables_default = [*default, "GDEF", "GPOS", "GSUB", "MATH", "kern"]
  try:
    yield
  finally:
    options._drop_tables_default = default


@contextlib.contextmanager
def default_style() -> Iterator[None]:
  """Draws with matplotlib's own style, whatever a user's matplotlibrc says of fonts or TeX."""
  import matplotlib

  with matplotlib.rc_context():
    matplotlib.rcdefaults()
    yield


def _as_text(value: Any) -> str:
  """Returns a setting of config.json as a command line has it, shortened where it is long."""
  text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
  text = text.lower() if isinstance(value, bool) else text
  return shortened(text)
