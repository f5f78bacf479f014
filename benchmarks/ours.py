"""Our side of the workloads: a name -> a function that makes the work ready and returns it."""

import functools
import os
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import sizes as settings
from hw1_jax import analysis, data, devices, models, pytrees, rng, training
from hw1_jax.training import full_batch, losses, optimizers

Work = Callable[[], Any]


def made_up_images(count: int) -> tuple[jax.Array, jax.Array]:
  """Returns MNIST-shaped random images and labels; the time does not depend on their content."""
  generator = np.random.default_rng(0)
  images = generator.integers(0, 256, (count, 28, 28, 1), dtype=np.uint8)
  return jnp.asarray(images), jnp.asarray(generator.integers(0, 10, count, dtype=np.int32))


def epochs(model: Any, batch_size: int, count: int, members: int = 1) -> Work:
  """Returns one training epoch of every member; each call goes on from the last one's state."""
  optimizer = optimizers.adam(1e-3, 1e-4)
  images, labels = made_up_images(count)
  keys = rng.member_keys(0, members)
  params = jax.vmap(lambda key: models.init(model, key, (1, 28, 28, 1)))(keys)
  start = devices.map_members(lambda params: training.init_state(params, optimizer))
  run = training.map_epochs(model, optimizer, batch_size)
  stacked = jnp.broadcast_to(labels, (members, count))
  state = [start(params)]

  def work() -> Any:
    state[0], info = run(images, stacked, state[0], keys)
    return jax.block_until_ready((state[0], info))

  return work


def cnn_epoch(sizes: settings.Sizes) -> Work:
  return epochs(models.parse_cnn(settings.CNNS[0]), 600, sizes.images)


def cnn_family(sizes: settings.Sizes) -> Work:
  """Returns one epoch of each model, the models side by side on the devices."""
  optimizer = optimizers.adam(1e-3, 1e-4)
  key = rng.member_keys(0, 1)[0]
  jobs: list[list[Any]] = []
  for i, spec in enumerate(settings.CNNS):
    model = models.parse_cnn(spec)
    epoch = training.make_epoch(training.make_gradients(model), optimizer, 600)
    state = training.init_state(models.init(model, key, (1, 28, 28, 1)), optimizer)
    device = jax.devices()[i % len(jax.devices())]
    jobs.append(
      [jax.jit(epoch), *jax.device_put((*made_up_images(sizes.images), state, key), device)]
    )

  def work() -> Any:
    done = [run(*rest) for run, *rest in jobs]
    for job, (state, _) in zip(jobs, done):
      job[3] = state
    return jax.block_until_ready(done)

  return work


def mlp(sizes: settings.Sizes, batch_size: int) -> Work:
  return epochs(models.MLP((500, 10)), batch_size, sizes.images)


def path_members(sizes: settings.Sizes) -> Work:
  return epochs(models.MLP((500, 10)), 1000, sizes.images, sizes.members)


def fits(
  sizes: settings.Sizes, num_epochs: int, rule: full_batch.StopRule | None, targets: Any
) -> Work:
  """Returns the trainings of every net on every target, from fixed initial weights."""
  jobs = []
  for target in targets:
    x, y = data.function_data(target, sizes.points)
    for widths, rate in zip(settings.FUNCTION_NETS, settings.LEARNING_RATES[target]):
      model = models.MLP((*widths, 1), "leaky_relu", batch_last=True)
      forward, start = models.ravelled(model, rng.member_keys(0, 1), (1, 1))
      chunk = full_batch.make_fit_chunk(
        lambda params, x, y, forward=forward: losses.mse(forward(params, x), y),
        optimizers.adam(rate, 1e-4),
        rule,
        num_epochs=num_epochs,
        chunk_size=num_epochs,
      )
      init = full_batch.start_state(start[0], optimizers.adam(rate, 1e-4))
      device = jax.devices()[len(jobs) % len(jax.devices())]  # side by side, as members are
      jobs.append((jax.jit(chunk), *jax.device_put((init, x, y), device)))
  return lambda: jax.block_until_ready([run(*rest) for run, *rest in jobs])


def small_steps(sizes: settings.Sizes) -> Work:
  return fits(sizes, sizes.small_steps, None, ("sinc",))


def six_fits(sizes: settings.Sizes) -> Work:
  return fits(sizes, sizes.fit_epochs, full_batch.StopRule(), ("sinc", "sign_sine"))


def function_net(widths: tuple[int, ...], members: int) -> tuple[Any, ...]:
  model = models.MLP((*widths, 1), "relu", batch_last=True)
  forward, start = models.ravelled(model, rng.member_keys(0, members), (1, 1))
  unravel = pytrees.ravel(models.init(model, jax.random.key(0), (1, 1)))[1]
  return forward, start, unravel


def hessian(sizes: settings.Sizes) -> Work:
  _, start, unravel = function_net((sizes.hessian_width,), 1)
  x, y = data.function_data("sinc", sizes.points, dtype=np.float64)
  params = pytrees.cast(unravel(start[0]), jnp.float64)

  @jax.jit
  def spectrum(params: Any) -> jax.Array:
    matrix = analysis.mlp_hessian(params, jax.nn.relu, x, y)
    return jnp.linalg.eigvalsh(matrix)

  return lambda: jax.block_until_ready(spectrum(params))


def minimal_ratio(sizes: settings.Sizes) -> Work:
  forward, start, unravel = function_net(settings.FUNCTION_NETS[0], sizes.ratio_runs)
  x, y = data.function_data("sinc", sizes.points)
  x64, y64 = data.function_data("sinc", sizes.points, dtype=np.float64)

  def ratio(vector: jax.Array) -> jax.Array:
    params = pytrees.cast(unravel(vector), jnp.float64)
    matrix = analysis.mlp_hessian(params, jax.nn.relu, x64, y64)
    return analysis.minimal_ratio(jnp.linalg.eigvalsh(matrix))

  ratios = devices.map_members(ratio)
  batches = [jnp.stack([jnp.asarray(v)] * sizes.ratio_runs) for v in (x, y)]
  optimizer = optimizers.adam(1e-3, 1e-4)
  chunk = full_batch.make_fit_chunk(
    lambda params, x, y: losses.mse(forward(params, x), y),
    optimizer,
    None,
    num_epochs=sizes.ratio_epochs,
    chunk_size=sizes.ratio_epochs,
  )
  train = devices.map_members(chunk)
  states = jax.vmap(lambda params: full_batch.start_state(params, optimizer))(start)

  @devices.one_lapack_thread()
  def work() -> Any:
    trained, _ = train(states, *batches)
    return jax.block_until_ready(ratios(trained.train.params))

  return work


def critical_points(sizes: settings.Sizes) -> Work:
  """Returns Levenberg-Marquardt steps of every member from fixed weights, float64."""
  forward, start, _ = function_net((sizes.hessian_width,), sizes.search_runs)
  x, y = (jnp.asarray(v) for v in data.function_data("sinc", sizes.points, dtype=np.float64))

  def output(theta: jax.Array, x: jax.Array) -> jax.Array:
    return forward(theta, x[None])[0, 0]

  def search(theta: jax.Array) -> jax.Array:
    return analysis.levenberg_marquardt.minimize(
      lambda t: forward(t, x) - y, theta, tolerance=1e-300, max_iterations=sizes.search_steps,
      jacobian=lambda t: jax.vmap(jax.grad(output), (None, 0))(t, x),
    ).loss  # fmt: skip

  searches = devices.map_members(search)
  vectors = start.astype(jnp.float64)
  return devices.one_lapack_thread()(lambda: jax.block_until_ready(searches(vectors)))


def interpolation(sizes: settings.Sizes) -> Work:
  model = models.MLP((500, 10))
  images, labels = made_up_images(sizes.images + sizes.test_images)
  start, end = (models.init(model, jax.random.key(k), (1, 28, 28, 1)) for k in (0, 1))
  measure = jax.jit(analysis.make_interpolate_mlp(model))
  alphas = jnp.linspace(-2, 2, sizes.alphas, dtype=jnp.float32)
  return lambda: jax.block_until_ready(measure(images, labels, start, end, alphas))


def plane(sizes: settings.Sizes) -> Work:
  """Returns loss and accuracy on a plane through three networks, parts of it side by side."""
  model = models.MLP((500, 10))
  images, labels = made_up_images(sizes.images)
  nets = [models.init(model, jax.random.key(k), (1, 28, 28, 1)) for k in range(3)]
  axis = np.linspace(-1, 1, sizes.plane, dtype=np.float32)
  points = analysis.surface.grid(axis, axis)
  parts = len(jax.devices())
  points = np.concatenate([points, points[-1:].repeat(-len(points) % parts, axis=0)])
  measure = devices.map_members(analysis.surface.make_surface_mlp(model), num_shared=3)
  shared = devices.share((images, labels, analysis.surface.stack(*nets)), parts)
  stacked = points.reshape(parts, -1, 2)
  return lambda: jax.block_until_ready(measure(*shared, stacked))


def input_sensitivity(sizes: settings.Sizes) -> Work:
  model = models.MLP((500, 10))
  images, labels = made_up_images(sizes.test_images)
  params = models.init(model, jax.random.key(0), (1, 28, 28, 1))
  measure = jax.jit(analysis.make_mlp_sensitivity(model))
  return lambda: jax.block_until_ready(measure(images, labels, params))


def spectrum(sizes: settings.Sizes, probes: int, num_steps: int) -> Work:
  """Returns Lanczos quadrature of the Hessian of 784-500-10, `probes` side by side."""
  model = models.MLP((500, 10))
  images, labels = settings.mnist(sizes.spectrum_images) or made_up_images(sizes.spectrum_images)
  params = models.init(model, jax.random.key(0), (1, 28, 28, 1))

  @jax.jit
  def quadrature(params: Any, packed: analysis.Packed) -> Any:
    operator = analysis.mlp_operator(params, "relu", losses.cross_entropy, packed)
    return analysis.spectral_quadrature(
      operator, jax.random.key(1), num_probes=probes, num_steps=num_steps
    )

  def work() -> Any:
    packed = analysis.pack((data.as_float(images), jnp.asarray(labels)))
    return jax.block_until_ready(quadrature(params, packed))

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
X64 = ("hessian", "minimal_ratio", "critical_points")


def set_up(name: str) -> None:
  """Configures JAX as the experiments do: every core a device, float64 where Hessians are."""
  jax.config.update("jax_num_cpu_devices", len(os.sched_getaffinity(0)))
  jax.config.update("jax_enable_x64", name in X64)
  if settings.on_gpu():
    jax.config.update("jax_default_matmul_precision", "float32")


def finish() -> None:
  """Waits for nothing: the works do."""


def versions() -> str:
  return f"jax {jax.__version__}"
