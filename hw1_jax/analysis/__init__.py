"""Analysis: what a trained network's loss looks like around its weights."""

from hw1_jax.analysis import (
  alignment,
  connectivity,
  critical_points,
  directions,
  kink_search,
  kinks,
  levenberg_marquardt,
  surface,
  zeros,
)
from hw1_jax.analysis.flatness import (
  ball,
  box,
  expected_sharpness,
  invariance_audit,
  keskar_sharpness,
  relative_flatness,
  worst_case_sharpness,
)
from hw1_jax.analysis.hessians import CHUNK_SIZE, gradient_norm, hessian, mlp_hessian
from hw1_jax.analysis.interpolation import interpolate, make_interpolate, make_interpolate_mlp
from hw1_jax.analysis.jacobian import (
  jacobian_norms,
  loss_gradient_norms,
  make_mlp_sensitivity,
  make_sensitivity,
)
from hw1_jax.analysis.lanczos import (
  density,
  describe_spectrum,
  extreme_eigenpairs,
  positive_fraction,
  quadrature,
  spectral_quadrature,
)
from hw1_jax.analysis.mlp_products import mlp_operator
from hw1_jax.analysis.norms import margins, rescale_layers, weight_norms
from hw1_jax.analysis.pac_bayes import pac_bayes_bound, perturbed_errors
from hw1_jax.analysis.packing import Packed, pack
from hw1_jax.analysis.products import Operator, gauss_newton_operator, hessian_operator
from hw1_jax.analysis.rank_analysis import conditional_independence, granulated, kendall, null_score
from hw1_jax.analysis.spectrum import ZERO_RTOL, Signs, count_signs, eigenvalues, minimal_ratio
from hw1_jax.analysis.stability import sharpness_along_descent
from hw1_jax.analysis.traces import trace_and_norm
from hw1_jax.analysis.trajectory import Projection, pca
from hw1_jax.analysis.tridiagonal import tridiagonalize

__all__ = [
  "CHUNK_SIZE",
  "ZERO_RTOL",
  "Operator",
  "Packed",
  "Projection",
  "Signs",
  "alignment",
  "ball",
  "box",
  "conditional_independence",
  "connectivity",
  "count_signs",
  "critical_points",
  "density",
  "describe_spectrum",
  "directions",
  "eigenvalues",
  "expected_sharpness",
  "extreme_eigenpairs",
  "gauss_newton_operator",
  "gradient_norm",
  "granulated",
  "hessian",
  "hessian_operator",
  "interpolate",
  "invariance_audit",
  "jacobian_norms",
  "kendall",
  "keskar_sharpness",
  "kink_search",
  "kinks",
  "levenberg_marquardt",
  "loss_gradient_norms",
  "make_interpolate",
  "make_interpolate_mlp",
  "make_mlp_sensitivity",
  "make_sensitivity",
  "margins",
  "minimal_ratio",
  "mlp_hessian",
  "mlp_operator",
  "null_score",
  "pac_bayes_bound",
  "pack",
  "pca",
  "perturbed_errors",
  "positive_fraction",
  "quadrature",
  "relative_flatness",
  "rescale_layers",
  "sharpness_along_descent",
  "spectral_quadrature",
  "surface",
  "trace_and_norm",
  "tridiagonalize",
  "weight_norms",
  "worst_case_sharpness",
  "zeros",
]
