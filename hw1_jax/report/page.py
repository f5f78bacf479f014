"""The run folders of one profile -> report.html, one page that can be mailed.

`collect` reads, `render` is pure, `build` does both and writes the page. The page loads nothing
and runs nothing: figures are inlined. What is missing or damaged in a run folder becomes a
sentence on the page, never an error. Answers stand first and unfolded; whatever only a checking
reader needs is folded.
"""

import collections
import dataclasses
import functools
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jinja2

from hw1_jax import summary as summaries
from hw1_jax.report import claims
from hw1_jax.report.assignment import Topic, read_assignment
from hw1_jax.report.facts import commits, facts, notice, page_facts
from hw1_jax.report.images import Figure, Image, choose_images
from hw1_jax.report.judged import first_sentence, sentences
from hw1_jax.report.numbers import number_rows, setting_name, some_rows, table_columns, words
from hw1_jax.report.reading import Run, Section, collect
from hw1_jax.report.settings import remarks, settings

PAGE_BYTES = 5_000_000  # the page never gets larger: a mail attachment that every server takes
MAX_ROWS = (200, 50, 10)  # of a data table; the later ones only where the page gets too long
MAX_FINDINGS = 1  # unfolded beneath a section's figures, the answer not counted
LONG_FINDING = 30  # words; so that the page says at most 6,000 unfolded
SIGNS = {summaries.HOLDS: "✓", summaries.FAILS: "✗", summaries.NO_DIFFERENCE: "="}


class Shown(NamedTuple):
  """What a run shows unfolded, and what folded."""

  answer: str
  figures: list[Figure]
  findings: list[str]
  more_figures: list[Figure]
  more_findings: list[str]
  captions: list[tuple[str, str]]  # (path, what a figure's caption says beyond its first sentence)


def shown(run: Run, topic: Topic) -> Shown:
  """Returns a run's figures and sentences, those of the report first and unfolded."""
  wanted = topic.figures or (topic.figure,)
  stems = {figure.path.split("/")[-1]: figure for figure in run.figures}
  first = [stems[stem] for stem in wanted if stem in stems] or list(run.figures[:1])
  rest = [figure for figure in run.figures if figure not in first]
  answer = sentences(run.answer)
  said_already = {run.answer, *(first_sentence(figure.caption) for figure in first)}
  findings = [t for t in run.summary.findings if t not in said_already and t not in run.answer]
  findings.sort(key=lambda text: len(text.split()) > LONG_FINDING)  # long ones are folded
  short = [text for text in findings[:MAX_FINDINGS] if len(text.split()) <= LONG_FINDING]
  more = [" ".join(answer[2:]), *findings[len(short) :]]
  captions = [
    (figure.path, said)
    for figure in [*first, *rest]
    if (said := " ".join(sentences(figure.caption)[1:]))
  ]
  return Shown(" ".join(answer[:2]), first, short, rest, list(filter(None, more)), captions)


def number_figures(sections: Sequence[Section], beside: dict[str, Run]) -> dict[str, int]:
  """Returns path -> number, in the order in which the page shows the figures."""
  found: dict[str, int] = {}
  for section in sections:
    topic = section.topic
    theirs = shown(beside[topic.experiment], topic).figures if topic.experiment in beside else []
    for run in section.runs:
      parts = shown(run, topic)
      after = theirs if run is section.runs[0] else []
      for figure in [*parts.figures, *parts.more_figures, *after]:
        found[figure.path] = len(found) + 1
  return found


def runs_beside(others: Sequence[Section], profile: str) -> dict[str, Run]:
  """Returns experiment -> its run with the author's own settings, for the page of the report."""
  if not profile.endswith("_report"):
    return {}
  return {s.topic.experiment: s.runs[0] for s in others if s.runs[0].status == "finished"}


@functools.cache
def environment() -> jinja2.Environment:
  """Returns the templates' loader with the filters they use."""
  environment = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent),
    autoescape=jinja2.select_autoescape(["html.j2"]),
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
  )
  environment.filters.update(
    words=words,
    label=setting_name,
    facts=facts,
    number_rows=number_rows,
    some_rows=some_rows,
    table_columns=table_columns,
    first_sentence=first_sentence,
    verdict_class=lambda verdict: verdict.replace(" ", "-"),
    sign=lambda verdict: SIGNS.get(verdict, "?"),
  )
  return environment


def context(
  sections: Sequence[Section], profile: str, others: Sequence[Section] = ()
) -> dict[str, Any]:
  """Returns what the templates of page and Markdown show; `others`: the counterpart's sections."""
  runs = [run for section in sections for run in section.runs]
  rows, heads = claims.rows(sections, others, profile)
  by_name = {section.topic.experiment: section for section in sections}
  beside = runs_beside(others, profile)
  parts = [part for part in read_assignment() if any(t.experiment in by_name for t in part.topics)]
  return {
    "profile": profile,
    "parts": parts,
    "sections": by_name,
    "lede": claims.lede(sections),
    "rows": rows,
    "heads": heads,
    "beside": beside,
    "facts_of_page": page_facts([run for run in runs if run.provenance]),
    "commits": commits(runs),
    "verdicts": summaries.VERDICTS,
    "confidence": summaries.CONFIDENCE,
    "unanimous": next(n for n in range(1, 100) if summaries.judge([True] * n) == summaries.HOLDS),
    "notice": notice,
    "shown": shown,
    "settings": settings,
    "remarks": remarks,
    "figure_numbers": number_figures(sections, beside),
    "element_id": element_id,
    "totals": collections.Counter(claim.verdict for run in runs for claim in run.claims),
    "finished": sum(run.status == "finished" for run in runs),
    "num_runs": len(runs),
  }


def render(sections: Sequence[Section], profile: str, others: Sequence[Section] = ()) -> str:
  """Returns the page, at most PAGE_BYTES of UTF-8 as far as figures and tables decide it."""
  told = context(sections, profile, others)
  figures = [figure for section in sections for run in section.runs for figure in run.figures]
  for section in sections:
    if other := told["beside"].get(section.topic.experiment):
      figures += shown(other, section.topic).figures
  template = environment().get_template("report.html.j2")
  empty = {figure.path: Image("svg", b"", 9999.0) for figure in figures}
  for max_rows in MAX_ROWS:
    text = template.render(told, max_rows=max_rows, images=empty)
    spare = PAGE_BYTES - len(text.encode(errors="replace"))
    if spare > PAGE_BYTES // 2:
      break
  return template.render(told, max_rows=max_rows, images=choose_images(figures, spare))


def element_id(folder: str) -> str:
  """Returns an HTML id made from a folder name; different folders, different ids."""
  return re.sub(r"[^\w.-]", lambda match: f":{ord(match[0]):x}:", folder)


def collect_counterpart(profile_dir: Path) -> list[Section]:
  """Returns the sections of the same report's other profile beside this one, none without it.

  Their figures' paths are those from this profile's folder.
  """
  folder = profile_dir.absolute()
  other = claims.counterpart(folder.name)
  if not other or not (folder.parent / other).is_dir():
    return []
  return [_from_beside(section, other) for section in collect(folder.parent / other)]


def _from_beside(section: Section, other: str) -> Section:
  runs = [
    dataclasses.replace(
      run,
      figures=tuple(dataclasses.replace(f, path=f"../{other}/{f.path}") for f in run.figures),
    )
    for run in section.runs
  ]
  return dataclasses.replace(section, runs=tuple(runs))


def build(profile_dir: Path) -> Path:
  """Writes report.html into the folder of a profile and returns its path. Raises OSError."""
  sections = collect(profile_dir)
  page = render(sections, profile_dir.absolute().name, collect_counterpart(profile_dir))
  return write_whole(profile_dir / "report.html", page.encode(errors="replace"))


def write_whole(path: Path, data: bytes) -> Path:
  """Writes a file whole or not at all and returns its path. Raises OSError."""
  temporary = path.parent / f".{path.name}.{os.getpid()}"
  try:
    temporary.write_bytes(data)
    os.replace(temporary, path)
  finally:
    temporary.unlink(missing_ok=True)
  return path
