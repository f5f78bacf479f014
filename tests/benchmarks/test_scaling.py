"""The scaling measurement: two points of one curve from command line to table, JSON and figure."""

import dataclasses
import json
import re

import pytest

from benchmarks import curves, fits, scaling

POINTS = [{"size": size, "seconds": 0.5 + 0.25 * size} for size in (1, 2, 4, 8, 16)]


def test_one_curve_gives_table_json_and_figure(tmp_path, capsys, monkeypatch):
  two_sizes = dataclasses.replace(curves.CURVES["alphas"], quick=(2, 5))
  monkeypatch.setitem(curves.CURVES, "alphas", two_sizes)
  output = tmp_path / "new" / "scaling.svg"
  scaling.main(["--quick", "--curve=alphas", f"--output={output}"])
  printed = capsys.readouterr().out
  rows = re.findall(r"^\| all images \| (\d+) \| ([\d.e-]+) \|", printed, re.MULTILINE)
  assert [row[0] for row in rows] == ["2", "5"]
  found = json.loads(output.with_suffix(".json").read_text())["curves"]
  assert list(found) == ["alphas"]
  assert found["alphas"]["environment"]["versions"]["jax"]
  assert found["alphas"]["date"]
  for row, point in zip(rows, found["alphas"]["series"]["interpolation"]["points"]):
    assert float(row[1]) == pytest.approx(point["seconds"], rel=0.01)
    assert 0 < point["fastest"] <= point["seconds"] <= point["slowest"]
    assert point["calls"] >= scaling.SHORT_CALLS
    assert point["compile_seconds"] > point["seconds"]
    assert point["peak_mib"] > point["inputs_mib"] > 50  # JAX alone is more
  drawn = output.read_bytes()
  assert drawn.startswith(b"<?xml")

  output.unlink()
  monkeypatch.setattr(scaling, "measure", None)  # --draw measures nothing
  scaling.main(["--quick", "--draw", f"--output={output}"])
  assert capsys.readouterr().out == printed
  assert output.read_bytes() == drawn
  with pytest.raises(SystemExit, match="no curves"):  # the full form does not take up quick points
    scaling.main(["--draw", f"--output={output}"])


def test_the_slope_of_a_power_is_its_exponent():
  assert fits.exponent([2, 5, 11], [3 * n**2.5 for n in (2, 5, 11)]) == pytest.approx(2.5)


def test_the_upper_half_is_that_of_the_logarithmic_axis_and_two_points_at_least():
  assert [point["size"] for point in fits.upper_half(POINTS)] == [4, 8, 16]
  assert [point["size"] for point in fits.upper_half(POINTS[:2])] == [1, 2]


def test_constant_and_rate_are_found_again_and_never_negative():
  assert fits.constant_and_rate(POINTS) == pytest.approx((0.5, 0.25))
  squares = [{"size": n, "seconds": n**2} for n in (1, 2, 4)]
  assert fits.constant_and_rate(squares)[0] == 0
  falling = [{"size": n, "seconds": 1 / n} for n in (1, 2, 4)]
  assert fits.constant_and_rate(falling)[1] == 0


def test_steeper_than_theory_is_said():
  curve = curves.CURVES["hessian"]
  matrix = curve.series["matrix"]
  points = [{"size": n, "seconds": n**3, "inputs_mib": 1, "peak_mib": 1 + n} for n in (1, 4, 16)]
  said = scaling.judge(curve, matrix, {"points": points, **fits.fitted(points)})
  assert "P^3.00 (theory 2, **steeper than theory**)" in said
  assert "P^1.00 (theory 2)" in said


def test_the_sizes_are_parameters_of_real_networks():
  for size in (*curves.CURVES["hessian"].sizes, *curves.CURVES["hessian"].quick):
    assert size % 3 == 1  # 1-w-1 has 3 w + 1
