"""What the README says is so: its example runs, its arrays exist, its links lead somewhere."""

import importlib
import importlib.util
import json
import pathlib
import re
import subprocess
import sys

import pytest

from hw1_jax.report.assignment import topics

ROOT = pathlib.Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
EXPERIMENTS = [topic.experiment for topic in topics()]


def test_the_python_example_runs():
  (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
  done = subprocess.run(
    [sys.executable, "-c", example], cwd=ROOT, capture_output=True, text=True, check=False
  )
  assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_array_of_every_result_is_named(name):
  result = importlib.import_module(f"experiments.{name}").EXPERIMENT.result
  for field in result._fields:
    assert f"| `{name}` | `{field}` |" in README or f"| `{name}` | `{field}/...` |" in README


def test_no_array_is_named_that_does_not_exist():
  for name, field in re.findall(r"^\| `(\w+)` \| `(\w+)(?:/\.\.\.)?` \|", README, re.MULTILINE):
    assert field in importlib.import_module(f"experiments.{name}").EXPERIMENT.result._fields


DOCUMENTS = ("README.md", "BUILD.md", "docs/results/README.md", "docs/experiments.md",
             "docs/scaling_out.md", "docs/scaling.md", "docs/adding_an_experiment.md")  # fmt: skip


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_to_files(document):
  path = ROOT / document
  for target in re.findall(r"\]\(([^)#]+)\)", path.read_text()):
    assert (path.parent / target).exists(), target


def test_the_numbers_are_those_of_the_published_summaries():
  """The README's claims are rewritten from docs/results by scripts/publish.py, and stay so."""
  spec = importlib.util.spec_from_file_location("publish", ROOT / "scripts" / "publish.py")
  publish = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(publish)
  _, _, rest = README.partition(publish.START)
  table, _, _ = rest.partition(publish.END)
  profiles = [path.name for path in sorted(publish.DOCS.iterdir()) if path.is_dir()]
  assert table.strip().splitlines() == publish.claims_table(profiles)
  outcomes = (ROOT / "docs" / "experiments.md").read_text().partition(publish.START)[2]
  outcomes = outcomes.partition(publish.END)[0].strip().splitlines()
  assert outcomes == publish.outcomes_table(profiles)
  body = "\n".join(line for profile in profiles for line in publish.result_tables(profile)).rstrip()
  assert (publish.DOCS / "README.md").read_text().rstrip().endswith(body)


@pytest.mark.parametrize(
  "path", sorted(ROOT.glob("docs/results/*/*/summary.json")), ids=lambda p: p.parent.name
)
def test_published_findings_are_three_to_six_sentences_with_numbers(path):
  findings = json.loads(path.read_text())["findings"]
  sentences = re.findall(r"[^.].*?\.(?=\s+[A-Z0-9]|$)", " ".join(findings))
  assert 3 <= len(sentences) <= 6, sentences
  assert all(re.search(r"\d", finding) for finding in findings)


def test_the_stated_speed_is_that_of_the_recorded_comparison():
  table = (ROOT / "benchmarks" / "RESULTS.md").read_text()
  ratios = [float(ratio) for ratio in re.findall(r"\| ([0-9.]+) \([0-9.]+ to [0-9.]+\) \|", table)]
  assert len(ratios) == 12
  (stated,) = re.findall(r"([0-9.]+) to ([0-9.]+) times faster", README)
  assert [float(number) for number in stated] == [
    float(f"{r:.2g}") for r in (min(ratios), max(ratios))
  ]
