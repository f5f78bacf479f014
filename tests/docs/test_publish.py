"""Publishing: finished runs to docs/results, without computing anything again."""

import json
import pathlib
import re
import shutil

import pytest
from test_readme import load_script

from experiments import gradient_norm
from hw1_jax.runs.main import main as run

MARKS = "{0}\n\nold\n\n{1}\n"


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> pathlib.Path:
  """A folder of results whose profile tiny has one finished run and one that failed."""
  folder = tmp_path_factory.mktemp("results")
  run(gradient_norm.EXPERIMENT, [
    "gradient_norm", "--flagfile=experiments/flags/tiny/gradient_norm.flags",
    f"--workdir={folder / 'tiny' / 'gradient_norm'}",
  ])  # fmt: skip
  shutil.copytree(folder / "tiny" / "gradient_norm", folder / "tiny" / "simulate_function")
  path = folder / "tiny" / "simulate_function" / "provenance.json"
  path.write_text(json.dumps({**json.loads(path.read_text()), "status": "failed"}))
  return folder


@pytest.fixture
def publish(tmp_path, monkeypatch):
  """scripts/publish.py on a copy of the documents it writes."""
  script = load_script("publish")
  (tmp_path / "docs" / "results").mkdir(parents=True)
  for name in ("README.md", "docs/experiments.md"):
    (tmp_path / name).write_text(MARKS.format(script.START, script.END))
  (tmp_path / "docs" / "verdicts.md").touch()
  monkeypatch.setattr(script, "ROOT", tmp_path)
  monkeypatch.setattr(script, "DOCS", tmp_path / "docs" / "results")
  return script


def test_a_finished_run_is_published_and_the_rest_is_said_not_to_be_run(publish, results, capsys):
  source = results / "tiny" / "gradient_norm"
  before = {path: path.stat().st_mtime_ns for path in source.rglob("*")}
  stale = publish.DOCS / "tiny" / "sensitivity"
  stale.mkdir(parents=True)
  assert publish.main(["tiny", f"--results={results}"]) == 0
  assert {path: path.stat().st_mtime_ns for path in source.rglob("*")} == before
  assert not stale.exists()
  target = publish.DOCS / "tiny" / "gradient_norm"
  assert {path.name for path in target.glob("figures/*")} == {"gradient_norm.svg",
                                                              "gradient_norm.pdf"}  # fmt: skip
  facts = json.loads((target / "provenance.json").read_text())
  assert facts["git_commit"] == json.loads((source / "provenance.json").read_text())["git_commit"]
  assert "presented_by" in facts
  said, _ = capsys.readouterr()
  assert "simulate_function is failed, so it is left out" in said
  assert "sensitivity was not run" in said
  assert re.search(r"\d MB$", said.strip())

  report, page = publish.DOCS / "tiny" / "REPORT.md", publish.DOCS / "README.md"
  text, index = report.read_text(), page.read_text()
  assert "This experiment has not been run: there is no folder “sensitivity”" in text
  assert "Not run: 1.1.1, 1.1.2, 1.2.1, 1.2.3" in index
  assert str(results) not in text + index + (target / "run.flags").read_text()
  for path, content in ((report, text), (page, index)):
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", content)
    assert links
    assert all((path.parent / link).exists() for link in links)
  headings = {re.sub(r"[^\w\- ]", "", line[3:].lower()).replace(" ", "-")
              for line in text.splitlines() if line.startswith("## ")}  # fmt: skip
  assert set(re.findall(r"\]\(#([^)]*)\)", text)) <= headings

  read = {"long_report": publish.collect(publish.DOCS / "tiny")}
  judged = [topic.experiment for topic in publish.topics() if publish.runs_of(topic, read)]
  assert judged == ["gradient_norm"]  # not what is missing, nor what a profile is not asked for


def test_a_run_that_lacks_a_setting_is_refused_not_filled_with_a_default(
  publish, results, tmp_path, capsys
):
  """Only what is marked as having come later has its default: see test_cli.py."""
  copy = shutil.copytree(results, tmp_path / "copy")
  path = copy / "tiny" / "gradient_norm" / "config.json"
  saved = json.loads(path.read_text())
  without = {name: value for name, value in saved.items() if name != "learning_rate"}
  for wrong in (without, {**saved, "gone": 1}, {**without, "gone": 1}):
    path.write_text(json.dumps(wrong))
    assert publish.main(["tiny", f"--results={copy}"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "config.json does not hold the settings of gradient_norm" in line
    assert not (publish.DOCS / "tiny").exists()


@pytest.mark.parametrize(("words", "said"), [
  (["nonsense"], "no profile 'nonsense'; expected one of long_notebook, long_report, quick"),
  (["tiny", "--results=nowhere"], "nowhere/tiny: no such folder"),
])  # fmt: skip
def test_what_cannot_be_published_is_refused_in_one_line(publish, capsys, words, said):
  assert publish.main(words) == 2
  told = capsys.readouterr().err
  assert told.startswith(said)
  assert len(told.splitlines()) == 1
  assert list(publish.DOCS.iterdir()) == []


def test_a_damaged_result_is_refused_and_what_was_published_stays(
  publish, results, capsys, tmp_path
):
  copy = shutil.copytree(results, tmp_path / "copy")
  kept = publish.DOCS / "tiny" / "gradient_norm" / "summary.json"
  kept.parent.mkdir(parents=True)
  kept.touch()
  with open(copy / "tiny" / "gradient_norm" / "result.npz", "ab") as file:
    file.write(b"x")
  assert publish.main(["tiny", f"--results={copy}"]) == 2
  assert "result.npz is damaged" in capsys.readouterr().err
  assert kept.exists()


@pytest.mark.parametrize(("text", "portable"), [
  ("python -m x --flagfile=/home/me/hw/experiments/flags/a/x.flags --workdir=/home/me/results/a/x",
   "python -m x --flagfile=experiments/flags/a/x.flags --workdir=results/a/x"),
  ("x '--manual_dir=/data/mnist' --num_runs=3", "x '--manual_dir=DIR' --num_runs=3"),
  ("x --flagfile=experiments/flags/a/x.flags", "x --flagfile=experiments/flags/a/x.flags"),
])  # fmt: skip
def test_commands_are_published_without_a_machines_folders(publish, text, portable):
  assert publish.portable(text) == portable
