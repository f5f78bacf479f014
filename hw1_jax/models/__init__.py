"""Models: the reports' networks as flax.linen modules, and how architectures are written."""

from hw1_jax.models import convolution
from hw1_jax.models.networks import (
  ACTIVATIONS,
  CNN,
  CONVOLUTION_FORMS,
  MICRO_BATCH,
  MLP,
  Conv,
  ConvLayer,
  Dense,
  apply,
  convolution_form,
  count_parameters,
  in_micro_batches,
  init,
  init_members,
  ravelled,
  smallest_image,
  uniform_fan_in,
)
from hw1_jax.models.notation import CONVOLUTIONS, WIDTHS, parse_cnn, parse_widths

__all__ = [
  "ACTIVATIONS",
  "CNN",
  "CONVOLUTIONS",
  "CONVOLUTION_FORMS",
  "MICRO_BATCH",
  "MLP",
  "WIDTHS",
  "Conv",
  "ConvLayer",
  "Dense",
  "apply",
  "convolution",
  "convolution_form",
  "count_parameters",
  "in_micro_batches",
  "init",
  "init_members",
  "parse_cnn",
  "parse_widths",
  "ravelled",
  "smallest_image",
  "uniform_fan_in",
]
