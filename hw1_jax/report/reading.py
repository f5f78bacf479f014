"""What can be read of run folders, however damaged they are."""

import base64
import dataclasses
import hashlib
import json
import math
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from xml.etree import ElementTree

from hw1_jax import summary as summaries
from hw1_jax.report.assignment import Topic, read_assignment
from hw1_jax.report.numbers import words
from hw1_jax.summary import Claim, Number, Summary

CHECKED = ("config.json", "metrics.jsonl", "result.npz", "summary.json")  # as in runs.CHECKED
VERDICTS = summaries.VERDICTS

T = TypeVar("T")


class Image(NamedTuple):
  """A figure file that a browser can show."""

  suffix: str  # "svg" or "png"
  data: bytes
  width: float | None  # natural width in CSS pixels; None where the file does not say

  @property
  def uri(self) -> str:
    kind = {"svg": "svg+xml", "png": "png"}[self.suffix]
    return f"data:image/{kind};base64,{base64.b64encode(self.data).decode()}"


@dataclasses.dataclass(frozen=True)
class Figure:
  path: str  # "gradient_norm/figures/norm", no suffix: unique on the page
  caption: str
  svg: Image | None
  png: Image | None


@dataclasses.dataclass(frozen=True)
class Run:
  """What could be read of one run folder."""

  folder: str
  status: str  # provenance's, or "missing" (no folder), or "unknown"
  problems: tuple[str, ...] = ()  # sentences
  config: dict[str, Any] = dataclasses.field(default_factory=dict)
  provenance: dict[str, Any] = dataclasses.field(default_factory=dict)
  summary: Summary = dataclasses.field(default_factory=Summary)
  figures: tuple[Figure, ...] = ()


@dataclasses.dataclass(frozen=True)
class Section:
  """A topic and its runs: the experiment's own folder first, then its variants by name."""

  topic: Topic
  runs: tuple[Run, ...]


# Reading


def collect(profile_dir: Path) -> list[Section]:
  """Returns one Section a topic, in the assignment's order. Raises OSError without the folder."""
  folders = sorted(path.name for path in profile_dir.iterdir() if path.is_dir())
  sections = []
  for topic in (topic for part in read_assignment() for topic in part.topics):
    variants = [f for f in folders if f.startswith(topic.experiment) and f != topic.experiment]
    runs = tuple(_read_run(profile_dir / folder) for folder in [topic.experiment, *variants])
    sections.append(Section(topic, runs))
  return sections


def _read_run(folder: Path) -> Run:
  if not folder.is_dir():
    return Run(folder.name, "missing")
  problems: list[str] = []
  provenance = _read_json(folder / "provenance.json", problems)
  config = _read_json(folder / "config.json", problems)
  raw_summary = _read_json(folder / "summary.json", problems)
  summary = _parse_summary(raw_summary, problems) if raw_summary else Summary()
  figures = _read_figures(folder, summary.captions, problems)
  problems += _altered(folder, provenance.get("checksums"))
  status = provenance.get("status")
  if status not in ("running", "finished", "interrupted", "failed"):
    status = "unknown"
  if status not in ("finished", "unknown"):  # then missing files are no news
    problems = [problem for problem in problems if not problem.endswith(" is missing.")]
  return Run(folder.name, status, tuple(problems), config, provenance, summary, figures)


def _altered(folder: Path, checksums: Any) -> list[str]:
  """Returns a sentence for each file that has not the SHA-256 that provenance.json gives it."""
  found = []
  for name in CHECKED:
    expected = checksums.get(name) if isinstance(checksums, dict) else None
    try:
      found_sum = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    except OSError:  # missing files are told of where they are read; not all are published
      continue
    if expected not in (None, found_sum):
      found.append(f"{name} is damaged: its SHA-256 is not the one in provenance.json.")
  return found


def _read_json(path: Path, problems: list[str]) -> dict[str, Any]:
  try:
    value = json.loads(path.read_bytes())
  except FileNotFoundError:
    problems.append(f"{path.name} is missing.")
  except OSError as error:
    problems.append(f"{path.name} cannot be read ({error.strerror}).")
  except (ValueError, RecursionError):
    problems.append(f"{path.name} is damaged: it is not JSON.")
  else:
    if isinstance(value, dict) and value:
      return value
    problems.append(f"{path.name} has an unexpected shape: expected a JSON object with entries.")
  return {}


def _parse_summary(raw: dict[str, Any], problems: list[str]) -> Summary:
  def entries(key: str, container: type[list] | type[dict], parse: Callable[[Any], T]) -> list[T]:
    found = raw.get(key)
    if not isinstance(found, container):
      problems.append(f"summary.json has no usable “{key}”: expected a {container.__name__}.")
      return []
    parsed, bad = [], 0
    for entry in found.items() if isinstance(found, dict) else found:
      try:
        parsed.append(parse(entry))
      except (KeyError, TypeError, ValueError, ArithmeticError):
        bad += 1
    if bad:
      problems.append(
        f"summary.json: {bad} of {len(found)} entries of “{key}” have an unexpected shape and are"
        " left out."
      )
    return parsed

  return Summary(
    numbers=tuple(entries("numbers", list, _parse_number)),
    claims=tuple(entries("claims", list, _parse_claim)),
    findings=tuple(entries("findings", list, lambda entry: _expect(entry, str))),
    captions=dict(entries("captions", dict, lambda item: (item[0], _expect(item[1], str)))),
    tables=dict(entries("tables", dict, _parse_table)),
  )


def _expect(value: Any, *types: type) -> Any:
  if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
    raise TypeError(f"expected {types}, got {type(value)}")
  return value


def _parse_number(entry: Any) -> Number:
  entry = _expect(entry, dict)
  reported = _expect(entry.get("reported"), int, float, str, type(None))
  return Number(
    name=_expect(entry["name"], str),
    values=tuple(
      math.nan if value is None else float(_expect(value, int, float))
      for value in _expect(entry["values"], list)
    ),
    unit=_expect(entry.get("unit") or "", str),
    reported=float(reported) if isinstance(reported, int) else reported,
    note=_expect(entry.get("note") or "", str),
  )


def _parse_claim(entry: Any) -> Claim:
  entry = _expect(entry, dict)
  if entry["verdict"] not in VERDICTS:
    raise ValueError(f"no such verdict: {entry['verdict']}")
  texts = [_expect(entry[key], str) for key in ("id", "text", "verdict", "evidence")]
  return Claim(*texts)


def _parse_table(item: tuple[str, Any]) -> tuple[str, list[dict[str, Any]]]:
  name, rows = item
  return name, [_expect(row, dict) for row in _expect(rows, list)]


def _read_figures(
  folder: Path, captions: dict[str, str], problems: list[str]
) -> tuple[Figure, ...]:
  files = sorted(folder.glob("figures/*.svg")) + sorted(folder.glob("figures/*.png"))
  stems = list(dict.fromkeys([*captions, *(file.stem for file in files)]))
  figures = []
  for stem in stems:
    paths = [folder / "figures" / f"{stem}.{suffix}" for suffix in ("svg", "png")]
    svg, png = (_read_image(path, problems) if path in files else None for path in paths)
    if svg is None and png is None:
      problems.append(f"The figure “{stem}” is missing.")
      continue
    caption = captions.get(stem) or words(stem)
    figures.append(Figure(f"{folder.name}/figures/{stem}", caption, svg, png))
  return tuple(figures)


def _read_image(path: Path, problems: list[str]) -> Image | None:
  suffix = path.suffix[1:]
  try:
    data = path.read_bytes()
    return Image(suffix, data, _svg_width(data) if suffix == "svg" else _png_width(data))
  except OSError as error:
    problems.append(f"figures/{path.name} cannot be read ({error.strerror}).")
  except (ValueError, ElementTree.ParseError, struct.error):
    problems.append(f"figures/{path.name} is damaged: it is not a whole {suffix.upper()} file.")
  return None


def _svg_width(data: bytes) -> float | None:
  """Returns the natural width in CSS pixels. Raises ValueError or ParseError if it is no SVG."""
  root = ElementTree.fromstring(data)
  if not root.tag.endswith("svg"):
    raise ValueError(f"not an SVG: {root.tag}")
  match = re.fullmatch(r"([\d.]+)(pt|px|in|)", root.get("width", ""))
  return float(match[1]) * {"pt": 96 / 72, "in": 96.0}.get(match[2], 1.0) if match else None


def _png_width(data: bytes) -> float | None:
  """Returns the natural width in CSS pixels. Raises ValueError if it is no whole PNG."""
  if not data.startswith(b"\x89PNG\r\n\x1a\n") or b"IEND" not in data[-12:]:
    raise ValueError("not a PNG")
  (pixels,) = struct.unpack(">I", data[16:20])
  start = data.find(b"pHYs", 0, 4096)
  if start < 0:
    return None
  (per_meter,) = struct.unpack(">I", data[start + 4 : start + 8])
  return pixels / per_meter / 0.0254 * 96 if per_meter else None
