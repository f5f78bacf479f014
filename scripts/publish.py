"""Copies the finished runs of some profiles to docs/results and writes all pages of results.

    python scripts/publish.py long_report long_notebook short_report [--results=FOLDER]
    python scripts/publish.py                 # the pages alone, from what is published

Nothing is computed again: summary, tables and figures are made from each run's result.npz by
the code of today, and provenance.json says which commit that is. Published are, of each run,
summary.json without its tables, provenance.json, run.flags, tables as CSV, figures as SVG and PDF.
A profile's folder is replaced as a whole: a section that was not run is not there, and the page
says so.
docs/results/README.md, every REPORT.md and the parts of README.md and docs/experiments.md between
the two `results` marks are written from the published files alone.
"""

import argparse
import collections
import dataclasses
import functools
import importlib
import pathlib
import re
import shutil
import sys

import jax

ROOT = pathlib.Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs" / "results"
sys.path.insert(0, str(ROOT))

from hw1_jax.errors import UserError  # noqa: E402 found by the line above
from hw1_jax.report import markdown, page  # noqa: E402
from hw1_jax.report.assignment import EXPERIMENTS, Topic, topics  # noqa: E402
from hw1_jax.report.reading import Run, Section, collect  # noqa: E402
from hw1_jax.runs import files, provenance  # noqa: E402
from hw1_jax.runs.folder import RunFolder, default_style  # noqa: E402
from hw1_jax.runs.main import saved_config  # noqa: E402
from hw1_jax.summary import VERDICTS  # noqa: E402

START, END = "<!-- results: written by scripts/publish.py -->", "<!-- end of results -->"
MOST_TABLE = 1_000_000  # bytes of a published table; larger ones stay in the run's folder
ORDER = ("long_report", "long_notebook", "short_report", "research", "quick")  # of the profiles
TITLES = {
  "long_report": "The long report, as printed",
  "long_notebook": "The long report, as run by its author",
  "short_report": "The short report",
  "research": "Beyond the reports",
  "quick": "The quick profile",
}


SEVERAL = {  # verdicts of several claims
  "holds": "hold",
  "does not hold": "do not hold",
  "no difference": "show no difference",
  "undecided": "undecided",
}

Read = dict[str, list[Section]]  # published profile -> its sections


# Publishing runs


def portable(text: str) -> str:
  """Returns a command, or a flagfile, without the folders of the machine it was run on.

  >>> portable("python -m x --flagfile=/home/me/hw/experiments/flags/a/x.flags --data_dir=/data")
  'python -m x --flagfile=experiments/flags/a/x.flags --data_dir=DIR'
  """
  text = re.sub(r"(?<==)/[^\s'\"]*/(experiments/flags/|results/)", r"\1", text)
  return re.sub(r"(?<==)/[^\s'\"]*", "DIR", text)


@functools.cache
def presenter() -> str | None:
  """Returns the commit that presents: as it was before the first published file changed it."""
  return provenance.environment()["git_commit"]


def publish_run(topic: Topic, source: pathlib.Path, target: pathlib.Path) -> None:
  """Writes what is published of a finished run folder; UserError where it is damaged."""
  experiment = importlib.import_module(f"experiments.{topic.experiment}").EXPERIMENT
  folder, written = RunFolder(source), RunFolder(target)
  config = saved_config(experiment, folder)
  folder.verify(("config.json", "result.npz"))
  result = files.read_result(source / "result.npz", experiment.result)
  target.mkdir(parents=True)
  with jax.enable_x64(experiment.x64), default_style():
    summary = experiment.summarize(config, result)
    written.write_figures(experiment.draw(config, result))
  written.write_tables(summary.tables)
  for path in (*target.glob("figures/*.png"), *target.glob("tables/*.csv")):
    if path.suffix == ".png" or path.stat().st_size > MOST_TABLE:
      path.unlink()
  content = {"experiment": experiment.name, **dataclasses.asdict(summary), "tables": {}}
  files.write_json(target / "summary.json", content)
  facts = folder.provenance()
  facts["command"] = portable(str(facts.get("command", "")))
  facts["presented_by"] = presenter()
  facts["checksums"] = {**facts["checksums"], **written.checksums("summary.json")}
  facts["files"] = sorted(
    str(path.relative_to(target)) for path in target.glob("*/*") if path.is_file()
  )
  files.write_json(target / "provenance.json", facts)
  flags = (source / "run.flags").read_text(encoding="utf-8")
  files.write_bytes(target / "run.flags", portable(flags).encode())


def publish_profile(source: pathlib.Path, target: pathlib.Path) -> list[str]:
  """Replaces `target` by the finished runs of `source`; returns a line for each one left out."""
  building, said = target.with_name(f".{target.name}"), []
  shutil.rmtree(building, ignore_errors=True)
  building.mkdir(parents=True)
  for section in collect(source):
    for run in section.runs:
      if run.status == "missing":
        said.append(f"{source.name}: {run.folder} was not run")
      elif run.status != "finished":
        said.append(f"{source.name}: {run.folder} is {run.status}, so it is left out")
      else:
        publish_run(section.topic, source / run.folder, building / run.folder)
  shutil.rmtree(target, ignore_errors=True)
  building.rename(target)
  return said


# The pages


def published() -> list[str]:
  """Returns the published profiles, the reports' first."""
  found = [path.name for path in DOCS.iterdir() if path.is_dir() and path.name[0] != "."]
  known = [profile for profile in ORDER if profile in found]
  return known + sorted(set(found) - set(known))


def read_published() -> Read:
  """Returns the sections of the published profiles."""
  return {profile: collect(DOCS / profile) for profile in published()}


def index(read: Read) -> str:
  """Returns docs/results/README.md: what came out, every claim in words, what made it."""
  lines = ["# Results", ""]
  lines += ["Every number, verdict and sentence here is computed from the runs, none is typed in."
            " How a verdict is computed, and how often the rule errs:"
            " [verdicts.md](../verdicts.md).", ""]  # fmt: skip
  for profile, sections in read.items():
    told = page.context(sections, profile, page.collect_counterpart(DOCS / profile))
    title = TITLES.get(profile, profile)
    lines += [f"## {title}", "", " ".join(told["lede"]), "",
              f"With figures: [{profile}/REPORT.md]({profile}/REPORT.md).", ""]  # fmt: skip
    if profile.endswith("_notebook") and "long_report" in read:
      lines += [f"Claim by claim in the table above. {told['commits']}", ""]
      continue
    table = markdown.claim_table(told, f"{profile}/REPORT.md")
    if profile == "quick":
      table = markdown.folded("All claims of these small runs", table)
    lines += table
    absent = [s.topic.number for s in sections if s.runs[0].status == "missing"]
    lines += [f"Not run: {', '.join(absent)}.", ""] if absent else []
    lines += [told["commits"], ""] if told["commits"] else []
  lines += [
    "## What is here", "",
    "One folder a profile, one folder in it an experiment: summary.json (numbers, claims,"
    " sentences), provenance.json (command, commit, machine, versions), run.flags (every setting),"
    " tables/\\*.csv, figures/\\*.svg and \\*.pdf. The page with folded data tables, for a browser:"
    " `python -m hw1_jax.report docs/results/long_report`.", "",
    "Written by `scripts/publish.py`.",
  ]  # fmt: skip
  return "\n".join(lines).rstrip() + "\n"


def runs_of(topic: Topic, read: Read) -> list[tuple[str, Run]]:
  """Returns (profile, its run) of a section, in the profiles that decide: those of the registry."""
  return [
    (profile, section.runs[0])
    for profile in topic.profiles
    for section in read.get(profile, ())
    if section.topic is topic and section.runs[0].status == "finished"
  ]


def questions_table(read: Read) -> list[str]:
  """Returns README.md's part: a picture, and each question with its verdicts and its figure."""
  lines = []
  picture = "docs/results/long_report/optimization_path/figures/paths.svg"
  if (ROOT / picture).exists():
    words = "Trainings of one network in the first two principal components of their weights"
    lines += [f"![{words}]({picture})", ""]
  lines += ["| | question | what is claimed of it, judged from our runs | |",
            "| --- | --- | --- | --- |"]  # fmt: skip
  for topic in topics():
    runs = runs_of(topic, read)
    verdicts = collections.Counter(claim.verdict for _, run in runs for claim in run.claims)
    counted = ", ".join(
      f"{verdicts[verdict]} {verdict if verdicts[verdict] == 1 else SEVERAL[verdict]}"
      for verdict in VERDICTS
      if verdicts[verdict]
    )
    link = next(
      (f"[figure]({figure})" for profile, _ in runs
       if (ROOT / (figure := f"docs/results/{profile}/{topic.experiment}/figures/"
                             f"{topic.figure}.svg")).exists()),
      "",
    )  # fmt: skip
    counted = counted or ("nothing is claimed" if runs else "not run")
    lines.append(f"| {topic.number} | {topic.asks} | {counted} | {link} |")
  return lines


def outcomes_table(read: Read) -> list[str]:
  """Returns docs/experiments.md's table of outcomes: each experiment's claims with verdicts."""
  lines = ["| experiment | outcome |", "| --- | --- |"]
  for topic in topics():
    runs = runs_of(topic, read)
    said = [f"{claim.id} **{claim.verdict}**" for _, run in runs for claim in run.claims]
    nothing = "the reports claim nothing" if runs else "not run"
    lines.append(f"| `{topic.experiment}` | {'; '.join(said) or nothing} |")
  return lines


def replace_between_marks(path: pathlib.Path, lines: list[str]) -> None:
  """Writes `lines` between START and END of a document."""
  before, _, rest = path.read_text().partition(START)
  _, _, after = rest.partition(END)
  path.write_text(before + "\n\n".join((START, "\n".join(lines), END)) + after)


def write_pages() -> None:
  """Writes all pages of results from the published files."""
  for profile in published():
    markdown.build(DOCS / profile)
  read = read_published()
  (DOCS / "README.md").write_text(index(read))
  replace_between_marks(ROOT / "README.md", questions_table(read))
  replace_between_marks(ROOT / "docs" / "experiments.md", outcomes_table(read))


def main(argv: list[str]) -> int:
  """Publishes the named profiles, then writes the pages of all; returns 0, or 2 in one line."""
  parser = argparse.ArgumentParser(prog="scripts/publish.py", allow_abbrev=False)
  parser.add_argument("profiles", nargs="*", metavar="PROFILE")
  parser.add_argument("--results", type=pathlib.Path, default=ROOT / "results",
                      help="the folder with a folder for each profile")  # fmt: skip
  parsed = parser.parse_args(argv)
  known = sorted(path.name for path in (EXPERIMENTS / "flags").iterdir() if path.is_dir())
  for profile in parsed.profiles:
    if profile not in known:
      print(f"no profile {profile!r}; expected one of {', '.join(known)}", file=sys.stderr)
      return 2
    if not (parsed.results / profile).is_dir():
      print(f"{parsed.results / profile}: no such folder; run the profile first, or name its place"
            " by --results=FOLDER", file=sys.stderr)  # fmt: skip
      return 2
  try:
    for profile in parsed.profiles:
      for line in publish_profile(parsed.results / profile, DOCS / profile):
        print(line)
  except UserError as error:
    print(error, file=sys.stderr)
    return 2
  write_pages()
  size = sum(path.stat().st_size for path in DOCS.rglob("*") if path.is_file())
  print(f"{DOCS}: {size / 1e6:.1f} MB")
  return 0


if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))
