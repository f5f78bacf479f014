"""What can be read of run folders, however damaged they are."""

import dataclasses
import hashlib
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from hw1_jax.report.assignment import Topic, expected, read_assignment
from hw1_jax.report.images import Figure, read_figures
from hw1_jax.report.judged import Judged, parse_claim
from hw1_jax.report.settings import read_flags
from hw1_jax.summary import Number, Summary

CHECKED = ("config.json", "metrics.jsonl", "result.npz", "summary.json")  # as in runs.CHECKED

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Run:
  """What could be read of one run folder."""

  folder: str
  status: str  # provenance's, or "missing" (no folder), or "unknown"
  problems: tuple[str, ...] = ()  # sentences
  config: dict[str, Any] = dataclasses.field(default_factory=dict)
  provenance: dict[str, Any] = dataclasses.field(default_factory=dict)
  summary: Summary = dataclasses.field(default_factory=Summary)  # without its claims
  claims: tuple[Judged, ...] = ()
  answer: str = ""  # to the section's question: the summary's, or its first finding
  figures: tuple[Figure, ...] = ()


@dataclasses.dataclass(frozen=True)
class Section:
  """A topic and its runs: the experiment's own folder first, then its variants by name."""

  topic: Topic
  runs: tuple[Run, ...]


# Reading


def collect(profile_dir: Path) -> list[Section]:
  """Returns one Section a topic that the profile has or that was run, in the assignment's order.

  Raises OSError without the folder.
  """
  folders = sorted(path.name for path in profile_dir.iterdir() if path.is_dir())
  sections = []
  for topic in (topic for part in read_assignment() for topic in part.topics):
    variants = [f for f in folders if f.startswith(topic.experiment) and f != topic.experiment]
    names = [topic.experiment, *variants]
    if variants or topic.experiment in folders or expected(topic, profile_dir.absolute().name):
      sections.append(Section(topic, tuple(_read_run(profile_dir / name) for name in names)))
  return sections


def _read_run(folder: Path) -> Run:
  if not folder.is_dir():
    return Run(folder.name, "missing")
  problems: list[str] = []
  provenance = _read_json(folder / "provenance.json", problems)
  published = not (folder / "config.json").exists() and read_flags(folder / "run.flags")
  config = published or _read_json(folder / "config.json", problems)
  raw_summary = _read_json(folder / "summary.json", problems)
  summary, claims = _parse_summary(raw_summary, problems) if raw_summary else (Summary(), ())
  answer = raw_summary.get("answer")
  answer = answer if isinstance(answer, str) and answer else next(iter(summary.findings), "")
  figures = read_figures(folder, summary.captions, problems)
  problems += _altered(folder, provenance.get("checksums"))
  status = provenance.get("status")
  if status not in ("running", "finished", "interrupted", "failed"):
    status = "unknown"
  if status not in ("finished", "unknown"):  # then missing files are no news
    problems = [problem for problem in problems if not problem.endswith(" is missing.")]
  return Run(folder.name, status, tuple(problems), config, provenance, summary, claims,
             answer, figures)  # fmt: skip


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


def _parse_summary(raw: dict[str, Any], problems: list[str]) -> tuple[Summary, tuple[Judged, ...]]:
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

  claims = tuple(entries("claims", list, parse_claim))
  summary = Summary(
    numbers=tuple(entries("numbers", list, _parse_number)),
    findings=tuple(entries("findings", list, lambda entry: _expect(entry, str))),
    captions=dict(entries("captions", dict, lambda item: (item[0], _expect(item[1], str)))),
    tables=dict(entries("tables", dict, _parse_table)),
  )
  return summary, claims


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


def _parse_table(item: tuple[str, Any]) -> tuple[str, list[dict[str, Any]]]:
  name, rows = item
  return name, [_expect(row, dict) for row in _expect(rows, list)]
