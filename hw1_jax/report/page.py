"""The run folders of one profile -> report.html, one page that can be mailed.

    python -m hw1_jax.report results/quick

`collect` reads, `render` is pure, `build` does both and writes the page. The page loads nothing
and runs nothing: figures are inlined. What is missing or damaged in a run folder becomes a
sentence on the page, never an error.
"""

import collections
import datetime
import functools
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2

from hw1_jax import summary as summaries
from hw1_jax.report.assignment import Topic, read_assignment
from hw1_jax.report.numbers import (
  is_number,
  number_rows,
  setting_name,
  show_seconds,
  show_value,
  some_rows,
  table_columns,
  words,
)
from hw1_jax.report.reading import VERDICTS, Figure, Image, Run, Section, collect

PAGE_BYTES = 5_000_000  # the page never gets larger: a mail attachment that every server takes
SVG_BYTES = 600_000  # of a larger SVG the PNG is shown; browsers draw 10,000 paths slowly
MAX_ROWS = (200, 50, 10)  # of a data table; the later ones only where the page gets too long


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
    "Duration": show_seconds(seconds) if is_number(seconds) else seconds,
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
  total = sum(s for run in runs if is_number(s := run.provenance.get("seconds")))
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
    loader=jinja2.FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
  )
  environment.filters.update(
    words=words,
    label=setting_name,
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
