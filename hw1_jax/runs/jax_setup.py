"""JAX made ready for one experiment, before any array exists."""

import contextlib
import gc

import jax

from hw1_jax.errors import UserError, show
from hw1_jax.runs.circumstances import pin
from hw1_jax.runs.compiled import keep_programs
from hw1_jax.runs.experiment import Experiment
from hw1_jax.runs.options import Options
from hw1_jax.runs.processes import initialize
from hw1_jax.runs.provenance import threads, usable_cores

# Objects made before Python looks for cycles among them; its own choice is 700. Tracing and drawing
# make millions: at 700 the search takes a twentieth of a quick run's time.
MANY_OBJECTS = 50_000


def set_up(experiment: Experiment, options: Options) -> None:
  """Configures precision, compilation cache and devices, and joins the other processes.

  On a GPU a float32 product would keep 10 bits of its factors (TensorFloat-32), if not asked.

  Raises:
    UserError: more devices are asked for than there are, or the processes' options are wrong.
    ProcessLost: the other processes did not come.
  """
  gc.set_threshold(MANY_OBJECTS)
  pin(experiment)
  threads()  # a value of NPROC that is no number is refused before XLA reads it
  keep_programs(options.compilation_cache_dir)
  _limit_devices(options.num_devices)
  if options.several_processes:
    initialize(options)
  available = _count_devices()
  if jax.default_backend() != "cpu":  # the CPU has no coarser products
    jax.config.update("jax_default_matmul_precision", "float32")
  if options.num_devices is not None and options.num_devices > available:
    raise UserError("num_devices", options.num_devices, f"at most {available} here")


def _count_devices() -> int:
  """Returns how many devices this process has; UserError where the platform asked for has none."""
  try:
    return jax.local_device_count()
  except (RuntimeError, AssertionError) as error:
    platforms = jax.config.values["jax_platforms"]
    if not platforms:
      raise
    reason = f"{show(platforms)} ({(str(error).splitlines() or ['no such device'])[0][:200]})"
    raise UserError(
      "the environment variable JAX_PLATFORMS", reason, "a platform that is here, such as cpu"
    ) from None


def _limit_devices(num_devices: int | None) -> None:
  """Makes one CPU device a core or `num_devices`, and lets a GPU process see so many GPUs."""
  with contextlib.suppress(RuntimeError):  # a backend exists: a second call in one process
    jax.config.update("jax_num_cpu_devices", num_devices or usable_cores())
  if num_devices is not None:
    visible = ",".join(map(str, range(num_devices)))
    jax.config.update("jax_cuda_visible_devices", visible)
    jax.config.update("jax_rocm_visible_devices", visible)
