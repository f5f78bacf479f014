"""Where the time goes: floating-point operations against the count by hand."""

import pytest

from benchmarks import sections


def test_operations_of_a_training_are_those_counted_by_hand():
  flops, moved = sections.operations(sections.Steps("50", 100, epochs=2))
  products = 784 * 50 * 2 + 50 * 10 * 3  # forward and weights; the images need no gradient
  assert flops == pytest.approx(2 * 60_000 * 2 * products, rel=0.1)
  assert moved > 2 * 600 * 7 * 4 * (784 * 50)  # Adam alone reads and writes seven arrays a step


def test_every_section_of_the_long_report_is_measured_once():
  measured = [section.experiment for section in sections.SECTIONS]
  flags = {path.stem for path in (sections.ROOT / "experiments/flags/long_report").glob("*.flags")}
  assert sorted(measured) == sorted(flags)
