"""The run folders of one profile -> REPORT.md with its figures beside it, as GitHub shows it.

python -m hw1_jax.report results/quick --format=markdown
"""

from pathlib import Path

from hw1_jax.report.facts import notice
from hw1_jax.report.judged import first_sentence
from hw1_jax.report.numbers import number_rows
from hw1_jax.report.page import collect_counterpart, context, shown, write_whole
from hw1_jax.report.reading import Run, Section, collect


def cell(text: str) -> str:
  """Returns a text as a cell of a table: one line, and no bar or markup of its own."""
  plain = " ".join(text.split()).replace("\\", "\\\\").replace("|", "\\|")
  return plain.replace("<", "&lt;").replace("*", "\\*").replace("_", "\\_")


def table(heads: list[str], rows: list[list[str]]) -> list[str]:
  """Returns the lines of a table."""
  lines = [heads, ["---"] * len(heads), *[[cell(text) for text in row] for row in rows]]
  return ["| " + " | ".join(line) + " |" for line in lines] + [""]


def folded(title: str, lines: list[str]) -> list[str]:
  """Returns lines folded under a title."""
  return ["<details>", f"<summary>{title}</summary>", "", *lines, "</details>", ""] if lines else []


def numbers(run: Run) -> list[str]:
  """Returns a run's numbers beside the reported ones, as the page has them."""
  rows = []
  for row in number_rows(run.summary.numbers):
    unit = f" [{row.number.unit}]" if row.number.unit else ""
    parts = (row.reported, row.median, row.least, row.most)
    rows.append([row.number.name + unit, *(part.head + part.tail for part in parts), row.runs])
  heads = ["quantity", "reported", "ours, median", "least", "most", "runs"]
  return table(heads, rows) if rows else []


def section(section: Section, figures: dict[str, int]) -> list[str]:
  """Returns a section: question, answer, verdicts, figures, what the data say, and the folded."""
  topic = section.topic
  lines = [f"## {topic.number} {topic.title}", "", f"> {topic.asks}", ""]
  for run in section.runs:
    parts = shown(run, topic)
    if run is not section.runs[0]:
      lines += [f"### Variant: {cell(run.folder)}", ""]
    lines += [f"*{cell(said)}*\n" for said in [notice(run), *run.problems] if said]
    lines += [f"**{cell(parts.answer)}**", ""] if parts.answer else []
    lines += [f"- **{claim.verdict}**: {cell(claim.claimed)} ({claim.id})" for claim in run.claims]
    lines.append("")
    for figure in parts.figures:
      suffix = "svg" if figure.svg else "png"
      said = cell(first_sentence(figure.caption))
      path = f"{figure.path}.{suffix}"
      number = figures[figure.path]
      lines += [f"![Figure {number}]({path})", "", f"*Figure {number}. {said}*", ""]
    for finding in parts.findings:
      lines += [cell(finding), ""]
    judged = [[c.id, c.reading or c.claimed, c.verdict, c.evidence] for c in run.claims]
    heads = ["claim", "our reading", "verdict", "evidence"]
    lines += folded("How the claims were judged", table(heads, judged) if judged else [])
    lines += folded("Our numbers beside the reported ones", numbers(run))
    lines += folded("More of what the data say", [f"- {cell(f)}" for f in parts.more_findings])
    command = run.provenance.get("command")
    if isinstance(command, str):
      lines += folded("The command to repeat this run", [f"`{' '.join(command.split())}`", ""])
  return lines


def render(sections: list[Section], profile: str, others: list[Section]) -> str:
  """Returns REPORT.md: what came out, all claims in words, the sections."""
  told = context(sections, profile, others)
  lines = ["# Deep vs. shallow, optimization, generalization", "", " ".join(told["lede"]), ""]
  rows = [
    [row.number, row.claim.claimed, *(verdict or "–" for verdict in row.verdicts),
     row.picture.text if row.picture else "–"]
    for row in told["rows"]
  ]  # fmt: skip
  lines += table(["", "the report claims", *told["heads"], "effect and interval"], rows)
  for each in sections:
    lines += section(each, told["figure_numbers"])
  return "\n".join(lines).rstrip() + "\n"


def build(profile_dir: Path) -> Path:
  """Writes REPORT.md into the folder of a profile and returns its path. Raises OSError."""
  sections = collect(profile_dir)
  text = render(sections, profile_dir.absolute().name, collect_counterpart(profile_dir))
  return write_whole(profile_dir / "REPORT.md", text.encode(errors="replace"))
