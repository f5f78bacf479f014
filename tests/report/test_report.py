"""The report page, made from made-up run folders: whole, missing, failed and damaged ones."""

import base64
import collections
import copy
import dataclasses
import html.parser
import itertools
import json
import math
import os
import re
import shutil
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hw1_jax import summary
from hw1_jax.report import judged
from hw1_jax.report.facts import page_facts
from hw1_jax.report.images import Figure, Image, choose_images
from hw1_jax.report.numbers import (
  decimals_of,
  number_rows,
  show_number,
  show_seconds,
  some_rows,
  table_columns,
)
from hw1_jax.report.page import PAGE_BYTES, build
from hw1_jax.report.reading import collect
from hw1_jax.summary import Number

EXPERIMENTS = (
  "simulate_function",
  "train_on_task",
  "optimization_path",
  "gradient_norm",
  "minimal_ratio",
  "random_labels",
  "parameter_count",
  "interpolation",
  "sensitivity",
  "error_surface",
  "hessian_spectrum",
  "flatness",
  "connectivity",
  "label_noise",
  "double_descent",
)
VOID_TAGS = {"meta", "link", "img", "br", "hr", "input"}


def make_svg(width: float = 460.8, size: int = 0) -> bytes:
  """Returns a small SVG, padded to at least `size` bytes."""
  return (
    f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}pt" height="240pt"'
    f' viewBox="0 0 {width} 240"><path d="M0 200 L 200 20" stroke="black"/>'
    f"<!--{'x' * size}--></svg>"
  ).encode()


def make_png(width: int = 1280, size: int = 0) -> bytes:
  """Returns a one-row grey PNG of 200 dpi, padded to at least `size` bytes."""

  def chunk(kind: bytes, data: bytes) -> bytes:
    body = kind + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

  return (
    b"\x89PNG\r\n\x1a\n"
    + chunk(b"IHDR", struct.pack(">IIBBBBB", width, 1, 8, 0, 0, 0, 0))
    + chunk(b"pHYs", struct.pack(">IIB", 7874, 7874, 1))
    + chunk(b"tEXt", b"padding\0" + b"x" * size)
    + chunk(b"IDAT", zlib.compress(bytes(1 + width)))
    + chunk(b"IEND", b"")
  )


def make_files(experiment: str = "gradient_norm") -> dict[str, dict]:
  """Returns what the JSON files of a finished run hold."""
  claims = [
    ("L-1a", "The norm falls.", "holds", "True in 3 of 3 runs. It falls to 0.0039."),
    ("L-1b", "The norm rises.", "does not hold", "True in 0 of 3 runs. It never rises."),
    ("S-1", "The norm waits.", "undecided", "True in 1 of 3 runs. It waits in one."),
  ]
  numbers = [
    ("epoch of convergence", [1790, 1805.5, 1900], "epochs", 1800, ""),
    ("last gradient norm", [0.0057, 0.0061, 0.0049], "", 0.005702, ""),
    ("convergence, deep model", [None, None, None], "epochs", "not by 25,000", "none did"),
    ("number of parameters", [397510], "", 397510, ""),
    ("largest eigenvalue", [12.5, None, 13.25], "", None, ""),
    ("test accuracy", [95.581, 95.603], "%", 95.585, ""),
    ("gradient norm reached", [1e-12, 3e-13, -4e-12], "", 0.0009995186, ""),
  ]
  keys = ("name", "values", "unit", "reported", "note")
  return {
    "config.json": {
      "seed": 0, "num_runs": 3, "num_epochs": 25000, "learning_rate": 1e-05, "dataset": "digits",
      "widths": [50, 100], "activation": "relu", "manual_dir": None, "retrain": False,
    },
    "provenance.json": {
      "experiment": experiment, "status": "finished", "message": None,
      "command": f"python -m experiments.{experiment} --seed=0",
      "started": "2025-11-22T14:36:00+00:00", "seconds": 252.4,
      "versions": {"jax": "0.10.2", "numpy": "2.3.4"}, "python": "3.11.9",
      "platform": "Linux-6.1-x86_64", "processor": "Xeon",
      "device": {"backend": "cpu", "kind": "cpu", "count": 1},
      "threads": 2, "git_commit": "0123456789abcdef-dirty",
      "dataset": {"name": "digits", "sha256": "ab" * 32, "train_examples": 1500,
                  "test_examples": 297},
      "checksums": {"result.npz": "cd" * 32},
    },
    "summary.json": {
      "experiment": experiment,
      "numbers": [dict(zip(keys, number)) for number in numbers],
      "claims": [
        {"id": id, "text": text, "verdict": verdict, "evidence": evidence,
         "numbers": {"runs": 3, "true_in_runs": int(evidence[8])}}
        for id, text, verdict, evidence in claims
      ],
      "findings": ["The loss falls by a factor of 50 & more.", "The norm follows it."],
      "captions": {"norm_and_loss": f"Norm and loss of {experiment}: both fall, α > 0."},
      "tables": {"curve": [{"epoch": i, "loss": 2.5 / (i + 1), "model": "deep",
                            "converged": None if i else True} for i in range(3)]},
    },
  }  # fmt: skip


def write_run(folder: Path, files: dict[str, dict] | None = None) -> Path:
  """Writes a whole run folder."""
  (folder / "figures").mkdir(parents=True)
  for name, value in (files or make_files(folder.name)).items():
    (folder / name).write_text(json.dumps(value))
  (folder / "figures" / "norm_and_loss.svg").write_bytes(make_svg())
  (folder / "figures" / "norm_and_loss.png").write_bytes(make_png())
  return folder


def write_profile(profile: Path) -> Path:
  """Writes a profile in which one run of each kind is missing, failed or damaged."""
  for experiment in (*EXPERIMENTS, "interpolation_retrained", "parameter_count_cnn"):
    write_run(profile / experiment)
  files = make_files("minimal_ratio")
  files["provenance.json"] |= {"status": "failed", "message": "epoch 7: the loss is NaN"}
  del files["summary.json"]
  (profile / "minimal_ratio" / "summary.json").unlink()
  for name, value in files.items():
    (profile / "minimal_ratio" / name).write_text(json.dumps(value))
  (profile / "random_labels" / "summary.json").write_text('{"numbers": [')
  for path in sorted((profile / "sensitivity").rglob("*"), reverse=True):
    path.rmdir() if path.is_dir() else path.unlink()
  (profile / "sensitivity").rmdir()
  return profile


class Page(html.parser.HTMLParser):
  """A page taken apart; raises where tags are not nested."""

  def __init__(self, text: str):
    super().__init__(convert_charrefs=True)
    self.open: list[str] = []
    self.tags: list[tuple[str, dict]] = []
    self.text: list[tuple[str, str]] = []  # (innermost tag, text)
    self.folded: list[str] = []  # texts of closed details, their summaries left out
    self.feed(text)
    self.close()
    assert self.open == [], f"never closed: {self.open}"

  def handle_starttag(self, tag, attributes):
    self.tags.append((tag, dict(attributes)))
    if tag not in VOID_TAGS:
      self.open.append(tag)

  def handle_endtag(self, tag):
    assert self.open, f"</{tag}> closes nothing"
    assert self.open.pop() == tag, f"</{tag}> closes another tag, line {self.getpos()[0]}"

  def handle_data(self, data):
    if data.strip():
      self.text.append((self.open[-1] if self.open else "", " ".join(data.split())))
      if "details" in self.open and "summary" not in self.open[self.open.index("details") :]:
        self.folded.append(self.text[-1][1])

  def all(self, tag: str) -> list[dict]:
    return [attributes for name, attributes in self.tags if name == tag]

  @property
  def words(self) -> str:
    return " ".join(text for tag, text in self.text if tag != "style")


@pytest.fixture
def profile(tmp_path: Path) -> Path:
  return write_profile(tmp_path / "quick")


def page_of(profile: Path) -> Page:
  return Page(build(profile).read_text(encoding="utf-8"))


def test_page_is_well_formed_and_self_contained(profile):
  path = build(profile)
  text = path.read_text(encoding="utf-8")
  page = Page(text)
  assert path == profile / "report.html"
  assert "<script" not in text
  assert "http://" not in text
  assert "https://" not in text
  assert len(page.all("img")) == len(EXPERIMENTS) + 1
  assert all(image["src"].startswith("data:image/") for image in page.all("img"))
  assert all(image["alt"] for image in page.all("img"))
  assert not [
    attributes for _, attributes in page.tags if any(k.startswith("on") for k in attributes)
  ]
  assert all(link["href"].startswith("data:") for link in page.all("link"))
  assert "url(" not in text
  assert page.all("html") == [{"lang": "en"}]


def test_links_stay_on_the_page_and_ids_are_unique(profile):
  page = page_of(profile)
  ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
  assert len(ids) == len(set(ids))
  assert {link["href"] for link in page.all("a")} <= {f"#{id}" for id in ids}
  labels = [attributes["aria-label"] for _, attributes in page.tags if "aria-label" in attributes]
  assert len(labels) == len(set(labels))


def test_sections_stand_in_the_order_of_the_assignment(profile):
  page = page_of(profile)
  headings = [heading["id"] for heading in page.all("h3") if heading["id"] in EXPERIMENTS]
  assert tuple(headings) == EXPERIMENTS
  numbers = ["1.1.1", "1.1.2", "1.2.1", "1.2.2", "1.2.3", "1.3.1", "1.3.2", "1.3.3", "1.3.4",
             "2.1", "2.2", "2.3", "2.4", "2.5", "2.6"]  # fmt: skip
  assert [section.topic.number for section in collect(profile)] == numbers
  levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
  assert levels[0] == 1
  assert levels.count(1) == 1
  assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


def test_variants_stand_beneath_their_section(profile):
  sections = {section.topic.experiment: section for section in collect(profile)}
  found = {name: [run.folder for run in section.runs] for name, section in sections.items()}
  assert found["interpolation"] == ["interpolation", "interpolation_retrained"]
  assert found["parameter_count"] == ["parameter_count", "parameter_count_cnn"]
  assert found["simulate_function"] == ["simulate_function"]
  assert "Variant: Retrained" in page_of(profile).words


def test_a_whole_section_shows_everything(tmp_path):
  write_run(tmp_path / "quick" / "gradient_norm")
  words = page_of(tmp_path / "quick").words
  for text in (
    "How do the norm of the gradient and the loss change together?",
    "How do the gradient norm and the loss fall together?",
    "Epochs (at most) num_epochs 25,000", "Learning rate learning_rate 1e-05",
    "Widths widths 50, 100", "Folder with the original data files manual_dir –",
    "Figure 1. Norm and loss of gradient_norm: both fall, α > 0.",
    "3 claims, and how each was judged: ✓ holds ✗ does not hold ? undecided",
    "✓ holds L-1a The norm falls. True in 3 of 3 runs. It falls to 0.0039.",
    "✗ does not hold L-1b The norm rises.", "? undecided S-1 The norm waits.",
    "The loss falls by a factor of 50 & more.",
    "Data: Curve (3 rows, tables/curve.csv )",
    "python -m experiments.gradient_norm --seed=0",
    "Data set digits, 1500 training and 297 test examples, SHA-256 abababababab…",
    "Device 1 × cpu (cpu backend)", "Processor Xeon", "Threads 2",
    "Versions jax 0.10.2, numpy 2.3.4",
    "Date 2025-11-22", "Computing time 4 min 12 s", "Git commit 0123456789ab-dirty",
    "not by 25,000",
  ):  # fmt: skip
    assert text in words


def test_verdicts_are_counted(profile):
  page = page_of(profile)
  # Every folder but one has 3 claims (there is one variant more, and the failed and the damaged run
  # have none); the damaged one did finish.
  each = len(EXPERIMENTS) - 1
  told = f"{3 * each} claims judged: holds {each}, does not hold {each}, undecided {each}."
  assert f"{told} {len(EXPERIMENTS)} of {len(EXPERIMENTS) + 2}" in page.words
  told = f"{each} hold, {each} do not hold and {each} stay undecided."
  assert f"Of {3 * each} claims judged, {told}" in page.words
  # each in the table of all, in the line that counts its section's, and folded with its evidence
  assert page.words.count("✓ holds") == 3 * each
  text = page.words
  assert "1.2.2 The norm falls. L-1a ✓ holds true in 3 of 3 runs 1.2.2 The norm rises." in text
  assert "read off the 95 % interval" in page.words
  assert "at least 6 runs that agree" in page.words


def test_verdict_rule_is_the_one_of_the_summaries(profile, monkeypatch):
  monkeypatch.setattr(summary, "CONFIDENCE", 0.9)
  monkeypatch.setattr(summary, "judge", lambda runs: "holds" if len(runs) >= 4 else "undecided")
  words = page_of(profile).words
  assert "read off the 90 % interval" in words
  assert "at least 4 runs that agree" in words


def test_missing_failed_and_damaged_runs_say_so(profile):
  words = page_of(profile).words
  assert "This run failed: epoch 7: the loss is NaN" in words
  assert "has not been run: there is no folder “sensitivity”" in words
  assert "summary.json is damaged: it is not JSON." in words
  assert words.count("is missing.") == 0  # a failed run's missing files are no news


@pytest.mark.parametrize(
  ("status", "said"),
  [
    ("running", "had not finished"),
    ("interrupted", "was interrupted"),
    ("failed", "This run failed; no reason was recorded."),
    ("splendid", "Nothing says whether this run finished"),
    (None, "Nothing says whether this run finished"),
    (["finished"], "Nothing says whether this run finished"),
  ],
)
def test_a_run_that_did_not_finish_says_so(tmp_path, status, said):
  files = make_files()
  files["provenance.json"]["status"] = status
  write_run(tmp_path / "quick" / "gradient_norm", files)
  assert said in page_of(tmp_path / "quick").words


def test_sections_that_a_report_does_not_have_are_not_shown(tmp_path):
  write_run(tmp_path / "short_report" / "gradient_norm")
  page = page_of(tmp_path / "short_report")
  shown = [h["id"] for h in page.all("h3") if h["id"] in EXPERIMENTS]
  assert shown == [
    name for name in EXPERIMENTS
    if name not in ("interpolation", "sensitivity", *EXPERIMENTS[9:])
  ]  # fmt: skip
  assert page.words.count("This experiment has not been run") == 6
  write_run(tmp_path / "short_report" / "sensitivity")  # run all the same: shown
  shown = [h["id"] for h in page_of(tmp_path / "short_report").all("h3")]
  assert "sensitivity" in shown
  assert "interpolation" not in shown


def test_answers_stand_first_and_the_rest_is_folded(tmp_path):
  files = make_files()
  files["summary.json"]["captions"] = {"norm_and_loss": "Both fall. The norm by 0.5, see there."}
  files["summary.json"]["findings"] = [f"Finding {i}. It is 0.{i}5 long." for i in range(6)]
  files["summary.json"]["claims"][0]["text"] = "The norm falls (our reading: at the end)."
  write_run(tmp_path / "quick" / "gradient_norm", files)
  page = page_of(tmp_path / "quick")
  visible = [text for _, text in page.text if text not in page.folded]
  at = visible.index("How do the gradient norm and the loss fall together?")
  answer = visible.index("Finding 0. It is 0.05 long.")
  caption = visible.index("Both fall.")
  assert at < answer < caption < visible.index("Finding 1. It is 0.15 long.")
  assert "Finding 2. It is 0.25 long." not in visible
  for text in ("Finding 4. It is 0.45 long.", "The norm by 0.5, see there.",
               "Our reading: at the end", "True in 3 of 3 runs. It falls to 0.0039.",
               "python -m experiments.gradient_norm --seed=0", "Learning rate"):  # fmt: skip
    assert text in page.folded, text
    assert text not in visible
  # twice: in the table of all, and folded in its section with its evidence
  assert [text for _, text in page.text].count("The norm falls.") == 2
  assert page.folded.count("The norm falls.") == 1


def test_an_answer_of_the_summary_comes_before_its_findings(tmp_path):
  files = make_files()
  files["summary.json"]["answer"] = "They fall together. By half. No more."
  write_run(tmp_path / "quick" / "gradient_norm", files)
  words = page_of(tmp_path / "quick").words
  answer = words.index("They fall together. By half. Figure 1.")
  assert answer < words.index("The loss falls by a factor of 50")
  assert "No more." in page_of(tmp_path / "quick").folded


def test_settings_that_differ_from_the_reports_stand_first(tmp_path):
  files = make_files()
  files["config.json"] = {"seed": 3, "widths": "500", "num_epochs": 100, "report": "long",
                          "learning_rate": 0.001, "weight_decay": 1e-4, "num_runs": 2}  # fmt: skip
  write_run(tmp_path / "quick" / "gradient_norm", files)
  words = page_of(tmp_path / "quick").words
  assert "Epochs (at most) num_epochs 100 2500 Independent runs num_runs 2 100 Widths" in words
  assert "[report] 1 dense layer, ReLU, 1501 parameters" in words
  assert words.index("num_runs 2 100") < words.index("learning_rate 0.001") < words.index("seed 3")


def test_the_authors_own_settings_stand_beside_the_printed_ones(tmp_path):
  write_run(tmp_path / "long_report" / "gradient_norm")
  files = make_files()
  files["summary.json"]["claims"][0]["verdict"] = "no difference"
  write_run(tmp_path / "long_notebook" / "gradient_norm", files)
  words = page_of(tmp_path / "long_report").words
  assert "Claim As printed As run by its author Effect" in words
  assert "The norm falls. L-1a ✓ holds = no difference true in 3 of 3 runs" in words
  assert "1.2.2 as run by its author The loss falls by a factor of 50 & more. Figure 2." in words
  other = page_of(tmp_path / "long_notebook").words
  assert "The norm falls. L-1a ✓ holds = no difference true in 3 of 3 runs" in other
  assert "as run by its author The loss" not in other


def test_a_section_without_settings_of_its_authors_own_says_so(tmp_path):
  write_run(tmp_path / "long_report" / "gradient_norm")
  write_run(tmp_path / "long_notebook" / "sensitivity")
  words = page_of(tmp_path / "long_report").words
  assert "1.2.2 The norm falls. L-1a ✓ holds same settings true in 3 of 3 runs" in words
  assert "1.3.4 The norm falls. L-1a – not run ✓ holds true in 3 of 3 runs" in words


def test_an_effect_is_drawn_with_its_interval_and_region():
  claim = judged.parse_claim(
    {"id": "L", "text": "t", "verdict": "no difference", "evidence": "e", "effect": 0.04,
     "interval": [-0.08, 0.16], "region": [-0.2, 0.2], "unit": "nats", "runs_needed": 12}
  )  # fmt: skip
  drawn = judged.picture(claim)
  assert drawn.text == "0.04 (−0.08 to 0.16) nats"
  assert drawn.line == 50.0
  left, right = drawn.band
  assert 0 < left < drawn.low < drawn.line < drawn.point < drawn.high < right < 100
  assert (drawn.point - 50) / (right - 50) == pytest.approx(0.2, abs=0.01)
  assert claim.runs_needed == 12


def test_the_page_draws_what_the_summary_judged():
  claim = summary.claim("L-1", "It is so.", [True] * 9 + [False], "Seen.")
  entry = json.loads(json.dumps(dataclasses.asdict(claim)))
  drawn = judged.picture(judged.parse_claim(entry))
  assert drawn.text == "true in 9 of 10 runs"
  assert drawn.line == 50.0
  assert drawn.low > drawn.line  # the interval that made it hold
  assert claim.verdict == "holds"
  compared = summary.compared("L-2", "It is more.", [0.1, 0.3, 0.2], "", region=0.05, unit="nats")
  parsed = judged.parse_claim(json.loads(json.dumps(dataclasses.asdict(compared))))
  assert judged.picture(parsed).text.startswith("0.2 (−0.0484 to 0.448) nats")
  assert parsed.runs == 3


def test_an_older_summary_without_effects_shows_the_share_of_runs():
  claim = judged.Judged("L", "t", "holds", "e", true_in_runs=3, runs=3)
  drawn = judged.picture(claim)
  assert drawn.text == "true in 3 of 3 runs"
  assert 25 < drawn.low < drawn.line == 50.0 < drawn.point == drawn.high
  assert judged.picture(judged.Judged("L", "t", "holds", "e")) is None


def test_sentences_end_at_full_stops_only():
  text = "It is 0.5 at epoch 3. 8 of 9 runs agree. The rest (1.5 vs. 2) does not."
  assert judged.sentences(text) == [
    "It is 0.5 at epoch 3.", "8 of 9 runs agree.", "The rest (1.5 vs. 2) does not."
  ]  # fmt: skip
  assert judged.first_sentence("no end") == "no end"


PUBLISHED = Path(__file__).parents[2] / "docs" / "results"


def publish_every_section(folder: Path) -> Path:
  """Makes one profile of every published section, the long report's first; returns its folder."""
  for profile in ("long_report", *sorted(path.name for path in PUBLISHED.iterdir())):
    for run in (PUBLISHED / profile).glob("*/"):
      if not (folder / run.name).exists():
        shutil.copytree(run, folder / run.name)
  return folder


@pytest.mark.parametrize("profile", ["quick", "long_report", "short_report", "long_notebook"])
def test_the_page_says_at_most_6000_words_unfolded(tmp_path, profile):
  if profile == "quick":  # has all sections, as no published profile does
    publish_every_section(tmp_path / profile)
  else:
    shutil.copytree(PUBLISHED / profile, tmp_path / profile)
  page = page_of(tmp_path / profile)
  everything = collections.Counter(text for tag, text in page.text if tag != "style")
  visible = everything - collections.Counter(page.folded)
  count = sum(times * len(text.split()) for text, times in visible.items())
  assert 500 < count <= 6000
  assert len(page.words.split()) > 1.5 * count  # what is folded is there


def test_quick_profile_says_that_it_is_small(tmp_path):
  for name, count in (("quick", 1), ("long_report", 0)):
    (tmp_path / name).mkdir()
    assert page_of(tmp_path / name).words.count("every size shrunk") == count


@pytest.mark.parametrize("name", ["config.json", "provenance.json", "summary.json"])
@pytest.mark.parametrize(
  ("damage", "said"),
  [
    (None, "is missing."),
    (b"", "is damaged"),
    (b'{"seed": 1', "is damaged"),
    (b"\xff\xfe\x00garbage", "is damaged"),
    (b"[" * 100_000, "is damaged"),
    (b"[1, 2]", "has an unexpected shape"),
    (b"{}", "has an unexpected shape"),
    (b"null", "has an unexpected shape"),
    ("folder", "cannot be read (Is a directory)"),
  ],
)
def test_damaged_json_is_a_sentence(profile, name, damage, said):
  path = profile / "gradient_norm" / name
  path.unlink()
  if damage == "folder":
    path.mkdir()
  elif damage is not None:
    path.write_bytes(damage)
  words = page_of(profile).words
  assert f"{name} {said}" in words
  assert "Norm and loss of" in words  # the other sections


@pytest.mark.parametrize(
  ("key", "value", "said"),
  [
    ("numbers", None, "no usable “numbers”: expected a list."),
    ("numbers", [{"values": [1]}], "1 of 1 entries of “numbers”"),
    ("numbers", [{"name": "n", "values": 5}], "1 of 1 entries of “numbers”"),
    ("numbers", [{"name": "n", "values": [10**400]}], "1 of 1 entries of “numbers”"),
    ("numbers", [{"name": "n", "values": [True]}], "1 of 1 entries of “numbers”"),
    ("numbers", [{"name": "n", "values": ["1"]}, 3], "2 of 2 entries of “numbers”"),
    ("claims", {"id": "L"}, "no usable “claims”: expected a list."),
    (
      "claims",
      [{"id": "L", "text": "t", "verdict": "true", "evidence": "e"}],
      "1 of 1 entries of “claims”",
    ),
    ("findings", [1, "fine"], "1 of 2 entries of “findings”"),
    ("captions", ["c"], "no usable “captions”: expected a dict."),
    ("captions", {"norm_and_loss": None}, "1 of 1 entries of “captions”"),
    ("tables", {"curve": {"epoch": [1]}}, "1 of 1 entries of “tables”"),
    ("tables", {"curve": [[1, 2]]}, "1 of 1 entries of “tables”"),
  ],
)
def test_wrong_shape_is_a_sentence(tmp_path, key, value, said):
  files = make_files()
  files["summary.json"][key] = value
  write_run(tmp_path / "quick" / "gradient_norm", files)
  words = page_of(tmp_path / "quick").words
  assert said in words
  assert ("The norm falls." in words) == (key != "claims")  # the rest of the summary is shown


def test_odd_text_and_deep_nesting_are_shown(tmp_path):
  files = make_files()
  files["summary.json"]["findings"] = ["half a pair: \ud800"]
  nested: list = []
  for _ in range(400):
    nested = [nested]
  files["config.json"]["nested"] = nested
  write_run(tmp_path / "quick" / "gradient_norm", files)
  words = page_of(tmp_path / "quick").words
  assert "half a pair: ?" in words
  assert "Nested nested …" in words


SCALARS = (
  st.none()
  | st.booleans()
  | st.floats()
  | st.integers()
  | st.sampled_from([10**400, -0.0, 5e-324, 1e300, "\ud800", "<b>", "", "2025-11-22T14:36:00Z"])
  | st.text(max_size=5)
)
JSON = st.recursive(
  SCALARS,
  lambda inner: (
    st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
  ),
  max_leaves=6,
)


@settings(
  max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
@given(data=st.data())
def test_any_json_anywhere_makes_a_page(tmp_path_factory, data):
  files = make_files()
  node = files
  key = data.draw(st.sampled_from(sorted(files)))
  while isinstance(node[key], dict | list) and node[key] and data.draw(st.integers(0, 4)):
    node = node[key]
    key = data.draw(st.sampled_from(sorted(node) if isinstance(node, dict) else range(len(node))))
  node[key] = data.draw(JSON)
  profile = tmp_path_factory.mktemp("any") / "quick"
  write_run(profile / "gradient_norm", files)
  page = page_of(profile)
  assert tuple(h["id"] for h in page.all("h3") if h["id"] in EXPERIMENTS) == EXPERIMENTS


def test_text_is_escaped(tmp_path):
  evil = '"><script>alert(1)</script><img src=x onerror=y>'
  files = copy.deepcopy(make_files())
  files["config.json"][evil] = evil
  files["provenance.json"] |= {
    "command": evil,
    "status": "failed",
    "message": evil,
    "platform": evil,
  }
  files["summary.json"]["captions"]["norm_and_loss"] = evil
  files["summary.json"]["findings"] = [evil]
  files["summary.json"]["tables"] = {evil: [{evil: evil}]}
  files["summary.json"]["numbers"] = [
    {"name": evil, "values": [1.0], "unit": evil, "reported": evil, "note": evil}
  ]
  files["summary.json"]["claims"] = [
    {"id": evil, "text": evil, "verdict": "holds", "evidence": evil, "numbers": {}}
  ]
  write_run(tmp_path / "quick" / "gradient_norm", files)
  (tmp_path / "quick" / 'gradient_norm"> onclick=x').mkdir()
  text = build(tmp_path / "quick").read_text()
  page = Page(text)
  assert "<script" not in text
  assert len(page.all("img")) == 1
  assert page.words.count("alert(1)") >= 12
  assert not [a for _, a in page.tags if "onclick" in a or "onerror" in a]


def test_figures_are_inlined_whole(tmp_path):
  run = write_run(tmp_path / "quick" / "gradient_norm")
  (image,) = page_of(tmp_path / "quick").all("img")
  kind, data = image["src"].split(",")
  assert kind == "data:image/svg+xml;base64"
  assert base64.b64decode(data) == (run / "figures" / "norm_and_loss.svg").read_bytes()
  assert image["alt"] == "Norm and loss of gradient_norm: both fall, α > 0."
  assert image["style"] == "max-width:614px"  # 460.8 pt


def test_large_svg_gives_way_to_png(tmp_path):
  run = write_run(tmp_path / "quick" / "gradient_norm")
  (run / "figures" / "norm_and_loss.svg").write_bytes(make_svg(size=600_001))
  (image,) = page_of(tmp_path / "quick").all("img")
  assert image["src"].startswith("data:image/png;base64,")
  (run / "figures" / "norm_and_loss.png").unlink()
  (image,) = page_of(tmp_path / "quick").all("img")
  assert image["src"].startswith("data:image/svg+xml;base64,")


@pytest.mark.parametrize("damage", [b"", b"<svg><g></svg>", b"<html/>", make_svg()[:100]])
def test_damaged_svg_is_a_sentence(tmp_path, damage):
  run = write_run(tmp_path / "quick" / "gradient_norm")
  (run / "figures" / "norm_and_loss.svg").write_bytes(damage)
  page = page_of(tmp_path / "quick")
  assert "figures/norm_and_loss.svg is damaged: it is not a whole SVG file." in page.words
  assert page.all("img")[0]["src"].startswith("data:image/png")
  assert page.all("img")[0]["style"] == "max-width:614px"  # 1280 pixels of 200 dpi
  (run / "figures" / "norm_and_loss.png").write_bytes(make_png()[:-8])
  page = page_of(tmp_path / "quick")
  assert "figures/norm_and_loss.png is damaged" in page.words
  assert "The figure “norm_and_loss” is missing." in page.words
  assert page.all("img") == []


def test_wide_figure_scrolls_in_its_own_region(tmp_path):
  run = write_run(tmp_path / "quick" / "gradient_norm")
  (run / "figures" / "norm_and_loss.svg").write_bytes(make_svg(width=900))
  page = page_of(tmp_path / "quick")
  assert page.all("img")[0]["style"] == "max-width:1200px;min-width:660px"
  regions = [a for _, a in page.tags if a.get("aria-label") == "Figure of 1.2.2: Norm and loss"]
  assert [(a["role"], a["tabindex"]) for a in regions] == [("region", "0")]


def test_figure_without_caption_is_shown(tmp_path):
  run = write_run(tmp_path / "quick" / "gradient_norm")
  (run / "figures" / "loss_only.svg").write_bytes(make_svg())
  images = page_of(tmp_path / "quick").all("img")
  assert [image["alt"][:9] for image in images] == ["Norm and ", "Loss only"]


def test_page_keeps_its_size(tmp_path):
  files = make_files()
  row = {f"column_{i}": 1 / (i + 7) for i in range(40)}
  files["summary.json"]["tables"] = {f"table_{i}": [row] * 300 for i in range(4)}
  for experiment in EXPERIMENTS[:9]:  # with more of them fewer rows are shown
    run = write_run(tmp_path / "quick" / experiment, files)
    for i in range(10):
      (run / "figures" / f"figure_{i}.svg").write_bytes(make_svg(size=500_000))
      (run / "figures" / f"figure_{i}.png").write_bytes(make_png(size=25_000 if i else 100_000))
  path = build(tmp_path / "quick")
  page = Page(path.read_text())
  assert 3_000_000 < path.stat().st_size <= PAGE_BYTES
  assert "The image is left out, to keep this page small enough" in page.words
  assert len(page.all("img")) > 9
  assert "50 of 300 rows, evenly spaced" in page.words


def test_images_fit_the_budget():
  def image(suffix: str, size: int) -> Image:
    return Image(suffix, bytes(size), None)

  def figure(path: str, svg: int | None, png: int | None) -> Figure:
    made = [image(s, n) if n else None for s, n in (("svg", svg), ("png", png))]
    return Figure(path, "", *made)

  figures = [figure("a", 3000, 900), figure("b", 300, 600), figure("c", None, 1200)]

  def chosen(budget: int) -> dict[str, str]:
    return {path: i.suffix for path, i in choose_images(figures, budget).items()}

  assert chosen(6000) == {"a": "svg", "b": "svg", "c": "png"}  # 4000 + 400 + 1600
  assert chosen(5999) == {"a": "png", "b": "svg", "c": "png"}  # 1200 + 400 + 1600
  assert chosen(3199) == {"a": "png", "b": "svg"}
  assert chosen(0) == {}
  figures[1] = figure("b", 1500, 30)
  assert chosen(5000) == {"a": "png", "b": "svg", "c": "png"}  # the largest first
  figures[:] = [figure("a", 300, None), figure("b", 900, None)]
  assert chosen(1500) == {"a": "svg"}


def test_long_tables_are_cut(tmp_path):
  files = make_files()
  files["summary.json"]["tables"] = {"curve": [{"epoch": i} for i in range(500)]}
  write_run(tmp_path / "quick" / "gradient_norm", files)
  page = page_of(tmp_path / "quick")
  assert "(500 rows, tables/curve.csv )" in page.words
  assert "200 of 500 rows, evenly spaced; all of them are in the CSV file" in page.words
  cells = [text for tag, text in page.text if tag == "td"]
  curve = cells[-200:]
  assert (curve[0], curve[-1]) == ("0", "499")
  assert "1" not in curve


def test_numbers_line_up_at_the_decimal_point(tmp_path):
  files = make_files()
  numbers = [Number(**number) for number in files["summary.json"]["numbers"]]
  numbers = [
    Number(
      n.name, tuple(math.nan if v is None else v for v in n.values), n.unit, n.reported, n.note
    )
    for n in numbers
  ]
  rows = number_rows(numbers)

  def shown(key: str) -> list[str]:
    return [cell.head + cell.tail for cell in (getattr(row, key) for row in rows)]

  assert shown("reported") == [
    "1800",
    "0.005702",
    "not by 25,000",
    "397,510",
    "",
    "95.585",
    "0.0009995186",
  ]
  assert shown("median")[:6] == ["1806", "0.005700", "–", "397,510", "12.88", "95.592"]
  assert shown("median")[6] == "3.00 × 10⁻¹³"
  assert shown("least")[6] == "−4.00 × 10⁻¹²"
  assert shown("most")[:4] == ["1900", "0.006100", "", ""]
  assert [row.runs for row in rows] == ["3", "3", "0 of 3", "1", "2 of 3", "2", "3"]
  for key in ("reported", "median", "least", "most"):
    cells = [getattr(row, key) for row in rows]
    cells = [cell for cell in cells if cell.head not in ("", "not by 25,000")]
    assert len(cells) >= 4
    assert len({cell.width for cell in cells}) == 1  # one width a column: the points stand in line
    assert all(len(cell.tail) <= cell.width for cell in cells)
    assert not any("." in cell.head for cell in cells)
    assert all(cell.tail[:1] in ("", ".", " ") for cell in cells)
  write_run(tmp_path / "quick" / "gradient_norm", files)
  tails = [a for a in page_of(tmp_path / "quick").all("span") if a.get("class") == "tail"]
  assert len(tails) == 5 + 7 + 5 + 5
  assert {tail["style"] for tail in tails[:1]} == {"min-width:11ch"}  # ".0009995186"


@pytest.mark.parametrize(
  ("values", "text"),
  [
    ([0.0], "0"),
    ([961.0], "961"),
    ([98.66], "98.66"),
    ([0.0744], "0.07440"),
    ([25550.0], "25,550"),
    ([12345.678], "12,346"),
    ([-2.5], "−2.500"),
    ([2e-7], "2.00 × 10⁻⁷"),
    ([3.5e9], "3.50 × 10⁹"),
    ([1e-9, 50.5], "1.00 × 10⁻⁹"),
    ([math.nan, 50.5], "–"),
    ([math.inf, 1.5], "–"),
  ],
)
def test_numbers_have_four_digits(values, text):
  assert show_number(values[0], decimals_of(values)) == text


def test_a_data_column_has_one_format():
  rows = [{"epoch": 1, "loss": 2.5, "note": "a"}, {"epoch": 20_000, "loss": 0.0125, "ok": True}]
  columns, texts = table_columns(rows)
  assert columns == [("epoch", True), ("loss", True), ("note", False), ("ok", False)]
  assert texts == [["1", "2.50000", "a", "–"], ["20,000", "0.01250", "–", "yes"]]
  assert table_columns(rows[:1])[1] == [["1", "2.500", "a"]]
  assert table_columns([]) == ([], [])


def test_some_rows_span_the_table():
  assert some_rows([1, 2, 3], 3) == [1, 2, 3]
  assert some_rows(range(101), 3) == [0, 50, 100]
  assert some_rows(range(9), 4) == [0, 3, 5, 8]


@pytest.mark.parametrize(
  ("seconds", "text"), [(0.04, "0.0 s"), (59, "59.0 s"), (252.4, "4 min 12 s"), (7500, "2 h 5 min")]
)
def test_durations(seconds, text):
  assert show_seconds(seconds) == text


def test_facts_that_differ_between_runs_are_all_given(tmp_path):
  for name, commit in (("gradient_norm", "aaa"), ("sensitivity", "bbb"), ("interpolation", "aaa")):
    files = make_files(name)
    files["provenance.json"] |= {"git_commit": commit, "started": f"2025-11-2{len(name) % 9}T23:00"}
    write_run(tmp_path / "quick" / name, files)
  found = dict(page_facts([s.runs[0] for s in collect(tmp_path / "quick")]))
  assert found["Git commit"] == ["aaa", "bbb"]
  assert found["Threads"] == ["2"]
  assert found["Date"] == ["2025-11-22 to 2025-11-24"]
  assert found["Computing time"] == ["12 min 37 s"]


def test_the_page_says_which_commits_computed_its_runs(tmp_path):
  for name, commit in (("gradient_norm", "a" * 40), ("sensitivity", "a" * 40)):
    files = make_files(name)
    files["provenance.json"]["git_commit"] = commit
    write_run(tmp_path / "quick" / name, files)
  assert "All runs were computed by commit aaaaaaaaaaaa." in page_of(tmp_path / "quick").words
  write_run(tmp_path / "quick" / "interpolation")
  said = "2 different commits: aaaaaaaaaaaa (gradient_norm, sensitivity); 0123456789ab-dirty"
  assert said in page_of(tmp_path / "quick").words


@pytest.mark.parametrize("width", ["9" * 400, "1e9999", "1.2.3pt", "-5", "inf", "nan"])
def test_a_figure_of_absurd_size_is_shown(tmp_path, width):
  folder = write_run(tmp_path / "quick" / "gradient_norm")
  svg = make_svg().replace(b'width="460.8pt"', f'width="{width}"'.encode())
  (folder / "figures" / "norm_and_loss.svg").write_bytes(svg)
  assert "data:image/svg+xml" in build(tmp_path / "quick").read_text()


def test_same_folders_same_page(profile):
  first = build(profile).read_bytes()
  assert build(profile).read_bytes() == first


def test_page_is_written_whole_or_not_at_all(profile, monkeypatch):
  path = build(profile)
  before = path.read_bytes()

  def full_disk(*_):
    raise OSError(28, "No space left on device", "report.html")

  monkeypatch.setattr(os, "replace", full_disk)
  with pytest.raises(OSError, match="No space left"):
    build(profile)
  assert path.read_bytes() == before
  assert [p.name for p in profile.iterdir() if p.name.startswith(".")] == []


def run_command(*arguments: str) -> subprocess.CompletedProcess:
  return subprocess.run(
    [sys.executable, "-m", "hw1_jax.report", *arguments],
    capture_output=True, text=True, timeout=60, cwd=Path(__file__).parents[2],
  )  # fmt: skip


def test_command_prints_the_path(profile):
  done = run_command(str(profile))
  assert (done.returncode, done.stderr) == (0, "")
  assert done.stdout.splitlines()[-1] == str(profile / "report.html")


def test_command_writes_the_page_of_one_run_into_its_folder(profile, tmp_path):
  run = shutil.copytree(profile / "gradient_norm", tmp_path / "mine" / "my_run")
  for format, name in (("html", "report.html"), ("markdown", "REPORT.md")):
    done = run_command(str(run), f"--format={format}")
    assert (done.returncode, done.stderr, done.stdout) == (0, "", f"{run / name}\n")
  assert "data:image" in (run / "report.html").read_text()
  figures = re.findall(r"\]\((.*?\.svg)\)", (run / "REPORT.md").read_text())
  assert figures
  assert all((run / figure).is_file() for figure in figures)
  high = run_command(str(tmp_path))
  told = f"{tmp_path} holds no run; name {tmp_path / 'mine'} or {profile}\n"
  assert (high.returncode, high.stdout, high.stderr) == (2, "", told)
  assert not (tmp_path / "report.html").exists()


def test_command_refuses_in_one_line(tmp_path):
  (tmp_path / "file").write_text("")
  (tmp_path / "quick" / "report.html").mkdir(parents=True)
  for arguments, said in (
    ([str(tmp_path / "absent")], "absent: No such file or directory; expected a folder of runs"),
    ([str(tmp_path / "file")], "file: Not a directory; expected a folder of runs"),
    ([str(tmp_path / "quick")], "Is a directory"),
    ([], "usage: python -m hw1_jax.report results/PROFILE"),
    ([str(tmp_path), str(tmp_path), "--verify"], "two folders are compared"),
    (["--flag"], "usage:"),
  ):
    done = run_command(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert said in done.stderr
