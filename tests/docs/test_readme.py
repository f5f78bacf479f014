"""What the README says is so: its example runs, its arrays exist, its links lead somewhere."""

import importlib
import importlib.util
import json
import pathlib
import re
import subprocess
import sys

import pytest

from hw1_jax.report import markdown, page
from hw1_jax.report.assignment import topics
from hw1_jax.report.reading import collect
from hw1_jax.runs.axes import describe

ROOT = pathlib.Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
EXPERIMENTS = [topic.experiment for topic in topics()]


@pytest.mark.parametrize("document", ["README.md", "docs/library.md"])
def test_the_python_example_runs(document):
  (example,) = re.findall(r"```python\n(.*?)```", (ROOT / document).read_text(), re.DOTALL)
  done = subprocess.run(
    [sys.executable, "-c", example], cwd=ROOT, capture_output=True, text=True, check=False
  )
  assert done.returncode == 0, done.stderr[-2000:]


def load_script(name):
  """Returns scripts/NAME.py as a module."""
  spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


def test_the_arrays_in_the_docs_are_those_of_the_results():
  """docs/arrays.md is written by scripts/document.py, and stays so."""
  assert (ROOT / "docs" / "arrays.md").read_text() == load_script("document").table()


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_array_of_every_result_says_what_it_is(name):
  result = importlib.import_module(f"experiments.{name}").EXPERIMENT.result
  for field, (_, comment) in describe(result).items():
    assert comment, f"experiments/{name}/run.py: {field} has no shape and unit beside it"


def test_the_readme_is_read_in_a_minute():
  assert len(README.splitlines()) <= 90


DOCUMENTS = ("README.md", "BUILD.md", "docs/results/README.md", "docs/experiments.md",
             "docs/scaling_out.md", "docs/scaling.md", "docs/adding_an_experiment.md",
             "docs/library.md", "docs/arrays.md")  # fmt: skip
REPORTS = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("docs/results/*/REPORT.md"))


@pytest.mark.parametrize("document", [*DOCUMENTS, *REPORTS])
def test_links_lead_to_files(document):
  path = ROOT / document
  for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", path.read_text()):
    assert (path.parent / target).exists(), target


def test_the_pages_of_results_are_those_of_the_published_files():
  """All of them are written by scripts/publish.py from docs/results, and stay so."""
  publish = load_script("publish")

  def between_marks(text):
    return text.partition(publish.START)[2].partition(publish.END)[0].strip().splitlines()

  read = publish.read_published()
  assert between_marks(README) == publish.questions_table(read)
  experiments = (ROOT / "docs" / "experiments.md").read_text()
  assert between_marks(experiments) == publish.outcomes_table(read)
  assert (publish.DOCS / "README.md").read_text() == publish.index(read)
  for profile in publish.published():
    folder = publish.DOCS / profile
    others = page.collect_counterpart(folder)
    text = markdown.render(collect(folder), profile, others)
    assert (folder / "REPORT.md").read_text() == text


@pytest.mark.parametrize(
  "path", sorted(ROOT.glob("docs/results/*/*/summary.json")), ids=lambda p: p.parent.name
)
def test_published_findings_are_sentences_with_numbers(path):
  findings = json.loads(path.read_text())["findings"]
  sentences = re.findall(r"[^.].*?\.(?=\s+[A-Z0-9]|$)", " ".join(findings))
  assert 3 <= len(sentences) <= 12, sentences
  assert all(re.search(r"\d", finding) for finding in findings)


def test_the_stated_speeds_are_those_of_the_recorded_comparisons():
  tables = (ROOT / "benchmarks" / "RESULTS.md").read_text().split("\n## ")[1:]
  tables += (ROOT / "benchmarks" / "RESULTS-gpu.md").read_text().split("\n## ")[1:2]
  found = []
  for table in tables:
    ratios = [
      float(ratio) for ratio in re.findall(r"\| ([0-9.]+) \([0-9.]+ to [0-9.]+\) \|", table)
    ]
    found.append((len(ratios), *(float(f"{r:.2g}") for r in (min(ratios), max(ratios)))))
  (sentence,) = re.findall(r"On 2 cores, \[measured in turns\].*?\.(?=\n)", README, re.DOTALL)
  words = {"ten": 10, "fourteen": 14, "sixteen": 16}
  counts = [words[word] for word in re.findall(rf"\b({'|'.join(words)})\b", sentence)]
  stated = re.findall(r"([0-9.]+) to ([0-9.]+)\s+times", sentence)
  assert found == [(n, float(low), float(high)) for n, (low, high) in zip(counts, stated)]
  for name, table in zip(("Intel", "AMD", "H100"), tables, strict=True):
    assert name in table.splitlines()[0]
    assert name in sentence
