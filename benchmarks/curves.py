"""The scaling curves: what grows, what is computed at each size, and what theory says of it.

A curve has one series or two that share its axis. A series' `work` makes inputs and function ready
and returns the call to be timed. Its `exponent` is that of the time for large sizes, `memory` that
of what the call needs on top of its inputs; `reason` says where they come from.
"""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import ours
from benchmarks import sizes as settings
from hw1_jax import analysis, data, devices, models, pytrees, rng
from hw1_jax.runs.provenance import usable_cores
from hw1_jax.training import full_batch, losses, optimizers


@dataclasses.dataclass(frozen=True)
class Amounts:
  """How much work the sizes that do not grow are."""

  steps: int = 200  # of each function fit
  points: int = 300  # of the fitted function
  images: int = 60_000  # an epoch of the curve over widths
  member_images: int = 12_000  # an epoch where members or devices grow: a fifth, to save time
  all_images: int = 70_000  # of the interpolation: training and test set
  batch_size: int = 600
  spectrum_images: int = 2000  # of Hessian-vector products
  lanczos_steps: int = 20  # where probes grow
  plane_images: int = 10_000
  search_steps: int = 30  # of Levenberg-Marquardt
  search_width: int = 500


FULL = Amounts()
QUICK = Amounts(
  steps=20, points=30, images=600, member_images=600, all_images=1000, batch_size=200,
  spectrum_images=60, lanczos_steps=4, plane_images=60, search_steps=3, search_width=10,
)  # fmt: skip


def fits(members: int, amounts: Amounts) -> ours.Work:
  """Returns `steps` full-batch steps of every member's 571-parameter net."""
  model = models.MLP((*settings.FUNCTION_NETS[0], 1), "leaky_relu", batch_last=True)
  forward, start = models.ravelled(model, rng.member_keys(0, members), (1, 1))
  optimizer = optimizers.adam(settings.LEARNING_RATES["sinc"][0], 1e-4)
  train = devices.map_members(
    full_batch.make_fit_chunk(
      lambda params, x, y: losses.mse(forward(params, x), y),
      optimizer,
      None,
      num_epochs=amounts.steps,
      chunk_size=amounts.steps,
    )
  )
  states = jax.vmap(lambda params: full_batch.start_state(params, optimizer))(start)
  batches = [jnp.stack([v] * members) for v in data.function_data("sinc", amounts.points)]
  return lambda: jax.block_until_ready(train(states, *batches))


def member_epochs(members: int, amounts: Amounts) -> ours.Work:
  """Returns an epoch of every member's MLP 784-50-10."""
  return ours.epochs(models.MLP((50, 10)), amounts.batch_size, amounts.member_images, members)


def wide_epoch(width: int, amounts: Amounts) -> ours.Work:
  """Returns an epoch of the MLP 784-width-10."""
  return ours.epochs(models.MLP((width, 10)), amounts.batch_size, amounts.images)


def hessian_inputs(num_params: int, amounts: Amounts) -> tuple:
  """Returns (parameters of 1-w-1, x, y) in float64; such a net has 3 w + 1 parameters."""
  _, start, unravel = ours.function_net((num_params // 3,), 1)
  x, y = data.function_data("sinc", amounts.points, dtype=np.float64)
  return pytrees.cast(unravel(start[0]), jnp.float64), jnp.asarray(x), jnp.asarray(y)


def hessian(num_params: int, amounts: Amounts) -> ours.Work:
  """Returns the exact Hessian."""
  inputs = hessian_inputs(num_params, amounts)
  matrix = jax.jit(lambda params, x, y: analysis.mlp_hessian(params, jax.nn.relu, x, y))
  return lambda: jax.block_until_ready(matrix(*inputs))


def eigenvalues(num_params: int, amounts: Amounts) -> ours.Work:
  """Returns the eigenvalues of the Hessian, which is an input here."""
  matrix = hessian(num_params, amounts)()
  return lambda: jax.block_until_ready(analysis.eigenvalues(matrix))


def interpolation(num_alphas: int, amounts: Amounts) -> ours.Work:
  """Returns loss and accuracy of the MLP 784-500-10 at every alpha."""
  model = models.MLP((500, 10))
  images, labels = ours.made_up_images(amounts.all_images)
  start, end = (models.init(model, jax.random.key(k), (1, 28, 28, 1)) for k in (0, 1))
  measure = jax.jit(analysis.make_interpolate_mlp(model))
  alphas = jnp.linspace(-2, 2, num_alphas, dtype=jnp.float32)
  return lambda: jax.block_until_ready(measure(images, labels, start, end, alphas))


def lanczos(num_steps: int, amounts: Amounts) -> ours.Work:
  """Returns one probe's quadrature of the Hessian of 784-500-10."""
  return ours.spectrum(_sizes(amounts), probes=1, num_steps=num_steps)


def probes(num_probes: int, amounts: Amounts) -> ours.Work:
  """Returns the same of several probes, side by side."""
  return ours.spectrum(_sizes(amounts), probes=num_probes, num_steps=amounts.lanczos_steps)


def plane(num_points: int, amounts: Amounts) -> ours.Work:
  """Returns loss and accuracy on `num_points` by `num_points` points of a plane of 784-500-10."""
  return ours.plane(dataclasses.replace(_sizes(amounts), plane=num_points))


def search(num_examples: int, amounts: Amounts) -> ours.Work:
  """Returns Levenberg-Marquardt steps of one run of 1-500-1 to a gradient of zero."""
  return ours.critical_points(dataclasses.replace(_sizes(amounts), points=num_examples))


def _sizes(amounts: Amounts) -> settings.Sizes:
  return settings.Sizes(
    spectrum_images=amounts.spectrum_images, images=amounts.plane_images, search_runs=1,
    search_steps=amounts.search_steps, hessian_width=amounts.search_width,
  )  # fmt: skip


def cnn_epochs(devices: int, amounts: Amounts) -> ours.Work:
  """Returns an epoch of four members of the CNN; `set_up` made so many devices."""
  del devices
  model = models.parse_cnn(settings.CNNS[0])
  return ours.epochs(model, amounts.batch_size, amounts.member_images, members=4)


@dataclasses.dataclass(frozen=True)
class Series:
  """One line of a panel."""

  label: str
  work: Callable[[int, Amounts], ours.Work]
  exponent: float  # of the time
  memory: float  # exponent of the memory on top of the inputs
  reason: str
  with_constant: bool = False  # the time is a + b size: `exponent` is what it tends to


@dataclasses.dataclass(frozen=True)
class Curve:
  """One panel: the sizes of the full and of the quick form, and what is measured at each."""

  title: str
  axis: str
  symbol: str  # of the size, in the label of the theory
  sizes: tuple[int, ...]
  quick: tuple[int, ...]
  series: dict[str, Series]
  x64: bool = False


CURVES = {
  "members": Curve(
    "Members",
    "members M",
    "M",
    (1, 2, 4, 8, 16, 32, 64),
    (1, 2, 4),
    {
      "fit": Series(
        "function fit, 571 parameters",
        fits,
        1,
        1,
        "each of D devices trains M / D members one after the other; a member's state, history and "
        "data are kept for all of them",
      ),
      "mlp": Series(
        "MLP 784-50-10",
        member_epochs,
        1,
        1,
        "as above; parameters and both Adam moments a member, the images only once a device",
      ),
    },
  ),
  "width": Curve(
    "Width of 784-w-10",
    "hidden units w",
    "w",
    (50, 100, 200, 500, 1000, 2000),
    (50, 100, 200),
    {
      "epoch": Series(
        "one epoch",
        wide_epoch,
        1,
        1,
        "an example takes 2 w (784 + 10) operations forward and about twice that backward; "
        "parameters, gradient, moments and activations are linear in w",
      )
    },
  ),
  "hessian": Curve(
    "Exact Hessian of 1-w-1",
    "parameters P",
    "P",
    (100, 202, 400, 802, 1501, 3001),
    (31, 61, 121),
    {
      "matrix": Series(
        "Hessian",
        hessian,
        2,
        2,
        "one product of Jacobians, [P, N] by [N, P], is 2 N P² operations, and the points N are "
        "fixed; the result has P² entries",
      ),
      "eigenvalues": Series(
        "eigenvalues",
        eigenvalues,
        3,
        2,
        "Householder's reduction to tridiagonal form is 4/3 P³ operations, what follows is P²; it "
        "works on copies of the matrix",
      ),
    },
    x64=True,
  ),
  "alphas": Curve(
    "Interpolation",
    "alphas A",
    "A",
    (2, 5, 11, 31, 61, 121),
    (2, 5, 11),
    {
      "interpolation": Series(
        "all images",
        interpolation,
        1,
        1,
        "the two models' first layer is computed once (a), then each alpha mixes it and runs the "
        "small layer behind (b): a + b A; the parameters are mixed for every alpha",
        with_constant=True,
      )
    },
  ),
  "lanczos": Curve(
    "Lanczos",
    "steps m",
    "m",
    (10, 20, 40, 80, 160),
    (2, 4, 8),
    {
      "probe": Series(
        "one probe",
        lanczos,
        2,
        1,
        "m products of the matrix and, to keep m vectors of P numbers orthogonal, 2 m² P "
        "multiplications, which are less as long as m is small; the basis has m P numbers",
      )
    },
  ),
  "probes": Curve(
    "Probes side by side",
    "probes K",
    "K",
    (1, 2, 4, 8, 16),
    (1, 2, 4),
    {
      "probes": Series(
        "20 steps",
        probes,
        1,
        1,
        "each probe has products and a basis of its own; what is linearized, they share",
      )
    },
  ),
  "plane": Curve(
    "Error surface",
    "points an axis G",
    "G",
    (3, 5, 11, 21, 41),
    (2, 3, 5),
    {
      "plane": Series(
        "784-500-10",
        plane,
        2,
        0,
        "the three nets' first layer is computed once, then each of G² points mixes it; a point "
        "leaves two numbers",
      )
    },
  ),
  "search": Curve(
    "Gradient zero, 1-500-1",
    "examples N",
    "N",
    (75, 150, 300, 600, 1200),
    (5, 10, 20),
    {
      "search": Series(
        "30 steps",
        search,
        2,
        1,
        "as long as N is less than P, the system J J' is 2 N² P operations and its factorization "
        "N³ / 3; the Jacobian has N P numbers, the system N²",
      )
    },
    x64=True,
  ),
  "devices": Curve(
    "CPU devices",
    "devices D",
    "D",
    (1, 2),
    (1, 2),
    {
      "cnn": Series(
        "4 CNN epochs",
        cnn_epochs,
        -1,
        1,
        "independent members are shared out, 4 / D a device. It is the best case: one device "
        "already gives its large products to all cores; the images are copied to each device",
      )
    },
  ),
}


def set_up(curve: str, size: int) -> None:
  """Configures JAX for one point: the CPU, every core a device, float64 for Hessians."""
  jax.config.update("jax_platforms", "cpu")
  jax.config.update("jax_num_cpu_devices", size if curve == "devices" else usable_cores())
  jax.config.update("jax_enable_x64", CURVES[curve].x64)
