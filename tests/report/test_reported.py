"""The reported values say what they are, and are the ones that the report prints."""

import numpy as np
import pytest

from hw1_jax.report import reported

NAMES = sorted(path.stem for path in reported.FOLDER.glob("*.csv"))
WORDS = ("last minibatch", "minibatch", "running mean", "exact", "global norm", "mean of tensor",
         "mean over", "smallest of")  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_every_loss_accuracy_and_norm_says_which_quantity_it_is(name):
  table = reported.read(name)
  assert table.source
  assert table.precision
  for column, quantity in table.quantities.items():
    if column.endswith(("loss", "accuracy", "norm")):
      assert any(word in quantity for word in WORDS), f"{column}: {quantity}"


def test_a_column_without_a_quantity_is_an_error(tmp_path, monkeypatch):
  monkeypatch.setattr(reported, "FOLDER", tmp_path)
  (tmp_path / "bad.csv").write_text("# source: a\n# precision: b\n# x: c\nx,y\n1,2\n")
  with pytest.raises(ValueError, match=r"no line '# NAME: ...' for y; add it"):
    reported.read("bad")


def test_the_values_that_the_report_prints():
  table = reported.read("simulate_function").where(target="sinc")
  assert table.columns["epoch"].tolist() == [961, 857, 2186]
  assert reported.read("random_labels").columns["minibatch_501_loss"][-1] == 0.0588
  assert reported.read("random_labels").columns["epoch"].tolist() == list(range(1, 1001))
  table = reported.read("optimization_path").where(run=1, epoch=3)
  assert table.columns["step_mean_accuracy"][0] == pytest.approx(96.033, abs=1e-3)
  assert table.columns["running_train_loss"][0] == pytest.approx(0.1326, abs=1e-4)
  last = reported.read("optimization_path").where(run=8, epoch=45)  # the eighth run, not the first
  assert last.columns["running_train_loss"][0] == pytest.approx(0.0101, abs=1e-4)


def test_both_lines_of_interpolation_have_thirty_one_alphas():
  for pair in ("batch", "learning_rate"):
    table = reported.read(f"interpolation_{pair}")
    # Six decimals are printed.
    assert table.columns["alpha"] == pytest.approx(np.linspace(-2, 2, 31), abs=1e-6)


def test_points_leave_out_what_is_empty():
  x, y = reported.read("interpolation_learning_rate").points("alpha", "test_loss")
  assert 10 <= len(x) < 31
  assert np.isfinite(y).all()
