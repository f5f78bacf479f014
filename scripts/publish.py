"""Copies the finished runs of a profile to docs/results and writes the table of all results there.

    python scripts/publish.py long_report short_report

Copied are report.html, and for each experiment summary.json, provenance.json, run.flags, the tables
(CSV) and the figures (SVG). docs/results/README.md is written from the copied summaries alone, and
so are the parts of README.md and docs/experiments.md between their two `results` marks.
"""

import collections
import json
import math
import pathlib
import shutil
import statistics
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs" / "results"
sys.path.insert(0, str(ROOT))

from hw1_jax.report.assignment import topics  # noqa: E402 found by the line above

ORDER = tuple((topic.experiment, f"{topic.number} {topic.short}") for topic in topics())
START, END = "<!-- results: written by scripts/publish.py -->", "<!-- end of results -->"


def copy_run(source: pathlib.Path, target: pathlib.Path) -> None:
  """Replaces `target` by what is published of the run folder `source`."""
  if target.exists():
    shutil.rmtree(target)
  target.mkdir(parents=True)
  for name in ("summary.json", "provenance.json", "run.flags"):
    shutil.copy(source / name, target / name)
  for pattern in ("figures/*.svg", "tables/*.csv"):
    for path in sorted(source.glob(pattern)):
      (target / path.parent.name).mkdir(exist_ok=True)
      shutil.copy(path, target / path.parent.name / path.name)


def show(value: float | str | None) -> str:
  """Returns a number in at most four significant digits, a text as it is, a dash for None."""
  if value is None:
    return "–"
  if isinstance(value, str):
    return value
  if value == 0 or not math.isfinite(value):
    return f"{value:g}"
  if 1000 <= abs(value) < 1e7:
    return f"{value:,.0f}"
  return f"{value:.4g}"


def over_runs(values: list[float | None]) -> str:
  """Returns 'median (min to max)' of the runs that have a value, and how many have."""
  known = [value for value in values if value is not None]
  if not known:
    return "no run"
  text = show(statistics.median(known))
  if len(known) > 1:
    text += f" ({show(min(known))} to {show(max(known))})"
  return text if len(known) == len(values) else f"{text}; {len(known)} of {len(values)} runs"


def read(profile: str, name: str) -> tuple[dict, dict] | None:
  """Returns (summary, provenance) of a published run, None where there is none."""
  folder = DOCS / profile / name
  if not (folder / "summary.json").exists():
    return None
  return tuple(json.loads((folder / f).read_text()) for f in ("summary.json", "provenance.json"))


def result_tables(profile: str) -> list[str]:
  """Returns the lines of a profile's part of docs/results/README.md."""
  lines = [f"## {profile.replace('_', ' ').capitalize()}", ""]
  if (DOCS / profile / "report.html").exists():
    lines += [f"The whole page: [report.html]({profile}/report.html).", ""]
  for name, title in ORDER:
    published = read(profile, name)
    if published is None:
      continue
    summary, provenance = published
    minutes = provenance["seconds"] / 60
    lines += [f"### {title}", "", f"`{provenance['command']}`, {minutes:.1f} minutes.", ""]
    lines += ["| quantity | reported | ours: median (min to max) |", "| --- | --- | --- |"]
    for number in summary["numbers"]:
      unit = f" [{number['unit']}]" if number["unit"] else ""
      row = (number["name"] + unit, show(number["reported"]), over_runs(number["values"]))
      lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |")
    lines.append("")
    if summary["claims"]:
      lines += ["| claim | verdict | evidence |", "| --- | --- | --- |"]
      for claim in summary["claims"]:
        row = (f"{claim['id']}: {claim['text']}", f"**{claim['verdict']}**", claim["evidence"])
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |")
      lines.append("")
    lines += [f"- {finding}" for finding in summary["findings"]] + [""]
  return lines


def questions_table(profiles: list[str]) -> list[str]:
  """Returns the table of README.md: each question, its verdicts, and the figure that answers it."""
  lines = ["| | question | what the reports claim of it, judged from our runs | |",
           "| --- | --- | --- | --- |"]  # fmt: skip
  for topic in topics():
    verdicts = collections.Counter(
      claim["verdict"]
      for profile in profiles
      if profile.endswith("_report")  # a report's settings decide; variants stand in docs/results
      for claim in (read(profile, topic.experiment) or ({"claims": ()},))[0]["claims"]
    )
    counted = ", ".join(f"{count} {verdict}" for verdict, count in sorted(verdicts.items()))
    figure = f"docs/results/long_report/{topic.experiment}/figures/{topic.figure}.svg"
    link = f"[figure]({figure})" if (ROOT / figure).exists() else ""
    lines.append(f"| {topic.number} | {topic.asks} | {counted or 'nothing'} | {link} |")
  return lines


def outcomes_table(profiles: list[str]) -> list[str]:
  """Returns docs/experiments.md's table of outcomes: each experiment's claims with verdicts."""
  lines = ["| experiment | outcome |", "| --- | --- |"]
  for name, _ in ORDER:
    said = []
    for profile in profiles:
      published = read(profile, name) if profile.endswith("_report") else None
      for claim in published[0]["claims"] if published else ():
        numbers = claim["numbers"]
        counts = f"{numbers['true_in_runs']} of {numbers['runs']} runs"
        said.append(f"{claim['id']} **{claim['verdict']}** ({counts})")
    lines.append(f"| `{name}` | {'; '.join(said) or 'the reports claim nothing'} |")
  return lines


def replace_between_marks(path: pathlib.Path, lines: list[str]) -> None:
  """Writes `lines` between START and END of a document."""
  before, _, rest = path.read_text().partition(START)
  _, _, after = rest.partition(END)
  path.write_text(before + "\n\n".join((START, "\n".join(lines), END)) + after)


def main(profiles: list[str]) -> None:
  """Publishes every finished run of the named profiles, then writes the tables of all."""
  for profile in profiles:
    source = ROOT / "results" / profile
    for name, _ in ORDER:
      try:
        finished = json.loads((source / name / "provenance.json").read_text())["status"]
      except FileNotFoundError:
        continue
      if finished == "finished":
        copy_run(source / name, DOCS / profile / name)
    if (source / "report.html").exists():
      shutil.copy(source / "report.html", DOCS / profile / "report.html")
  known = [path.name for path in sorted(DOCS.iterdir()) if path.is_dir()]
  intro = [
    "# Results",
    "",
    "Written by `scripts/publish.py` from the summaries in the folders beside this file. Medians",
    "and ranges are over independent runs; how a verdict is computed stands in",
    "`hw1_jax/summary.py`. Every run has the length that its report states, none is shortened; a",
    "missing section has not been run. What a report leaves open, the section's flagfile marks as",
    "assumed.",
    "",
  ]
  body = [line for profile in known for line in result_tables(profile)]
  (DOCS / "README.md").write_text("\n".join(intro + body).rstrip() + "\n")
  replace_between_marks(ROOT / "README.md", questions_table(known))
  replace_between_marks(ROOT / "docs" / "experiments.md", outcomes_table(known))


if __name__ == "__main__":
  main(sys.argv[1:])
