"""PyTorch's side of the workloads: eager mode, its own best simple form, data in memory."""

import copy
import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks import sizes as settings

Work = Callable[[], Any]
DEVICE = torch.device("cuda" if settings.on_gpu() else "cpu")


def made_up_images(count: int) -> tuple[torch.Tensor, torch.Tensor]:
  """Returns the same images as our side, already float32 in [0, 1]."""
  generator = np.random.default_rng(0)
  images = generator.integers(0, 256, (count, 28, 28, 1), dtype=np.uint8)
  return as_tensors(images, generator.integers(0, 10, count, dtype=np.int32))


def as_tensors(images: np.ndarray, labels: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
  """Returns uint8 images [N, 28, 28, 1] as float32 [N, 1, 28, 28] in [0, 1], labels as int64."""
  floats = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous().float() / 255
  return floats.to(DEVICE), torch.from_numpy(labels).long().to(DEVICE)


def make_mlp() -> nn.Module:
  return nn.Sequential(nn.Flatten(), nn.Linear(784, 500), nn.ReLU(), nn.Linear(500, 10))


def make_cnn(channels: tuple[int, int], dense: tuple[int, ...], dropout: bool) -> nn.Module:
  layers: list[nn.Module] = []
  before = 1
  for width in channels:
    layers += [nn.Conv2d(before, width, 4), nn.ReLU(), nn.MaxPool2d(2)]
    before = width
  layers.append(nn.Flatten())
  before = 16 * channels[1]
  for i, width in enumerate(dense):
    layers += [nn.Linear(before, width), nn.ReLU()]
    if dropout and i == 0:
      layers.append(nn.Dropout(0.25))
    before = width
  return nn.Sequential(*layers, nn.Linear(before, 10))


CNNS = (
  ((10, 20), (50, 100), True),
  ((10, 20), (50, 50, 40, 30), False),
  ((18, 22), (52,), False),
)


def epochs(model: nn.Module, batch_size: int, count: int) -> Work:
  images, labels = made_up_images(count)
  optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, weight_decay=1e-4)
  loss_function = nn.CrossEntropyLoss()

  def work() -> Any:
    model.train()
    order = torch.randperm(count)
    total, hits = torch.zeros(()), torch.zeros((), dtype=torch.long)
    for first in range(0, count, batch_size):
      rows = order[first : first + batch_size]
      x, y = images[rows], labels[rows]
      optimizer.zero_grad()
      outputs = model(x)
      loss = loss_function(outputs, y)
      loss.backward()
      optimizer.step()
      total += loss.detach() * len(rows)
      hits += (outputs.detach().argmax(1) == y).sum()
    return total.item() / count, hits.item() / count

  return work


def cnn_epoch(sizes: settings.Sizes) -> Work:
  return epochs(make_cnn(*CNNS[0]), 600, sizes.images)


def cnn_family(sizes: settings.Sizes) -> Work:
  works = [epochs(make_cnn(*shape), 600, sizes.images) for shape in CNNS]
  return lambda: [work() for work in works]


def mlp(sizes: settings.Sizes, batch_size: int) -> Work:
  return epochs(make_mlp(), batch_size, sizes.images)


def path_members(sizes: settings.Sizes) -> Work:
  works = [epochs(make_mlp(), 1000, sizes.images) for _ in range(sizes.members)]
  return lambda: [work() for work in works]


def function_net(widths: tuple[int, ...], activation: type[nn.Module]) -> nn.Sequential:
  layers: list[nn.Module] = []
  for before, width in zip((1, *widths), widths):
    layers += [nn.Linear(before, width), activation()]
  return nn.Sequential(*layers, nn.Linear(widths[-1], 1))


def function_data(target: str, points: int, dtype: torch.dtype = torch.float32) -> Any:
  x = np.linspace(-1, 1, points)
  y = np.sinc(5 * x) if target == "sinc" else np.sign(np.sin(5 * np.pi * x))
  return tuple(torch.tensor(v[:, None], dtype=dtype) for v in (x, y))


def fit(model: nn.Module, rate: float, x: Any, y: Any, num_epochs: int, stop: bool) -> int:
  """Trains full batch with the reports' stop rule; returns the epochs."""
  optimizer = torch.optim.Adam(model.parameters(), lr=rate, weight_decay=1e-4)
  loss_function = nn.MSELoss()
  history: list[float] = []
  for epoch in range(1, num_epochs + 1):
    optimizer.zero_grad()
    loss = loss_function(model(x), y)
    loss.backward()
    optimizer.step()
    history.append(loss.item())
    if stop and epoch > 5 and history[-1] < 1e-3:
      last, middle, first = history[-1], history[-2], history[-3]
      if abs(last - middle) < 1e-5 and abs(middle - first) < 1e-5:
        break
  return epoch


def fits(sizes: settings.Sizes, num_epochs: int, stop: bool, targets: Any) -> Work:
  jobs = []
  for target in targets:
    x, y = function_data(target, sizes.points)
    for widths, rate in zip(settings.FUNCTION_NETS, settings.LEARNING_RATES[target]):
      torch.manual_seed(0)
      jobs.append((function_net(widths, nn.LeakyReLU), rate, x, y))
  return lambda: [
    fit(copy.deepcopy(model), rate, x, y, num_epochs, stop) for model, rate, x, y in jobs
  ]


def small_steps(sizes: settings.Sizes) -> Work:
  return fits(sizes, sizes.small_steps, False, ("sinc",))


def six_fits(sizes: settings.Sizes) -> Work:
  return fits(sizes, sizes.fit_epochs, True, ("sinc", "sign_sine"))


def hessian_of(model: nn.Module, x: torch.Tensor, y: torch.Tensor, chunk: int) -> torch.Tensor:
  """Returns the exact Hessian [P, P] of the MSE over the model's parameters as one vector."""
  params = dict(model.named_parameters())
  names, shapes = list(params), [p.shape for p in params.values()]
  vector = torch.cat([p.detach().reshape(-1) for p in params.values()])

  def loss(theta: torch.Tensor) -> torch.Tensor:
    parts = torch.split(theta, [s.numel() for s in shapes])
    values = {n: p.reshape(s) for n, p, s in zip(names, parts, shapes)}
    return nn.functional.mse_loss(torch.func.functional_call(model, values, (x,)), y)

  return torch.func.jacrev(torch.func.grad(loss), chunk_size=chunk)(vector)


def hessian(sizes: settings.Sizes) -> Work:
  x, y = function_data("sinc", sizes.points, torch.float64)
  model = function_net((sizes.hessian_width,), nn.ReLU).double()
  return lambda: torch.linalg.eigvalsh(hessian_of(model, x, y, 32))


def minimal_ratio(sizes: settings.Sizes) -> Work:
  x, y = function_data("sinc", sizes.points)
  x64, y64 = x.double(), y.double()
  nets = [function_net(settings.FUNCTION_NETS[0], nn.ReLU) for _ in range(sizes.ratio_runs)]

  def work() -> Any:
    ratios = []
    for net in nets:
      model = copy.deepcopy(net)
      fit(model, 1e-3, x, y, sizes.ratio_epochs, False)
      values = torch.linalg.eigvalsh(hessian_of(model.double(), x64, y64, 571))
      ratios.append((values > 0).double().mean().item())
    return ratios

  return work


def critical_points(sizes: settings.Sizes) -> Work:
  """Returns the same steps, all members in one batch: vmap of the examples' gradients, Cholesky."""
  x, y = (v[:, 0] for v in function_data("sinc", sizes.points, torch.float64))
  width, points = sizes.hessian_width, sizes.points
  generator = torch.Generator(DEVICE).manual_seed(0)
  shape = (sizes.search_runs, 3 * width + 1)
  start = 2 * torch.rand(shape, generator=generator, dtype=torch.float64) - 1
  start[:, 2 * width :] /= width**0.5

  def output(theta: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    hidden = torch.relu(x * theta[width : 2 * width] + theta[:width])
    return hidden @ theta[2 * width + 1 :] + theta[2 * width]

  def residuals(theta: torch.Tensor) -> torch.Tensor:
    hidden = torch.relu(x[:, None] * theta[width : 2 * width] + theta[:width])
    return hidden @ theta[2 * width + 1 :] + theta[2 * width] - y

  func = torch.func
  jacobian_of = func.vmap(func.vmap(func.grad(output), (None, 0)), (0, None))
  values_of = func.vmap(residuals)

  def second(theta: torch.Tensor, step: torch.Tensor) -> torch.Tensor:
    return func.jvp(lambda t: func.jvp(residuals, (t,), (step,))[1], (theta,), (step,))[1]

  seconds_of = func.vmap(second)
  identity = torch.eye(points, dtype=torch.float64)

  @torch.no_grad()
  def work() -> Any:
    theta, factor = start.clone(), torch.full((sizes.search_runs,), 2.0, dtype=torch.float64)
    damping, columns = None, torch.zeros_like(start)
    for _ in range(sizes.search_steps):
      values, jacobian = values_of(theta), jacobian_of(theta, x)
      total = values.square().sum(1)
      columns = torch.maximum(columns, jacobian.norm(dim=1))
      divisors = torch.maximum(columns, 1e-2 * columns.amax(1, keepdim=True))
      scaled = jacobian / divisors[:, None]
      gram = scaled @ scaled.mT
      scale = gram.diagonal(dim1=1, dim2=2).amax(1)
      damping = 1e-3 * scale if damping is None else torch.maximum(damping, 1e-16 * scale)
      root = torch.linalg.cholesky(gram + damping[:, None, None] * identity)

      def solve(right: torch.Tensor, root: Any = root, scaled: Any = scaled) -> torch.Tensor:
        return -(scaled.mT @ torch.cholesky_solve(right[:, :, None], root))[:, :, 0]

      step = solve(values)
      promised = (values + (scaled @ step[:, :, None])[:, :, 0]).square().sum(1)
      bent = solve(seconds_of(theta, step / divisors) / 2)
      bends = 2 * bent.norm(dim=1) <= 0.75 * step.norm(dim=1)
      trial = theta + (step + torch.where(bends[:, None], bent, 0.0)) / divisors
      reached = values_of(trial).square().sum(1)
      takes = reached < total
      gain = ((total - reached) / (total - promised)).clamp(max=1)
      shrunk = damping * (1 - (2 * gain - 1) ** 3).clamp(0.1, 2.0)
      damping = torch.where(takes, shrunk, damping * factor)
      factor = torch.where(takes, 2.0, 2 * factor)
      theta = torch.where(takes[:, None], trial, theta)
    return values_of(theta).square().mean(1)

  return work


def interpolation(sizes: settings.Sizes) -> Work:
  images, labels = made_up_images(sizes.images + sizes.test_images)
  torch.manual_seed(0)
  start, end, between = make_mlp(), make_mlp(), make_mlp()

  @torch.no_grad()
  def work() -> Any:
    curve = []
    for alpha in torch.linspace(-2, 2, sizes.alphas).tolist():
      for p, a, b in zip(between.parameters(), start.parameters(), end.parameters()):
        p.copy_((1 - alpha) * a + alpha * b)
      loss, hits = 0.0, 0
      for first in range(0, len(labels), 5000):
        outputs, y = between(images[first : first + 5000]), labels[first : first + 5000]
        loss += nn.functional.cross_entropy(outputs, y, reduction="sum").item()
        hits += (outputs.argmax(1) == y).sum().item()
      curve.append((loss / len(labels), hits / len(labels)))
    return curve

  return work


def plane(sizes: settings.Sizes) -> Work:
  """Returns the plain loop over the points; a whole plane takes 15 minutes and more."""
  images, labels = made_up_images(sizes.images)
  torch.manual_seed(0)
  *corners, mixed = (make_mlp() for _ in range(4))

  @torch.no_grad()
  def work() -> Any:
    surface = []
    axis = torch.linspace(-1, 1, sizes.plane).tolist()
    for a in axis:
      for b in axis:
        for p, *leaves in zip(mixed.parameters(), *(net.parameters() for net in corners)):
          p.copy_((1 - a - b) * leaves[0] + a * leaves[1] + b * leaves[2])
        loss, hits = 0.0, 0
        for first in range(0, len(labels), 5000):
          outputs, y = mixed(images[first : first + 5000]), labels[first : first + 5000]
          loss += nn.functional.cross_entropy(outputs, y, reduction="sum").item()
          hits += (outputs.argmax(1) == y).sum().item()
        surface.append((loss / len(labels), hits / len(labels)))
    return surface

  return work


def input_sensitivity(sizes: settings.Sizes) -> Work:
  images, labels = made_up_images(sizes.test_images)
  torch.manual_seed(0)
  model = make_mlp()

  def work() -> Any:
    jacobian_total, loss_total = 0.0, 0.0
    for first in range(0, len(labels), 1000):
      x = images[first : first + 1000].clone().requires_grad_(True)
      logits = model(x)
      probabilities = logits.softmax(1)
      squares = torch.zeros(len(x))
      for c in range(10):
        (rows,) = torch.autograd.grad(probabilities[:, c].sum(), x, retain_graph=True)
        squares += rows.reshape(len(x), -1).square().sum(1)
      loss = nn.functional.cross_entropy(logits, labels[first : first + 1000], reduction="sum")
      (slope,) = torch.autograd.grad(loss, x)
      jacobian_total += squares.sqrt().sum().item()
      loss_total += slope.reshape(len(x), -1).norm(dim=1).sum().item()
    return jacobian_total / len(labels), loss_total / len(labels)

  return work


def spectrum(sizes: settings.Sizes, probes: int, num_steps: int) -> Work:
  """Returns PyHessian 0.1's density of the same net and data, one probe after the other."""
  from pyhessian import hessian as make_hessian  # pip install --no-deps pyhessian==0.1

  def eig(matrix: torch.Tensor, eigenvectors: bool) -> tuple[torch.Tensor, torch.Tensor]:
    values, vectors = torch.linalg.eigh(matrix)  # in the place of what PyTorch has removed
    return torch.stack([values, torch.zeros_like(values)], 1), vectors

  torch.eig = eig
  real = settings.mnist(sizes.spectrum_images)
  images, labels = as_tensors(*real) if real else made_up_images(sizes.spectrum_images)
  torch.manual_seed(0)
  model = make_mlp()

  def work() -> Any:
    found = make_hessian(model, nn.CrossEntropyLoss(), data=(images, labels),
                         cuda=settings.on_gpu())  # fmt: skip
    return found.density(iter=num_steps, n_v=probes)

  return work


def spectrum_one(sizes: settings.Sizes) -> Work:
  return spectrum(sizes, 1, sizes.lanczos_steps)


def spectrum_probes(sizes: settings.Sizes) -> Work:
  return spectrum(sizes, sizes.probes, sizes.lanczos_steps // 4)


WORKLOADS: dict[str, Callable[[settings.Sizes], Work]] = {
  "cnn_epoch": cnn_epoch,
  "cnn_family": cnn_family,
  "mlp_batch_10": functools.partial(mlp, batch_size=10),
  "mlp_batch_64": functools.partial(mlp, batch_size=64),
  "mlp_batch_100": functools.partial(mlp, batch_size=100),
  "mlp_batch_1000": functools.partial(mlp, batch_size=1000),
  "small_steps": small_steps,
  "six_fits": six_fits,
  "hessian": hessian,
  "minimal_ratio": minimal_ratio,
  "critical_points": critical_points,
  "interpolation": interpolation,
  "plane": plane,
  "spectrum": spectrum_one,
  "spectrum_probes": spectrum_probes,
  "sensitivity": input_sensitivity,
  "path_members": path_members,
}


def set_up(name: str) -> None:
  """Uses as many threads as our side has cores; on a GPU float32 products, as our side.

  Subnormal numbers are zero, as in XLA: Adam makes some in every long training, and without this an
  epoch of 784-500-10 at batch 100 takes 2 s at first and 15 s from the sixth on.
  """
  del name
  torch.set_flush_denormal(True)
  torch.set_num_threads(torch.get_num_threads())
  torch.set_default_device(DEVICE)
  torch.backends.cudnn.allow_tf32 = False  # of convolutions; products are float32 by default


def finish() -> None:
  """Waits until the device has done what it was given."""
  if DEVICE.type == "cuda":
    torch.cuda.synchronize()


def device() -> str:
  """Returns the GPU's name, '' on a CPU."""
  return torch.cuda.get_device_name() if DEVICE.type == "cuda" else ""


def versions() -> str:
  return f"PyTorch {torch.__version__.split('+')[0]}"
