"""Comparing two folders of runs, checking a handed-in one, and the Markdown form."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from test_report import PUBLISHED, make_files, write_run

from experiments import minimal_ratio, simulate_function
from experiments.minimal_ratio import points
from hw1_jax import data, models, pytrees
from hw1_jax.command.main import main as hw1
from hw1_jax.report import compare, logged, markdown, recomputed, verify
from hw1_jax.report.main import main
from hw1_jax.runs import weights
from hw1_jax.runs.folder import RunFolder
from hw1_jax.runs.main import main as run
from hw1_jax.summary import Number
from hw1_jax.training import evaluation


@pytest.mark.parametrize(
  ("one", "other", "verdict"),
  [
    ((1.0, 2.0, 3.0), (1.5, 2.5, 2.0), "agrees"),
    ((1.0, 1.1, 0.9), (5.0, 5.1, 4.9), "differs"),
    ((1.0, 1.0), (2.0, 2.0), "differs"),
    ((1.0, 1.0), (1.0, 1.0), "agrees"),
    ((7.0,), (7.0,), "agrees"),
    ((7.0,), (8.0,), "cannot say"),
    ((float("nan"),), (float("nan"),), "agrees"),
    ((float("nan"), 1.0), (float("nan"), float("nan")), "cannot say"),
  ],
)
def test_numbers_differ_by_more_than_their_spread(one, other, verdict):
  assert compare.compare_numbers(Number("n", one), Number("n", other)) == verdict


def test_equal_distributions_seldom_differ():
  rng = np.random.default_rng(0)
  pairs = rng.normal(size=(1000, 2, 5))
  found = [compare.compare_numbers(Number("", tuple(a)), Number("", tuple(b))) for a, b in pairs]
  assert 0 < found.count("differs") <= 25  # 1 % of 1000 is 10, five standard deviations above: 25


def test_two_folders_side_by_side(tmp_path, capsys):
  write_run(tmp_path / "one" / "gradient_norm")
  files = make_files()
  files["summary.json"]["claims"][1]["verdict"] = "holds"
  files["summary.json"]["numbers"][0]["values"] = [10, 10.5, 11]
  write_run(tmp_path / "other" / "gradient_norm", files)
  assert main([str(tmp_path / "one"), str(tmp_path / "other")]) == 0
  told = capsys.readouterr().out
  assert "10 numbers and verdicts: 2 differ by more than their spread, 8 agree" in told
  assert f"differs: L-1b: {tmp_path / 'one'} does not hold; {tmp_path / 'other'} holds" in told
  assert re.search(r"differs: epoch of convergence: .* 1,832 ± 60 epochs \(3 runs\)", told)
  assert main([str(tmp_path / "one"), str(tmp_path / "nowhere")]) == 2


@pytest.fixture(scope="module")
def handed_in(tmp_path_factory) -> Path:
  """A folder named like no profile, with one small finished run."""
  folder = tmp_path_factory.mktemp("verify") / "mine"
  run(simulate_function.EXPERIMENT, [
    "simulate_function", "--flagfile=experiments/flags/tiny/simulate_function.flags",
    f"--workdir={folder / 'simulate_function'}",
  ])  # fmt: skip
  return folder


def outcomes(folder: Path) -> dict[str, list[str]]:
  found: dict[str, list[str]] = {}
  for check in verify.verify(folder):
    found.setdefault(check.outcome, []).append(check.what)
  return found


def test_a_folder_as_it_was_written_agrees(handed_in):
  found = outcomes(handed_in)
  assert verify.DISAGREES not in found, found[verify.DISAGREES]
  agreed = " ".join(found[verify.AGREES])
  for text in ("result.npz: SHA-256", "numbers of summary.json", "claims of summary.json",
               "predictions of the saved weights"):  # fmt: skip
    assert text in agreed
  assert any("training itself" in what for what in found[verify.UNCHECKED])


def test_a_number_typed_in_disagrees(handed_in, tmp_path, capsys):
  folder = shutil.copytree(handed_in, tmp_path / "mine")
  path = folder / "simulate_function" / "summary.json"
  summary = json.loads(path.read_text())
  summary["numbers"][1]["values"][0] = 1e-9
  path.write_text(json.dumps(summary))
  wrong = outcomes(folder)[verify.DISAGREES]
  assert [what.split(",")[0].split(":")[0] for what in wrong] == [
    "summary.json", "numbers of summary.json"
  ]  # fmt: skip
  assert main([str(folder), "--verify"]) == 1
  assert "2 DISAGREES" in capsys.readouterr().out.splitlines()[-1]


def test_other_weights_disagree(handed_in, tmp_path):
  folder = shutil.copytree(handed_in, tmp_path / "mine")
  path = folder / "simulate_function" / "result.npz"
  with np.load(path) as file:
    arrays = dict(file)
  key = next(name for name in arrays if name.startswith("final_params/"))
  arrays[key] = arrays[key] + 0.01
  np.savez_compressed(path, **arrays)
  wrong = " ".join(outcomes(folder)[verify.DISAGREES])
  assert "predictions of the saved weights, largest difference" in wrong
  assert "result.npz: SHA-256" in wrong


def test_curves_that_end_elsewhere_than_the_log_disagree(handed_in, tmp_path):
  assert re.search(r"last points of [1-9]\d* curves", " ".join(outcomes(handed_in)[verify.AGREES]))
  folder = shutil.copytree(handed_in, tmp_path / "mine")
  path = folder / "simulate_function" / "metrics.jsonl"
  lines = path.read_text().splitlines()
  record = json.loads(lines[-1])
  record["loss"][0] *= 1.01
  path.write_text("\n".join([*lines[:-1], json.dumps(record)]) + "\n")
  wrong = " ".join(outcomes(folder)[verify.DISAGREES])
  assert f"last point of the curve {record['phase']}: loss" in wrong


A, B = [0.1, 0.2, 0.3], [0.4, 0.5, 0.6]
ROWS = np.array([A, B]).T  # [M, 2]
LOGGED = {
  "minimal_ratio": (
    SimpleNamespace(training_loss=np.stack([B, A], axis=1)), {"train": {"loss": A}},
  ),
  "interpolation": (
    SimpleNamespace(ends={"batch/test_loss": ROWS, "batch_independent/test_loss": ROWS[:, ::-1]}),
    {"batch 2": {"test_loss": B}, "batch 2, own start": {"test_loss": A}},
  ),
  "sensitivity": (
    SimpleNamespace(equal_epochs={"test_loss": ROWS}, equal_steps={"test_loss": ROWS[:, ::-1]}),
    {"batch 10": {"test_loss": A}, "batch 10, 120 steps": {"test_loss": B},
     "batch 60": {"test_loss": B}},
  ),
  "connectivity": (
    SimpleNamespace(between={"straight/test_loss": ROWS},
                    parted={"test_loss": np.stack([ROWS, ROWS[:, ::-1]], axis=1)}),
    {"a": {"test_loss": A}, "b": {"test_loss": B}, "c after 0": {"test_loss": A},
     "c after 3": {"test_loss": B}, "d after 3": {"test_loss": A}},
  ),
  "label_noise": (
    SimpleNamespace(train_loss=np.array([[[9, 1], [9, 2]], [[9, 3], [9, 4]]]),
                    test_error=np.array([[[9, 0.1], [9, 0.2]], [[9, 0.3], [9, 0.4]]])),
    {"fractions": {"exact_train_loss": [1, 2, 3, 4], "test_accuracy": [0.9, 0.8, 0.7, 0.6]}},
  ),
}  # fmt: skip


@pytest.mark.parametrize("experiment", LOGGED)
def test_the_log_is_compared_with_the_arrays_that_hold_the_same(experiment):
  result, records = LOGGED[experiment]
  found = logged.last_values(experiment, result, records)
  assert len(found) == sum(map(len, records.values()))
  assert all(np.allclose(told, array) for _, told, array in found), found
  assert logged.last_values("random_labels", result, records) == []
  assert logged.last_values(experiment, SimpleNamespace(), records) == []


def test_a_summary_of_before_resolution_and_equality_were_held_agrees(handed_in, tmp_path):
  folder = shutil.copytree(handed_in, tmp_path / "mine")
  path = folder / "simulate_function" / "summary.json"
  summary = json.loads(path.read_text())
  for claim in summary["claims"]:
    assert {claim.pop("resolution"), claim.pop("equality")} <= {0.0, True}
  path.write_text(json.dumps(summary))
  assert outcomes(folder)[verify.DISAGREES] == ["summary.json: SHA-256 as in provenance.json"]
  summary["claims"][0]["equality"] = "typed in"
  path.write_text(json.dumps(summary))
  assert len(outcomes(folder)[verify.DISAGREES]) == 2


IMAGES = SimpleNamespace(
  dataset="digits", train_examples=None, test_examples=50, activation="relu",
  architectures=("2k3p/4", "3k3p/5d-6"),
)  # fmt: skip


def write_network(folder: Path, model) -> dict:
  """Writes weights.npz and metrics.jsonl of two runs of a network; returns the record."""
  images = data.subset(data.load_images("digits"), None, IMAGES.test_examples)
  keys = jax.random.split(jax.random.key(0), 2)
  params = jax.vmap(lambda key: models.init(model, key, (1, 28, 28, 1)))(keys)
  measure = jax.jit(evaluation.make_evaluate(model))
  sets = images.test_images, images.test_labels
  found = [measure(*sets, pytrees.member(params, m)) for m in range(2)]
  record = {"phase": "net", "test_loss": [float(f["loss"]) for f in found],
            "test_accuracy": [float(f["accuracy"]) for f in found]}  # fmt: skip
  folder.mkdir()
  weights.write_weights(folder / weights.FILE, {"net": (params, (28, 28, 1))})
  (folder / "metrics.jsonl").write_text(json.dumps(record) + "\n")
  return record


@pytest.mark.parametrize("network", [
  models.MLP((7, 10)),
  pytest.param(models.make_cnn("3k3p/5d-6", 10, (28, 28, 1)), marks=pytest.mark.slow),
], ids=["mlp", "cnn"])  # fmt: skip
def test_the_test_loss_is_that_of_the_saved_weights(tmp_path, network):
  record = write_network(tmp_path / "net", network)
  folder = RunFolder(tmp_path / "net")
  (line,) = recomputed.verify_image_weights(folder, IMAGES, "")
  assert line[0] == verify.AGREES
  assert "2 of 2 runs" in line[1]
  record["test_loss"][1] += 0.01
  (folder.path / "metrics.jsonl").write_text(json.dumps(record) + "\n")
  (line,) = recomputed.verify_image_weights(folder, IMAGES, "")
  assert line[0] == verify.DISAGREES


def test_images_that_are_not_here_are_not_fetched_for_a_check(tmp_path, monkeypatch):
  monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
  write_network(tmp_path / "net", models.MLP((7, 10)))
  config = SimpleNamespace(**{**vars(IMAGES), "dataset": "mnist"})
  (line,) = recomputed.verify_image_weights(RunFolder(tmp_path / "net"), config, "x --seed=0")
  assert line == (verify.UNCHECKED, "losses at the saved weights: the files of mnist are not on "
                  "this machine")  # fmt: skip


def test_a_hessian_of_other_weights_disagrees():
  config = minimal_ratio.EXPERIMENT.config(widths="4", num_points=20)
  with jax.enable_x64(True):
    problem = points.make_problem(config, config.widths)
    theta, held = np.random.default_rng(0).normal(size=(1, 13)), np.full((1, 4), -1)
    look = points.make_look(problem)((theta[0], held[0]))
    loss = np.array([float(problem.loss(theta[0]))])
    result = SimpleNamespace(params=theta, held=held, loss=loss,
                             eigenvalues=look["eigenvalues"][None])  # fmt: skip
    same = list(recomputed.verify_spectra(config, result, points))
    result.params = 1.1 * theta
    other = list(recomputed.verify_spectra(config, result, points))
  assert [line[0] for line in same] == [verify.AGREES] * 2
  assert [line[0] for line in other] == [verify.DISAGREES] * 2


def test_a_reader_who_has_gone_changes_no_exit_code(tmp_path):
  files = make_files()
  files["provenance.json"]["status"] = "failed"
  write_run(tmp_path / "one" / "gradient_norm", files)
  for words, code in (([], 0), (["--verify"], 1)):  # a run that failed disagrees
    done = subprocess.run(
      f"{sys.executable} -m hw1_jax.report {tmp_path / 'one'} {' '.join(words)} | true; "
      "echo ${PIPESTATUS[0]}",
      shell=True, executable="/bin/bash", capture_output=True, text=True, check=False,
      env={**os.environ, "JAX_PLATFORMS": "cpu"},
    )  # fmt: skip
    assert done.stdout.strip() == str(code)
    assert done.stderr == ""


def test_markdown_answers_first_with_its_figures_beside_it(tmp_path, capsys):
  shutil.copytree(PUBLISHED / "long_report", tmp_path / "long_report")
  assert main([str(tmp_path / "long_report"), "--format=markdown"]) == 0
  path = Path(capsys.readouterr().out.strip())
  assert path == tmp_path / "long_report" / "REPORT.md"
  text = path.read_text()
  assert text.index("claims judged") < text.index("| claim |") < text.index("## 1.1.1")
  images = re.findall(r"!\[[^\]]*\]\(([^)]*)\)", text)
  assert len(images) >= 9
  assert all((path.parent / image).is_file() for image in images)
  rows = [line for line in text.splitlines() if line.startswith("|")]
  assert all(line.endswith("|") for line in rows)
  assert text.count("<details>") == text.count("</details>") > 9


def test_markup_in_a_cell_stays_text():
  assert markdown.cell("a|b\n*c* <b> d_e") == r"a\|b \*c\* &lt;b> d\_e"


def test_hw1_verifies_a_folder_of_runs_and_a_single_run(handed_in, capsys):
  assert hw1(["verify", str(handed_in)]) == 0
  whole = capsys.readouterr().out
  assert hw1(["verify", str(handed_in / "simulate_function")]) == 0
  assert capsys.readouterr().out == whole
  assert "simulate_function: agrees: result.npz: SHA-256 as in provenance.json" in whole


def test_a_single_run_has_a_page_wherever_its_folder_is(handed_in, tmp_path, capsys):
  shutil.copytree(handed_in / "simulate_function", tmp_path / "fit")
  assert hw1(["report", str(tmp_path / "fit")]) == 0
  assert capsys.readouterr().out == f"{tmp_path / 'fit' / 'report.html'}\n"
  page = (tmp_path / "fit" / "report.html").read_text()
  assert 'id="simulate_function"' in page
  assert not re.search(r'src="(?!data:)', page)  # it holds its figures


@pytest.mark.parametrize(("reported", "columns"), [(None, 5), (0.25, 6)])
def test_a_column_of_reported_numbers_stands_where_there_are_any(reported, columns):
  numbers = (Number("loss", (1.0, 2.0)), Number("ratio", (0.5, 0.75), "", reported))
  heads = markdown.numbers(SimpleNamespace(summary=SimpleNamespace(numbers=numbers)))[0]
  assert heads.count("|") == columns + 1
  assert ("reported" in heads) == (reported is not None)
