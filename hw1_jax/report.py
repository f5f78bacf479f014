"""The run folders of one profile -> report.html, one page that can be mailed.

    python -m hw1_jax.report results/quick

`collect` reads, `render` is pure, `build` does both and writes the page. The page loads nothing
and runs nothing: figures are inlined. What is missing or damaged in a run folder becomes a
sentence on the page, never an error.
"""

import base64
import collections
import dataclasses
import datetime
import functools
import hashlib
import json
import math
import os
import re
import struct
import sys
import tomllib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeGuard, TypeVar
from xml.etree import ElementTree

import jinja2
import numpy as np

from hw1_jax import summary as summaries
from hw1_jax.summary import Claim, Number, Summary

PAGE_BYTES = 5_000_000  # the page never gets larger: a mail attachment that every server takes
SVG_BYTES = 600_000  # of a larger SVG the PNG is shown; browsers draw 10,000 paths slowly
MAX_ROWS = (200, 50, 10)  # of a data table; the later ones only where the page gets too long
CHECKED = ("config.json", "metrics.jsonl", "result.npz", "summary.json")  # as in runs.CHECKED
TEMPLATES = Path(__file__).parent / "templates"
VERDICTS = (summaries.HOLDS, summaries.FAILS, summaries.UNDECIDED)

T = TypeVar("T")


class Topic(NamedTuple):
  """A section of the assignment, and the experiment that answers it."""

  number: str
  title: str
  experiment: str
  question: str  # what the assignment asks, in our words
  profiles: tuple[str, ...]  # the reports that have the section


class Bonus(NamedTuple):
  """A bonus question, and the experiments whose sections answer it."""

  title: str
  text: str
  experiments: tuple[str, ...]


class Part(NamedTuple):
  """A part of the assignment."""

  number: str
  title: str
  topics: tuple[Topic, ...]
  bonus: Bonus | None


def read_assignment() -> tuple[Part, ...]:
  """Returns the assignment's parts, in its order."""
  parts = tomllib.loads((TEMPLATES / "assignment.toml").read_text(encoding="utf-8"))["part"]
  return tuple(
    Part(
      part["number"],
      part["title"],
      tuple(Topic(**topic) for topic in part["topic"]),
      Bonus(**part["bonus"]) if "bonus" in part else None,
    )
    for part in parts
  )


LABELS = {
  "alpha_max": "Largest α",
  "alpha_min": "Smallest α",
  "data_dir": "Data folder",
  "dataset": "Data set",
  "fraction": "Fraction of labels drawn at random",
  "grad_tolerance": "Gradient norm to reach",
  "manual_dir": "Folder with the original data files",
  "num_epochs": "Epochs (at most)",
  "num_runs": "Independent runs",
  "retrain_epochs": "Epochs of training after the interpolation",
}


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
    caption = captions.get(stem) or _words(stem)
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


# Writing numbers


class Aligned(NamedTuple):
  """A number cut before its decimal point; `tail` takes `width` characters in its column."""

  head: str
  tail: str
  width: int


def show_number(value: float, decimals: int | None) -> str:
  """Returns `value` with so many decimals; as a power of ten for None, or where it would be 0."""
  if not math.isfinite(value):
    return "–"
  if decimals is None or (value != 0 and round(value, decimals) == 0):
    mantissa, exponent = f"{value:.2e}".split("e")
    raised = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    text = f"{mantissa} × 10{raised}"
  else:
    text = f"{value:,.{decimals}f}" if abs(value) >= 10_000 else f"{value:.{decimals}f}"
  return text.replace("-", "−")


def decimals_of(values: Iterable[float], *, of_smallest: bool = False) -> int | None:
  """Returns how many decimals show 4 digits of the largest value, None for powers of ten.

  `of_smallest`: of the smallest value but 0, and at most 6.
  """
  sizes = [abs(value) for value in values if math.isfinite(value) and value != 0]
  if all(size == int(size) for size in sizes) and max(sizes, default=0) < 1e9:
    return 0
  if max(sizes) >= 1e7 or (min(sizes) if of_smallest else max(sizes)) < 1e-5:
    return None
  digits = 3 - math.floor(math.log10(min(sizes) if of_smallest else max(sizes)))
  return min(max(digits, 0), 6 if of_smallest else 8)


def align(texts: Sequence[str]) -> list[Aligned]:
  """Returns one column, cut so that decimal points stand in line. Words stay whole."""
  number = re.compile(r"(−?[\d,]+|–)((?:\.\d+)?(?: × 10\S+)?)")
  cuts = [number.fullmatch(text) for text in texts]
  width = max((len(cut[2]) for cut in cuts if cut), default=0)
  return [
    Aligned(cut[1], cut[2], width) if cut else Aligned(text, "", 0)
    for text, cut in zip(texts, cuts)
  ]


class NumberRow(NamedTuple):
  """A row of the table "our numbers beside the reported ones"."""

  number: Number
  reported: Aligned  # empty where the report prints none
  median: Aligned
  least: Aligned  # empty, as is `most`, where only one run has a value
  most: Aligned
  runs: str  # "8", or "7 of 8" have a value


def number_rows(numbers: Sequence[Number]) -> list[NumberRow]:
  """Returns the rows of the table, numbers aligned by column."""
  texts, runs = [], []
  for number in numbers:
    finite = [value for value in number.values if math.isfinite(value)]
    shown = [float(np.median(finite)), min(finite), max(finite)] if finite else [math.nan]
    reported = _show_reported(number.reported)
    decimals = decimals_of(shown)
    if decimals is not None and re.fullmatch(rf"\S+\.\d{{{decimals + 1},}}", reported):
      decimals += 1  # the report prints more
    ours = [show_number(value, decimals) for value in shown]
    texts.append([reported, *(ours if len(finite) > 1 else [ours[0], "", ""])])
    total = len(number.values)
    runs.append(str(total) if len(finite) == total else f"{len(finite)} of {total}")
  columns = [align(column) for column in zip(*texts)]
  return [NumberRow(*row) for row in zip(numbers, *columns, runs)]


def _show_reported(reported: float | str | None) -> str:
  if reported is None or isinstance(reported, str):
    return reported or ""
  text = f"{reported:.10g}"  # as many digits as the report prints
  if "e" in text or "n" in text:
    return show_number(reported, None)
  return show_number(reported, len(text.partition(".")[2]))


def some_rows(rows: Sequence[T], max_rows: int) -> list[T]:
  """Returns at most `max_rows` of the rows, evenly spaced, the first and the last among them."""
  if len(rows) <= max_rows:
    return list(rows)
  return [rows[i] for i in np.linspace(0, len(rows) - 1, max_rows).round().astype(int)]


def table_columns(
  rows: Sequence[dict[str, Any]],
) -> tuple[list[tuple[str, bool]], list[list[str]]]:
  """Returns [(column name, it holds numbers)] and the rows as texts.

  A column of numbers has one format, so that right-aligned digits stand in line.
  """
  names = list(dict.fromkeys(name for row in rows for name in row))
  columns, texts = [], []
  for name in names:
    cells = [row.get(name) for row in rows]
    numeric = all(_is_number(cell) or cell is None for cell in cells)
    if numeric:
      values = [math.nan if cell is None else float(cell) for cell in cells]
      decimals = decimals_of(values, of_smallest=True)
      texts.append([show_number(value, decimals) for value in values])
    else:
      texts.append([show_value(cell) for cell in cells])
    columns.append((name, numeric))
  return columns, [list(row) for row in zip(*texts)]


def _is_number(value: Any) -> TypeGuard[float]:
  return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300


def show_value(value: Any, depth: int = 4) -> str:
  """Returns a setting or another JSON value as a reader writes it, nested at most `depth` deep."""
  if value is None or value == "":
    return "–"
  if isinstance(value, bool):
    return "yes" if value else "no"
  if isinstance(value, list | dict) and depth == 0:
    return "…"
  if isinstance(value, list):
    return ", ".join(show_value(entry, depth - 1) for entry in value)
  if isinstance(value, dict):
    return ", ".join(f"{key} {show_value(entry, depth - 1)}" for key, entry in value.items())
  if isinstance(value, int) and 10_000 <= abs(value) < 1e15:
    return f"{value:,}"
  return str(value) if not isinstance(value, int) or abs(value) < 1e300 else "…"


def show_seconds(seconds: float) -> str:
  """Returns a duration, '4 min 12 s'."""
  if seconds < 60:
    return f"{seconds:.1f} s"
  minutes, rest = divmod(round(seconds), 60)
  hours, minutes = divmod(minutes, 60)
  return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def _label(setting: str) -> str:
  return LABELS.get(setting) or _words(setting.replace("num_", "number of "))


def _words(name: str) -> str:
  text = name.replace("_", " ")
  return text[:1].upper() + text[1:]


# The page


def facts(provenance: dict[str, Any]) -> dict[str, str]:
  """Returns what made a run, label -> text, of whatever provenance.json holds."""
  device, data = provenance.get("device"), provenance.get("dataset")
  if isinstance(device, dict):
    count, kind, backend = (show_value(device.get(key)) for key in ("count", "kind", "backend"))
    device = f"{count} × {kind} ({backend} backend)"
  if isinstance(data, dict):
    sha256 = data.get("sha256")
    data = (
      f"{show_value(data.get('name'))}, {show_value(data.get('train_examples'))} training and"
      f" {show_value(data.get('test_examples'))} test examples"
      + (f", SHA-256 {sha256[:12]}…" if isinstance(sha256, str) else "")
    )
  started, seconds = _time(provenance.get("started")), provenance.get("seconds")
  found = {
    "Command": provenance.get("command"),
    "Started": f"{started:%Y-%m-%d %H:%M} UTC" if started else provenance.get("started"),
    "Duration": show_seconds(seconds) if _is_number(seconds) else seconds,
    "Data set": data,
    "Platform": provenance.get("platform"),
    "Processor": provenance.get("processor"),
    "Device": device,
    "Threads": provenance.get("threads"),
    "Python": provenance.get("python"),
    "Versions": provenance.get("versions"),
    "Git commit": provenance.get("git_commit"),
    "Checksums": provenance.get("checksums"),
  }
  return {label: show_value(value) for label, value in found.items() if value not in (None, "", {})}


def _time(text: Any) -> datetime.datetime | None:
  try:
    time = datetime.datetime.fromisoformat(text)
    return time.replace(tzinfo=time.tzinfo or datetime.UTC).astimezone(datetime.UTC)
  except (TypeError, ValueError, OverflowError):
    return None


def page_facts(runs: Sequence[Run]) -> list[tuple[str, list[str]]]:
  """Returns what made the page: label and the different texts that the runs give for it."""
  every = [facts(run.provenance) for run in runs]
  found = []
  for label in ("Data set", "Platform", "Processor", "Device", "Threads", "Python", "Git commit",
                "Versions"):  # fmt: skip
    texts = list(dict.fromkeys(run[label] for run in every if label in run))
    if label == "Git commit":  # 12 of the 40 digits, and "-dirty" where it stands
      texts = [re.sub("^([0-9a-f]{12})[0-9a-f]*", r"\1", text) for text in texts]
    found.append((label, texts or ["not recorded"]))
  times = [time for run in runs if (time := _time(run.provenance.get("started")))]
  dates = sorted({f"{time:%Y-%m-%d}" for time in times})
  date = " to ".join(dict.fromkeys([dates[0], dates[-1]])) if dates else "not recorded"
  total = sum(s for run in runs if _is_number(s := run.provenance.get("seconds")))
  return [("Date", [date]), ("Computing time", [show_seconds(total)]), *found]


def notice(run: Run, topic: Topic, profile: str) -> str:
  """Returns the sentence that says why results are absent or partial, '' if they are not."""
  message = run.provenance.get("message")
  reason = f": {str(message)[:500]}" if message else "; no reason was recorded."
  if run.status == "missing" and profile == "short_report" and profile not in topic.profiles:
    return "The short report has no such section, so nothing was run."
  return {
    "missing": f"This experiment has not been run: there is no folder “{run.folder}”.",
    "running": "This run had not finished when the page was made; what it had recorded is shown.",
    "interrupted": "This run was interrupted; what it had recorded is shown.",
    "failed": f"This run failed{reason}",
    "unknown": "Nothing says whether this run finished; what can be read of it is shown.",
    "finished": "",
  }[run.status]


def choose_images(figures: Sequence[Figure], budget: int) -> dict[str, Image]:
  """Returns path -> the image to inline, at most `budget` bytes (base64) of them.

  An SVG, unless it is larger than SVG_BYTES and there is a PNG. Over the budget, the largest
  SVGs give way to smaller PNGs; where that is not enough, the largest images are left out.
  """
  images = {}
  for figure in figures:
    wanted = figure.svg, figure.png
    if figure.svg and len(figure.svg.data) > SVG_BYTES:
      wanted = figure.png, figure.svg
    images[figure.path] = next(image for image in wanted if image)
  pngs = {figure.path: figure.png for figure in figures}

  def size(path: str) -> int:
    return 4 * -(-len(images[path].data) // 3)

  total = sum(map(size, images))
  for path in sorted(images, key=size, reverse=True):
    png = pngs[path]
    if total > budget and png and len(png.data) < len(images[path].data):
      total -= size(path)
      images[path] = png
      total += size(path)
  for path in sorted(images, key=size, reverse=True):
    if total > budget:
      total -= size(path)
      del images[path]
  return images


@functools.cache
def _environment() -> jinja2.Environment:
  environment = jinja2.Environment(
    loader=jinja2.FileSystemLoader(TEMPLATES),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
  )
  environment.filters.update(
    words=_words,
    label=_label,
    show=show_value,
    facts=facts,
    number_rows=number_rows,
    some_rows=some_rows,
    table_columns=table_columns,
    verdict_class=lambda verdict: verdict.replace(" ", "-"),
  )
  return environment


def render(sections: Sequence[Section], profile: str) -> str:
  """Returns the page, at most PAGE_BYTES of UTF-8 as far as figures and tables decide it."""
  runs = [run for section in sections for run in section.runs]
  context = {
    "profile": profile,
    "parts": read_assignment(),
    "sections": {section.topic.experiment: section for section in sections},
    "facts_of_page": page_facts([run for run in runs if run.provenance]),
    "verdicts": VERDICTS,
    "confidence": summaries.CONFIDENCE,
    "unanimous": next(n for n in range(1, 100) if summaries.judge([True] * n) == summaries.HOLDS),
    "notice": lambda run, topic: notice(run, topic, profile),
    "element_id": _element_id,
    "totals": collections.Counter(claim.verdict for run in runs for claim in run.summary.claims),
    "finished": sum(run.status == "finished" for run in runs),
    "num_runs": len(runs),
  }
  figures = [figure for run in runs for figure in run.figures]
  template = _environment().get_template("report.html.j2")
  empty = {figure.path: Image("svg", b"", 9999.0) for figure in figures}
  for max_rows in MAX_ROWS:
    text = template.render(context, max_rows=max_rows, images=empty)
    spare = PAGE_BYTES - len(text.encode(errors="replace"))
    if spare > PAGE_BYTES // 2:
      break
  return template.render(context, max_rows=max_rows, images=choose_images(figures, spare))


def _element_id(folder: str) -> str:
  """Returns an HTML id made from a folder name; different folders, different ids."""
  return re.sub(r"[^\w.-]", lambda match: f":{ord(match[0]):x}:", folder)


def build(profile_dir: Path) -> Path:
  """Writes report.html into the folder of a profile and returns its path. Raises OSError."""
  page = render(collect(profile_dir), profile_dir.absolute().name)
  path = profile_dir / "report.html"
  temporary = profile_dir / f".report.html.{os.getpid()}"
  try:
    temporary.write_bytes(page.encode(errors="replace"))
    os.replace(temporary, path)
  finally:
    temporary.unlink(missing_ok=True)
  return path


def main(arguments: Sequence[str]) -> int:
  if len(arguments) != 1 or arguments[0].startswith("-"):
    print("usage: python -m hw1_jax.report results/PROFILE", file=sys.stderr)
    return 2
  try:
    print(build(Path(arguments[0])))
  except OSError as error:
    name = error.filename or arguments[0]  # a failed write does not say where
    print(f"{name}: {error.strerror}; expected a folder of runs, such as results/quick, that can be"
          " written", file=sys.stderr)  # fmt: skip
    return 2
  return 0


if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))
