"""How architectures are written in settings: '10-18-15-4' and '10k4p-20k4p/50d-100'."""

import re
from typing import Any

from hw1_jax import own
from hw1_jax.models.networks import CNN, MLP, ConvLayer
from hw1_jax.models.own import make_own

# How architectures are written in flags: (regular expression, meaning).
WIDTHS = (
  r"[1-9][0-9]{0,4}(-[1-9][0-9]{0,4}){0,49}",
  "hidden widths joined by '-', such as 10-18-15-4",
)
_CONV = r"([1-9][0-9]{0,3})k([1-9][0-9]?)(p?)"
_DENSE = r"([1-9][0-9]{0,4})(d?)"
CONVOLUTIONS = (
  f"{_CONV}(?:-{_CONV}){{0,19}}/(?:{_DENSE}(?:-{_DENSE}){{0,19}})?",
  "convolutions/dense layers such as 10k4p-20k4p/50d-100",
)


def parse_widths(text: str) -> tuple[int, ...]:
  """Returns the hidden widths of '5-10-5', in order. ValueError for what is not WIDTHS."""
  if not re.fullmatch(WIDTHS[0], text):
    raise ValueError(f"got {text!r}, expected {WIDTHS[1]}")
  return tuple(int(width) for width in text.split("-"))


def parse_cnn(
  text: str, *, num_classes: int = 10, dropout_rate: float = 0.25, convolution: str = "auto"
) -> CNN:
  """Returns the CNN of a text such as '10k4p-20k4p/50d-100'.

  Before the slash the convolutions: 10 channels, kernel 4, `p` for pooling after it. Behind it the
  hidden dense layers: 50 units, `d` for dropout after it. ValueError for anything else.
  """
  if not re.fullmatch(CONVOLUTIONS[0], text):
    raise ValueError(f"got {text!r}, expected {CONVOLUTIONS[1]}")
  convs, _, dense = text.partition("/")
  conv_layers = tuple(
    ConvLayer(int(channels), int(size), bool(pool))
    for channels, size, pool in re.findall(_CONV, convs)
  )
  dense_layers = re.findall(_DENSE, dense)
  return CNN(
    conv_layers=conv_layers,
    dense_features=tuple(int(features) for features, _ in dense_layers),
    num_classes=num_classes,
    dropout_after=tuple(i for i, (_, drop) in enumerate(dense_layers) if drop),
    dropout_rate=dropout_rate,
    convolution=convolution,
  )


def make_mlp(spec: str, num_outputs: int, input_shape: tuple[int, ...], **options: Any) -> Any:
  """Returns the MLP of hidden widths such as '10-18', or your own network 'module:function'.

  `options` are MLP's. `input_shape` is that of one example.
  """
  if own.is_own(spec):
    return make_own(spec, num_outputs, tuple(input_shape))
  return MLP((*parse_widths(spec), num_outputs), **options)


def make_cnn(spec: str, num_outputs: int, input_shape: tuple[int, ...], **options: Any) -> Any:
  """Returns the CNN of a text such as '10k4p/50', or your own network 'module:function'.

  `options` are those of `parse_cnn`. `input_shape` is that of one example.
  """
  if own.is_own(spec):
    return make_own(spec, num_outputs, tuple(input_shape))
  return parse_cnn(spec, num_classes=num_outputs, **options)
