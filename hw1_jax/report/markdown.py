"""The run folders of one profile -> REPORT.md with its figures beside it, as GitHub shows it.

python -m hw1_jax.report results/quick --format=markdown
"""

import collections
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hw1_jax.report.facts import facts, notice
from hw1_jax.report.images import Figure
from hw1_jax.report.judged import first_sentence
from hw1_jax.report.numbers import number_rows
from hw1_jax.report.page import collect_counterpart, context, shown, write_whole
from hw1_jax.report.reading import Run, Section, collect
from hw1_jax.summary import VERDICTS

SMALL = (  # says so of the profile that runs in minutes
  "The quick profile takes the long report's settings with every size shrunk, on a small embedded"
  " data set. Its verdicts are about these small runs, not about the reports' full settings."
)


def cell(text: str) -> str:
  """Returns a text as a cell of a table: one line, and no bar or markup of its own."""
  plain = " ".join(text.split()).replace("\\", "\\\\").replace("|", "\\|")
  return plain.replace("<", "&lt;").replace("*", "\\*").replace("_", "\\_")


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
  """Returns the lines of a table; its cells are Markdown."""
  lines = [heads, ["---"] * len(heads), *rows]
  return ["| " + " | ".join(line) + " |" for line in lines] + [""]


def folded(title: str, lines: list[str]) -> list[str]:
  """Returns lines folded under a title."""
  return ["<details>", f"<summary>{title}</summary>", "", *lines, "</details>", ""] if lines else []


def anchor(heading: str) -> str:
  """Returns the name by which a heading is linked to on GitHub.

  >>> anchor("1.1.2 Train on actual tasks")
  '112-train-on-actual-tasks'
  """
  return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def heading(section: Section) -> str:
  return f"{section.topic.number} {section.topic.title}"


def claim_table(told: dict[str, Any], page: str = "") -> list[str]:
  """Returns the table of all claims, each with a link to its section of `page`; [] of none."""
  headings = {s.topic.number: heading(s) for s in told["sections"].values()}
  rows = [
    [f"[{row.number}]({page}#{anchor(headings[row.number])})", cell(row.claim.claimed),
     *(verdict or "not run" for verdict in row.verdicts),
     cell(row.picture.text) if row.picture else "–"]
    for row in told["rows"]
  ]  # fmt: skip
  heads = ["", "claim", *(head.lower() for head in told["heads"]),
           "effect (95 % interval)"]  # fmt: skip
  return table(heads, rows) if rows else []


def numbers(run: Run) -> list[str]:
  """Returns a run's numbers beside the reported ones, if any, as the page has them."""
  rows, found = [], number_rows(run.summary.numbers)
  told = any(row.reported.head for row in found)
  for row in found:
    unit = f" [{row.number.unit}]" if row.number.unit else ""
    parts = (*([row.reported] if told else []), row.median, row.least, row.most)
    texts = [row.number.name + unit, *(part.head + part.tail for part in parts), row.runs]
    rows.append([cell(text) for text in texts])
  heads = ["quantity", *(["reported"] if told else []), "ours, median", "least", "most", "runs"]
  return table(heads, rows) if rows else []


def judged(run: Run) -> tuple[str, list[str]]:
  """Returns how many of a run's claims came out how, and the table that says why."""
  counts = collections.Counter(claim.verdict for claim in run.claims)
  told = ", ".join(f"{verdict} {counts[verdict]}" for verdict in VERDICTS if counts[verdict])
  rows = [
    [cell(text) for text in (f"{c.id} {c.claimed}", c.reading, c.verdict, c.evidence)]
    for c in run.claims
  ]
  heads = ["claim", "our reading", "verdict", "evidence"]
  return f"How the claims were judged ({told})", table(heads, rows) if rows else []


def figure_lines(figures: Sequence[Figure], numbered: dict[str, int]) -> list[str]:
  """Returns figures with their numbers, captions and a link to the PDF where there is one."""
  lines = []
  for figure in figures:
    number, said = numbered[figure.path], cell(first_sentence(figure.caption))
    pdf = f" [PDF]({figure.path}.pdf)" if figure.pdf else ""
    lines += [f"![Figure {number}]({figure.path}.{'svg' if figure.svg else 'png'})", "",
              f"*Figure {number}. {said}*{pdf}", ""]  # fmt: skip
  return lines


def provenance(run: Run) -> list[str]:
  """Returns what made a run, and the command that repeats it."""
  known = facts(run.provenance)
  command = known.pop("Command", "")
  known.pop("Checksums", None)
  lines = [f"- {label}: {cell(text)}" for label, text in known.items()] + [""]
  return [*lines, f"`{' '.join(command.split())}`", ""] if command else lines


def beside_lines(run: Run, section: Section, numbered: dict[str, int]) -> list[str]:
  """Returns what the same section says with the author's own settings."""
  parts = shown(run, section.topic)
  where = next((f.path.rsplit("/", 3)[0] for f in run.figures), "")
  link = f"[all of it]({where}/REPORT.md#{anchor(heading(section))})" if where else ""
  return [
    f"### {section.topic.number} as run by its author", "",
    f"**{cell(parts.answer)}** {link}".rstrip(), "",
    *figure_lines(parts.figures, numbered),
  ]  # fmt: skip


def section_lines(section: Section, told: dict[str, Any]) -> list[str]:
  """Returns a section: question, answer, verdicts, figures, what the data say, and the folded."""
  topic, numbered = section.topic, told["figure_numbers"]
  lines = [f"## {heading(section)}", "", f"> {topic.asks}", ""]
  for run in section.runs:
    parts = shown(run, topic)
    if run is not section.runs[0]:
      lines += [f"### Variant: {cell(run.folder)}", ""]
    lines += [f"*{cell(said)}*\n" for said in [notice(run), *run.problems] if said]
    lines += [f"**{cell(parts.answer)}**", ""] if parts.answer else []
    lines += figure_lines(parts.figures, numbered)
    for finding in parts.findings:
      lines += [cell(finding), ""]
    lines += folded(*judged(run))
    lines += folded("Our numbers beside the reported ones", numbers(run))
    lines += folded("More figures", figure_lines(parts.more_figures, numbered))
    lines += folded("More of what the data say", [f"- {cell(f)}" for f in parts.more_findings])
    if run.provenance:
      lines += folded("What made this run, and the command to repeat it", provenance(run))
    if run is section.runs[0] and topic.experiment in told["beside"]:
      lines += beside_lines(told["beside"][topic.experiment], section, numbered)
  return lines


def render(sections: Sequence[Section], profile: str, others: Sequence[Section]) -> str:
  """Returns REPORT.md: what came out, all claims in words, the sections."""
  told = context(sections, profile, others)
  lines = ["# Deep vs. shallow, optimization, generalization", ""]
  lines += [f"Profile {profile}. {' '.join(told['lede'])}", ""]
  lines += [SMALL, ""] if profile == "quick" else []
  lines += claim_table(told)
  lines += [told["commits"], ""] if told["commits"] else []
  for each in sections:
    lines += section_lines(each, told)
  return "\n".join(lines).rstrip() + "\n"


def build(profile_dir: Path) -> Path:
  """Writes REPORT.md into the folder of a profile and returns its path. Raises OSError."""
  sections = collect(profile_dir)
  text = render(sections, profile_dir.absolute().name, collect_counterpart(profile_dir))
  return write_whole(profile_dir / "REPORT.md", text.encode(errors="replace"))
