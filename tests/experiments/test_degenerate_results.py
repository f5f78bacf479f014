"""Figures of results at the edge: one pair, a network that is dead, settings without meaning."""

import dataclasses
import io

import numpy as np
import pytest
from tiny import experiment, tiny_config

from hw1_jax.errors import UserError


def write(figure):
  figure.savefig(io.BytesIO(), format="svg")


def test_the_barriers_of_one_pair_are_drawn_without_an_interval():
  from experiments.connectivity import figures, run

  curves = np.array([[[1.0, 3.0, 1.5]]])  # [M, C, A]
  result = run.Result(
    alphas=np.linspace(0, 1, 3),
    between={f"{way}/{curve}": curves[:, 0] for way in run.WAYS for curve in run.CURVES},
    parted=dict.fromkeys(run.CURVES, curves),
    common_epochs=np.array([0]),
    distance=np.ones((1, 3)),
    parted_distance=np.ones((1, 1)),
    moved_units=np.zeros(1),
    paths={},
    explained={},
  )
  write(figures.draw_common(tiny_config("connectivity"), result))


def test_spectra_that_are_all_zero_are_drawn():
  from experiments.hessian_spectrum import figures, run

  zeros = {
    f"{matrix}_{name}": np.zeros(shape, np.float32)
    for matrix in ("hessian", "gauss_newton")
    for name, shape in (("nodes", (1, 2, 2, 15)), ("top", (1, 2, 4)), ("bottom", (1, 2)))
  }
  weights = {f"{matrix}_weights": np.full((1, 2, 2, 15), 1 / 15, np.float32)
             for matrix in ("hessian", "gauss_newton")}  # fmt: skip
  empty = {name: np.zeros(0) for name in run.Result._fields}
  result = run.Result(**empty)._replace(
    num_parameters=np.asarray(30), epochs=np.array([0, 2]), spectra=zeros | weights,
    descent_rates=np.array([0.5]), descent_steps=np.arange(3), sharpness=np.zeros((1, 3)),
    descent_loss=np.zeros((1, 3)), classes=np.array([2, 3]), class_top=np.zeros((2, 1, 4)),
  )  # fmt: skip
  write(figures.draw_density(result))
  write(figures.draw_edge(result))
  write(figures.draw_outliers(result))


@pytest.mark.parametrize("widths", ["1", "1-4"])
def test_a_network_into_which_no_narrower_one_fits_is_refused(widths):
  config = tiny_config("minimal_ratio")
  assert experiment("minimal_ratio").config is type(config)
  with pytest.raises(UserError, match=r"saddle_widths: got '1.*, expected 2 units or more"):
    dataclasses.replace(config, saddle_widths=widths)
