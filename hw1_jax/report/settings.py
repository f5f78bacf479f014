"""A run's settings beside those of the report that it follows."""

from pathlib import Path
from typing import Any, NamedTuple

from hw1_jax.report.assignment import EXPERIMENTS, overlays
from hw1_jax.report.numbers import show_value


class Setting(NamedTuple):
  """A setting of a run beside the report's own."""

  name: str
  ours: str
  reported: str  # "" where the report's flagfile does not name it
  differs: bool


def read_flags(path: Path) -> dict[str, Any]:
  """Returns the settings of a flagfile, texts and booleans; none where it cannot be read."""
  try:
    lines = path.read_text(encoding="utf-8").splitlines()
  except (OSError, UnicodeDecodeError):
    return {}
  found: dict[str, Any] = {}
  for line in lines:
    name, equals, value = line.strip().removeprefix("--").partition("=")
    if not line.startswith("--") or name in ("flagfile", "workdir"):
      continue
    if equals:
      found[name] = None if value in ("", "None") else value
    else:
      found[name.removeprefix("no")] = not name.startswith("no")
  return found


def profile_flags(profile: str, experiment: str) -> dict[str, Any]:
  """Returns what a profile's flagfiles set for an experiment, the one that wins last."""
  below = overlays().get(profile)
  paths = [
    EXPERIMENTS / "flags" / each / f"{experiment}.flags" for each in (below, profile) if each
  ]
  found: dict[str, Any] = {}
  for path in paths:
    found |= read_flags(path)
  return found


def remarks(experiment: str, config: dict[str, Any]) -> list[str]:
  """Returns the comments of the report's flagfile: what the report says, and what is assumed."""
  try:
    lines = _reports_flags(experiment, config).read_text(encoding="utf-8").splitlines()
  except (OSError, UnicodeDecodeError):
    return []
  blocks = [""]
  for line in lines:
    text = line.removeprefix("#").strip() if line.startswith("#") else ""
    blocks[-1] = f"{blocks[-1]} {text}".strip() if text else blocks[-1]
    if not text and blocks[-1]:
      blocks.append("")
  # "[report]" or "[file]" alone names a value's source, beside the value; here it says nothing.
  told = [block for block in blocks if block not in ("", "[report]", "[file]")]
  return [f"{block[:1].upper()}{block[1:]}" for block in told]


def _reports_flags(experiment: str, config: dict[str, Any]) -> Path:
  """Returns the flagfile of the report that a run follows; it need not exist."""
  name = "short" if config.get("report") == "short" else "long"
  return EXPERIMENTS / "flags" / f"{name}_report" / f"{experiment}.flags"


def settings(experiment: str, config: dict[str, Any]) -> list[Setting]:
  """Returns a run's settings beside those of the report that it follows, differing ones first."""
  theirs = read_flags(_reports_flags(experiment, config))
  found = []
  for name, value in config.items():
    known = name in theirs
    differs = known and plain(value) != plain(theirs[name])
    told = show_value(theirs[name]) if known else ""
    found.append(Setting(name, show_value(value), told, differs))
  return sorted(found, key=lambda setting: (not setting.differs, not setting.reported))


def plain(value: Any) -> Any:
  """Returns a setting as it compares: 1e-4 and 0.0001 are the same, so are [1, 2] and '1,2'."""
  if isinstance(value, list | tuple):
    value = ",".join(str(entry) for entry in value)
  if isinstance(value, bool) or value is None:
    return value

  def one(text: str) -> Any:
    try:
      return float(text)
    except ValueError:
      return text

  return [one(text) for text in str(value).split(",")]
