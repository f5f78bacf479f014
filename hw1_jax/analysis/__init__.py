"""Analysis: what a trained network's loss looks like around its weights."""

from hw1_jax.analysis import alignment, connectivity, critical_points, directions, surface
from hw1_jax.analysis.hessians import CHUNK_SIZE, gradient_norm, hessian, mlp_hessian
from hw1_jax.analysis.interpolation import interpolate, make_interpolate_mlp
from hw1_jax.analysis.jacobian import (
  jacobian_norms,
  loss_gradient_norms,
  make_mlp_sensitivity,
  make_sensitivity,
)
from hw1_jax.analysis.spectrum import ZERO_RTOL, Signs, count_signs, eigenvalues, minimal_ratio
from hw1_jax.analysis.trajectory import Projection, pca

__all__ = [
  "CHUNK_SIZE",
  "ZERO_RTOL",
  "Projection",
  "Signs",
  "alignment",
  "connectivity",
  "count_signs",
  "critical_points",
  "directions",
  "eigenvalues",
  "gradient_norm",
  "hessian",
  "interpolate",
  "jacobian_norms",
  "loss_gradient_norms",
  "make_interpolate_mlp",
  "make_mlp_sensitivity",
  "make_sensitivity",
  "minimal_ratio",
  "mlp_hessian",
  "pca",
  "surface",
]
