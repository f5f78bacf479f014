"""Writes pytorch_optimizers.json: 50 steps of PyTorch's optimizers on a small quartic loss.

    pip install -e '.[bench]' && python tests/training/tables/make_pytorch_optimizers.py

The loss is sum(a theta^4 / 4 + b theta^2 / 2 - c theta); its gradient is easy to state anywhere.
"""

import json
import pathlib

import torch

A, B, C = [0.5, 1.0, 0.0, 2.0], [1.0, -0.5, 3.0, 0.1], [0.3, 0.2, -1.0, 0.0]
START = [1.0, -2.0, 0.5, 3.0]
STEPS = (1, 2, 3, 10, 50)
CASES = {
  "adam": (torch.optim.Adam, {"lr": 1e-2, "weight_decay": 0.0}),
  "adam_decayed": (torch.optim.Adam, {"lr": 1e-2, "weight_decay": 0.1}),
  "rmsprop": (torch.optim.RMSprop, {"lr": 1e-2, "weight_decay": 0.0}),
  "rmsprop_decayed": (torch.optim.RMSprop, {"lr": 1e-2, "weight_decay": 0.1}),
  "sgd": (torch.optim.SGD, {"lr": 1e-2, "weight_decay": 0.0}),
  "sgd_momentum_decayed": (torch.optim.SGD, {"lr": 1e-2, "weight_decay": 0.1, "momentum": 0.9}),
}


def trace(make, options):
  theta = torch.tensor(START, dtype=torch.float32, requires_grad=True)
  optimizer = make([theta], **options)
  a, b, c = (torch.tensor(v, dtype=torch.float32) for v in (A, B, C))
  values = {}
  for step in range(1, max(STEPS) + 1):
    optimizer.zero_grad()
    (a * theta**4 / 4 + b * theta**2 / 2 - c * theta).sum().backward()
    optimizer.step()
    if step in STEPS:
      values[step] = [float(v) for v in theta.detach()]
  return values


if __name__ == "__main__":
  table = {
    "made_by": f"make_pytorch_optimizers.py, PyTorch {torch.__version__.split('+')[0]}, float32",
    "a": A,
    "b": B,
    "c": C,
    "start": START,
    "cases": {
      name: {"options": options, "theta": trace(make, options)}
      for name, (make, options) in CASES.items()
    },
  }
  path = pathlib.Path(__file__).with_name("pytorch_optimizers.json")
  path.write_text(json.dumps(table, indent=1) + "\n")
