"""Networks, optimizers and targets of one's own, as users run them: outside the repository."""

import importlib
import json
import pathlib
import re
import shlex
import shutil
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import NAMES, experiment, tiny_flags

from experiments.minimal_ratio import points
from hw1_jax import data, models, training
from hw1_jax.errors import UserError
from hw1_jax.runs import circumstances
from hw1_jax.runs.main import main
from hw1_jax.training import evaluation, losses, optimizers

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "own_model"
SLOW = pytest.mark.slow


@pytest.fixture
def my_module(tmp_path, monkeypatch):
  """Returns a function that writes a module of a name of its own, which can be imported."""
  monkeypatch.syspath_prepend(tmp_path)

  def write(source):
    name = f"module_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(source)
    sys.modules.pop(name, None)
    return name

  return write


LINEN = """
from flax import linen as nn
class Net(nn.Module):
  outputs: int
  @nn.compact
  def __call__(self, x, train=False):
    x = nn.tanh(nn.Dense(4)(x.reshape(len(x), -1)))
    x = nn.Dropout(0.5, deterministic=not train)(x)
    return nn.Dense(self.outputs)(x)
def make(num_outputs):
  return Net(num_outputs)
"""
PAIR = """
import jax, jax.numpy as jnp
def make(num_outputs, input_shape):
  def init(key, x):
    assert x.shape[1:] == input_shape
    return [{"w": jax.random.normal(key, (x[0].size, num_outputs))}, jnp.zeros(num_outputs)]
  def apply(params, x):
    return x.reshape(len(x), -1) @ params[0]["w"] + params[1]
  return init, apply
"""
NNX = """
from flax import nnx
import math
class Net(nnx.Module):
  def __init__(self, rngs, inputs, outputs):
    self.first = nnx.Linear(inputs, 4, rngs=rngs)
    self.dropout = nnx.Dropout(0.5, rngs=rngs)
    self.last = nnx.Linear(4, outputs, rngs=rngs)
  def __call__(self, x):
    return self.last(self.dropout(nnx.tanh(self.first(x.reshape(len(x), -1)))))
def make(rngs, num_outputs, input_shape):
  return Net(rngs, math.prod(input_shape), num_outputs)
"""
EQUINOX = """
import equinox as eqx, jax, math
class Net(eqx.Module):
  first: eqx.nn.Linear
  dropout: eqx.nn.Dropout
  last: eqx.nn.Linear
  def __init__(self, key, inputs, outputs):
    a, b = jax.random.split(key)
    self.first, self.last = eqx.nn.Linear(inputs, 4, key=a), eqx.nn.Linear(4, outputs, key=b)
    self.dropout = eqx.nn.Dropout(0.5)
  def __call__(self, x, key=None):
    return self.last(self.dropout(jax.nn.tanh(self.first(x.ravel())), key=key))
def make(key, num_outputs, input_shape):
  return Net(key, math.prod(input_shape), num_outputs)
"""
HAIKU = """
import haiku as hk, jax
def make(num_outputs):
  def forward(x, is_training):
    x = jax.nn.tanh(hk.Linear(4)(x.reshape(len(x), -1)))
    x = hk.dropout(hk.next_rng_key(), 0.5, x) if is_training else x
    return hk.Linear(num_outputs)(x)
  transformed = hk.transform(forward)
  return (lambda key, x: transformed.init(key, x, False)), transformed.apply
"""
KINDS = {"linen": LINEN, "pair": PAIR, "nnx": NNX, "equinox": EQUINOX, "haiku": HAIKU}


@pytest.mark.parametrize("kind", KINDS)
def test_a_network_of_every_kind_is_init_and_apply(kind, my_module):
  if kind in ("equinox", "haiku"):
    pytest.importorskip(kind)
  model = models.make_mlp(f"{my_module(KINDS[kind])}:make", 3, (2, 2, 1))
  assert model is models.make_mlp(f"{my_module(KINDS[kind])}:make", 3, (2, 2, 1))
  keys = jax.random.split(jax.random.key(0), 2)
  params = models.init_members(model, keys, (1, 2, 2, 1))  # inside jit and vmap
  first, second = (jax.tree.map(lambda leaf, m=m: leaf[m], params) for m in (0, 1))
  assert isinstance(first, dict)
  x = jnp.arange(20.0).reshape(5, 2, 2, 1) / 20
  outputs = models.apply(model, first, x)
  assert outputs.shape == (5, 3)
  assert (outputs != models.apply(model, second, x)).any()  # another key, other weights
  np.testing.assert_array_equal(outputs, models.apply(model, first, x))  # no dropout
  gradient = jax.grad(lambda p: jnp.sum(models.apply(model, p, x) ** 2))(first)
  assert max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(gradient)) > 0
  if kind != "pair":
    dropped = [
      jax.jit(lambda p, key: models.apply(model, p, x, train=True, rngs={"dropout": key}))(
        first, jax.random.key(i)
      )
      for i in range(4)
    ]
    assert len({np.asarray(d).tobytes() for d in dropped}) > 1  # another mask with another key


def test_the_pair_computes_what_the_user_wrote(my_module):
  model = models.make_mlp(f"{my_module(PAIR)}:make", 2, (3,))
  params = models.init(model, jax.random.key(0), (1, 3))
  (w,) = [leaf for leaf in params.values() if leaf.ndim == 2]
  x = jnp.eye(3)
  np.testing.assert_allclose(models.apply(model, params, x), w, rtol=1e-6)  # float32


BATCH_NORM = """
from flax import linen as nn
class Net(nn.Module):
  @nn.compact
  def __call__(self, x):
    return nn.BatchNorm(use_running_average=False)(nn.Dense(2)(x))
def make():
  return Net()
def nothing():
  return 3
def wide(num_outputs):
  return nn.Dense(num_outputs + 1)
def empty(num_outputs):
  return (lambda key, x: {}), (lambda params, x: jax.numpy.zeros((len(x), num_outputs)))
"""


@pytest.mark.parametrize(
  ("name", "match"),
  [
    ("make", "with state beside its parameters, expected parameters only; use a network without"),
    ("nothing", "nothing, which makes a int, expected a flax.linen module or a pair init, apply"),
    ("wide", r"wide with outputs \[2, 3\] for inputs \[2, 4\], expected outputs \[2, 2\]"),
    ("empty", "empty without a parameter, expected parameters to train"),
    ("maek", r"no such function in .*, expected one of .*make, nothing, wide"),
  ],
)
def test_what_is_no_network_is_refused(name, match, my_module):
  with pytest.raises(UserError, match=match):
    models.make_mlp(f"{my_module(BATCH_NORM)}:{name}", 2, (4,))


def test_a_module_that_is_not_there_is_refused():
  with pytest.raises(UserError, match="model: got 'nowhere:make', and no module nowhere, expected"):
    models.make_mlp("nowhere:make", 2, (4,))


# Targets.


@pytest.mark.parametrize(
  ("formula", "expected"),
  [
    ("x*sin(8*x)", lambda x: x * np.sin(8 * x)),
    ("-x**2 + 1/(2 - x)", lambda x: -(x**2) + 1 / (2 - x)),
    ("tanh(3*x) * exp(-abs(x)) + cos(pi*x)", lambda x: np.tanh(3 * x) * np.exp(-np.abs(x))
      + np.cos(np.pi * x)),
    ("sqrt(1.5 + x) - log(2+x)*sign(x)", lambda x: np.sqrt(1.5 + x) - np.log(2 + x) * np.sign(x)),
    ("2**-1", lambda x: 0.5 + 0 * x),
    ("square", lambda x: x**2),
    ("stair", lambda x: np.floor(5 * x) / 5),
    ("step", lambda x: np.where(x > 0, 1.0, 0.0)),
  ],
)  # fmt: skip
def test_a_formula_is_what_it_says(formula, expected):
  x, y = data.function_data(formula, 40, dtype=np.float64)
  np.testing.assert_allclose(y, expected(x), rtol=1e-14, atol=1e-15)
  np.testing.assert_allclose(data.make_target(formula)(jnp.asarray(x)), expected(x), atol=1e-5)


@pytest.mark.parametrize(
  "text",
  ["__import__('os').system('true')", "x.real", "x if x else 1", "[x]", "lambda: x", "y", "sin",
   "sin(x, x)", "sin(x=x)", "open(x)", "x @ x", "x // 2", "True", "1j", "'a'", "", "x +", "x; x",
   "(" * 300 + "x" + ")" * 300, "-" * 499 + "x" + "-", "9" * 600, "(x := 1)", "x % 2", "cosine"],
)  # fmt: skip
def test_what_is_no_formula_is_refused(text):
  with pytest.raises(UserError, match="target: got"):
    data.make_target(text)


def test_a_target_that_is_not_finite_is_refused():
  with pytest.raises(
    UserError, match=r"target: got 'log\(x\)', not finite at x = -1, expected fin"
  ):
    data.function_data("log(x)", 10)
  with pytest.raises(UserError, match="not finite at x = 0"):
    data.function_data("1/x", 11)


def test_targets_have_file_names_of_their_own():
  names = ["x/2", "x*2", "x+2", "my_module:f", "sinc"]
  files = [data.target_file(name) for name in names]
  assert len(set(files)) == len(files)
  assert all(re.fullmatch(r"[A-Za-z0-9_]+", file) for file in files)
  assert files[-1] == "sinc"


# Optimizers.


def test_an_optimizer_gets_what_its_arguments_name(my_module):
  source = "import optax\ndef make(learning_rate):\n  return optax.sgd(learning_rate)\nf = int\n"
  name = my_module(source)
  optimizer = optimizers.make_optimizer(f"{name}:make", 0.5, 0.1)
  updates, _ = optimizer.update(jnp.ones(2), optimizer.init(jnp.zeros(2)), jnp.zeros(2))
  np.testing.assert_allclose(updates, -0.5)
  with pytest.raises(UserError, match="which makes a int, expected an optax transformation"):
    optimizers.make_optimizer(f"{name}:f", 0.5)


def test_momentum_is_sgds():
  optimizer = optimizers.make_optimizer("sgd", 0.1, 0.0, 0.5)
  state, params = optimizer.init(jnp.zeros(1)), jnp.zeros(1)
  for _ in range(2):  # b = 1, then 0.5 + 1; theta = -0.1 (1 + 1.5)
    updates, state = optimizer.update(jnp.ones(1), state, params)
    params = params + updates
  np.testing.assert_allclose(params, -0.25, rtol=1e-6)  # float32
  with pytest.raises(
    UserError, match=r"momentum: got 0.5, expected 0 with adam; use optimizer=sgd"
  ):
    optimizers.make_optimizer("adam", 0.1, 0.0, 0.5)


# The example, and every experiment that takes a network, as commands in another folder.


def command(folder, *words):
  return subprocess.run(
    [sys.executable, *words], cwd=folder, capture_output=True, text=True, timeout=300,
    env={"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu", "PATH": "/usr/bin:/bin"},
  )  # fmt: skip


@pytest.mark.slow
def test_the_example_runs_as_its_readme_says(tmp_path):
  shutil.copytree(EXAMPLE, tmp_path / "mine")
  folder = tmp_path / "mine"
  block = re.search(r"```bash\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)[1]
  for line in block.splitlines():
    program, *words = shlex.split(line)
    assert program == "python"
    done = command(folder, *words)
    assert done.returncode == 0, done.stderr
  fitted = np.load(folder / "fit" / "result.npz")
  assert fitted["final_params/my_module:bump/model_1"].shape == (2, 2 * 16 + 16 * 17 + 17)
  loss = fitted["loss/my_module:bump/model_1"]
  assert np.nanmin(loss, axis=1).max() < loss[:, 0].min() / 10  # NaN behind a run's own stop
  names = {path.name for path in (folder / "fit" / "figures").glob("*.svg")}
  assert f"loss_{data.target_file('my_module:bump')}.svg" in names
  again = command(folder, "-m", "experiments.gradient_norm", "--flagfile=norm/run.flags")
  assert again.returncode == 0, again.stderr  # the formula survives its flagfile
  assert "finished before" in again.stdout


IMAGES = ["--dataset=digits", "--train_examples=90", "--test_examples=40", "--num_runs=1"]


@pytest.mark.parametrize(
  ("name", "flags"),
  [
    ("parameter_count", ["--num_epochs=1"]),
    pytest.param("optimization_path", ["--num_epochs=2", "--snapshot_epochs=1"], marks=SLOW),
    pytest.param("interpolation", ["--num_epochs=1", "--num_alphas=5"], marks=SLOW),
    pytest.param("sensitivity", ["--num_epochs=1", "--batch_sizes=30,45"], marks=SLOW),
  ],
)
def test_every_experiment_on_images_takes_a_network(name, flags, tmp_path, monkeypatch):
  monkeypatch.syspath_prepend(EXAMPLE)
  given = ["--model=my_module:make_model", *IMAGES, *flags, f"--workdir={tmp_path / 'run'}"]
  main(experiment(name), [name, *given])
  assert (tmp_path / "run" / "result.npz").is_file()


def test_a_network_outside_of_the_repository_is_found(tmp_path):
  shutil.copy(EXAMPLE / "my_module.py", tmp_path)
  done = command(tmp_path, "-m", "experiments.train_on_task", "--model=my_module:make_nnx", *IMAGES,
                 "--num_epochs=1", "--workdir=run")  # fmt: skip
  assert done.returncode == 0, done.stderr
  assert (tmp_path / "run" / "result.npz").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["error_surface", "hessian_spectrum"])
@pytest.mark.parametrize("kind", ["linen", "nnx", "equinox"])
def test_surfaces_and_spectra_are_of_any_network(name, kind, my_module, tmp_path):
  if kind == "equinox":
    pytest.importorskip(kind)
  flags = [*tiny_flags(name), f"--model={my_module(KINDS[kind])}:make", f"--workdir={tmp_path}"]
  main(experiment(name), [name, *flags])
  with np.load(tmp_path / "result.npz") as result:
    found = {n: result[n] for n in result.files if "loss" in n}
  assert found
  assert all(np.isfinite(each).all() for each in found.values())


def tanh_of(source):
  """Returns the source of a network without dropout, and with one input and output."""
  return re.sub(r".*Dropout.*\n", "", source).replace("self.dropout(", "(").replace(", key=key", "")


@pytest.mark.parametrize(
  "kind", ["linen", pytest.param("nnx", marks=SLOW), pytest.param("equinox", marks=SLOW)]
)
def test_the_hessian_at_an_own_networks_zero_gradient_is_jax_hessian(kind, my_module):
  if kind == "equinox":
    pytest.importorskip(kind)
  name = f"{my_module(tanh_of(KINDS[kind]))}:make"
  with jax.enable_x64(True):
    config = experiment("minimal_ratio").config(widths=name, target="x**2", num_points=30)
    problem = points.make_problem(config, name)
    start, loss = points.make_training(config, name, 2)
    theta = start[0].astype(jnp.float64)
    assert start.shape == (2, points.num_parameters(name)) == (2, 13)  # 1-4-1
    x, y = (np.asarray(a, np.float32) for a in (problem.inputs, problem.targets))
    exactly = float(jax.jit(problem.loss)(theta))
    assert float(jax.jit(loss)(start[0], x, y)) == pytest.approx(exactly, rel=1e-5)
    found = jax.jit(points.make_search(config, problem))(theta, jnp.asarray(1e-6))
    looked = points.make_look(problem)((found["params"], found["held"]))
    exact = jax.jit(jax.hessian(lambda t: jnp.mean(problem.residuals(t) ** 2)))(found["params"])
    values = np.linalg.eigvalsh(exact)
  assert found["held"].tolist() == [-1]
  assert looked["certificate"] == pytest.approx(float(found["stationarity"]), rel=1e-6)
  assert looked["certificate"] <= 1e-6
  assert found["loss"] < found["loss_before"]
  np.testing.assert_allclose(looked["eigenvalues"], values, rtol=0, atol=1e-10 * values.max())
  assert (looked["scalings"], looked["dead_units"]) == (0, 0)


def test_an_edited_target_is_searched_as_it_is_now(my_module):
  """As in a notebook: the same settings and process, another function behind the name."""
  with jax.enable_x64(True):
    for factor in (2.0, 3.0):
      name = my_module(f"def f(x):\n  return {factor} * x\n")
      importlib.invalidate_caches()
      config = experiment("minimal_ratio").config(widths="4", target=f"{name}:f", num_points=5)
      targets = points.make_tools(config).problem.targets
      np.testing.assert_allclose(targets.ravel(), factor * np.linspace(-1, 1, 5), atol=1e-15)


def test_a_network_that_computes_in_float32_is_not_searched(my_module):
  single = my_module(tanh_of(LINEN).replace("(self.outputs)", "(self.outputs, dtype='float32')"))
  with jax.enable_x64(True), pytest.raises(UserError, match="outputs in float32 for weights and"):
    points.make_problem(experiment("minimal_ratio").config(num_points=12), f"{single}:make")


@pytest.mark.slow
def test_minimal_ratio_takes_a_network(tmp_path):
  shutil.copy(EXAMPLE / "my_module.py", tmp_path)
  flags = [flag for flag in tiny_flags("minimal_ratio") if not flag.startswith("--widths")]
  done = command(tmp_path, "-m", "experiments.minimal_ratio", "--model=my_module:make_pair", *flags,
                 "--num_points=40", "--workdir=run")  # fmt: skip
  assert done.returncode == 0, done.stderr
  with np.load(tmp_path / "run" / "result.npz") as result:
    assert result["held"].shape == (3, 1)
    assert result["eigenvalues"].shape == (3, 16)  # 8 weights in, 8 out
  summary = json.loads((tmp_path / "run" / "summary.json").read_text())
  assert "symmetries and dead units of a network of your own are not counted" in str(summary)
  again = command(tmp_path, "-m", "experiments.minimal_ratio", "--figures_only", "--workdir=run")
  assert again.returncode == 0, again.stderr


def test_a_wrong_name_is_one_line(tmp_path):
  shutil.copy(EXAMPLE / "my_module.py", tmp_path)
  done = command(tmp_path, "-m", "experiments.gradient_norm", "--model=my_module:maek")
  assert done.returncode == 2
  assert re.fullmatch(r"gradient_norm: --model: got 'my_module:maek', and no such function.*\n",
                      done.stderr)  # fmt: skip


# Losses.


def per_example(outputs, labels):
  """The squared distance to the one-hot label, by hand."""
  return np.square(np.asarray(outputs) - np.eye(outputs.shape[1])[labels]).sum(axis=1)


LOSSES = """
import jax, jax.numpy as jnp
def brier(outputs, labels):
  return jnp.sum((outputs - jax.nn.one_hot(labels, outputs.shape[1])) ** 2, axis=1)
def absolute(outputs, targets):
  return jnp.abs(outputs - targets)[:, 0]
def averaged(outputs, targets):
  return jnp.mean(jnp.abs(outputs - targets))
def scaled(outputs, targets, by=2.0):
  return by * jnp.abs(outputs - targets)[:, 0]
def three(outputs, targets, inputs):
  return outputs[:, 0]
def text(outputs, targets):
  return "small"
def whole(outputs, targets):
  return jnp.zeros(len(outputs), int)
"""


def test_an_own_loss_is_trained_on_and_measured(my_module):
  loss = losses.make_loss(f"{my_module(LOSSES)}:brier")
  model = models.MLP((3, 2))
  params = models.init(model, jax.random.key(0), (1, 2, 2, 1))
  images = np.random.default_rng(0).integers(0, 256, (5, 2, 2, 1)).astype(np.uint8)
  labels = np.array([0, 1, 1, 0, 1])

  def by_hand(params):
    return float(per_example(models.apply(model, params, images / np.float32(255)), labels).mean())

  measured = evaluation.make_evaluate(model, loss=loss, batch_size=2)(
    jnp.asarray(images), jnp.asarray(labels), params
  )
  assert float(measured["loss"]) == pytest.approx(by_hand(params), rel=1e-5)  # float32
  gradients = training.make_gradients(model, loss=loss)
  sums, gradient = gradients(params, images, jnp.asarray(labels), jnp.ones(5), jax.random.key(0))
  assert float(sums["loss"]) == pytest.approx(5 * by_hand(params), rel=1e-5)
  step = 1e-2  # central difference along the gradient; float32
  ends = [jax.tree.map(lambda p, g, s=s: p + s * g, params, gradient) for s in (-step, step)]
  slope = (by_hand(ends[1]) - by_hand(ends[0])) / (2 * step)
  squared = sum(float(jnp.sum(g**2)) for g in jax.tree.leaves(gradient))
  assert slope == pytest.approx(squared, rel=1e-2)


def test_what_is_no_loss_is_refused(my_module):
  name = my_module(LOSSES)
  outputs = jnp.zeros((4, 1))
  assert losses.make_loss(f"{name}:absolute") is losses.make_loss(f"{name}:absolute")
  with pytest.raises(UserError, match=r"float32 \[\] for .*, expected each example's loss, \[4\]; "
                     "leave the mean over the examples out"):  # fmt: skip
    losses.make_loss(f"{name}:averaged")(outputs, outputs)
  with pytest.raises(UserError, match="which returns int32"):
    losses.make_loss(f"{name}:whole")(outputs, outputs)
  with pytest.raises(UserError, match=r"text, which returns a str, expected each .* loss, \[4\]"):
    losses.make_loss(f"{name}:text")(outputs, outputs)
  with pytest.raises(UserError, match=r"three\(outputs, targets, inputs\), expected a function of"):
    losses.make_loss(f"{name}:three")
  assert losses.make_loss(f"{name}:scaled")(outputs, outputs).shape == (4,)


LOSS_FLAGS = {
  "train_on_task": ["--num_epochs=1", "--architectures=2k3p/5"],
  "parameter_count": ["--num_epochs=1", "--widths=4,8"],
  "random_labels": ["--num_epochs=1", "--widths=4"],
  "optimization_path": ["--num_epochs=2", "--snapshot_epochs=1", "--widths=4"],
  "sensitivity": ["--num_epochs=1", "--batch_sizes=30,45", "--widths=4"],
  "interpolation": ["--num_epochs=1", "--num_alphas=5", "--widths=4", "--retrain_epochs=1"],
}


def words_of(folder):
  """Returns the text of a run's figures and of its summary."""
  drawn = "".join(path.read_text() for path in (folder / "figures").glob("*.svg"))
  return " ".join(re.findall(r">([^<]+)<", drawn)) + (folder / "summary.json").read_text()


def numbers_of_reports(folder):
  """Returns the numbers of a run that a report's stands beside, but for counts of parameters."""
  numbers = json.loads((folder / "summary.json").read_text())["numbers"]
  told = [n["name"] for n in numbers if n["reported"] is not None and "parameters" not in n["name"]]
  drawn = [path.name for path in (folder / "figures").glob("*.svg")
           if "reported" in path.read_text()]  # fmt: skip
  return told + drawn


@pytest.mark.parametrize(
  "name",
  [n if n == "random_labels" else pytest.param(n, marks=pytest.mark.slow) for n in LOSS_FLAGS],
)
def test_an_experiment_on_images_takes_a_loss_and_says_whose_it_is(name, my_module, tmp_path):
  brier = f"{my_module(LOSSES)}:brier"
  flags = [*IMAGES, *LOSS_FLAGS[name], f"--loss={brier}", f"--workdir={tmp_path / 'run'}"]
  main(experiment(name), [name, *flags])
  with np.load(tmp_path / "run" / "result.npz") as result:
    found = [result[n] for n in result.files if "loss" in n and "gradient" not in n]
  assert found
  assert all(np.isfinite(each).all() for each in found)
  words = words_of(tmp_path / "run")
  assert brier in words
  assert not re.search(r"\bnats\b", words)
  assert not numbers_of_reports(tmp_path / "run")


@pytest.mark.parametrize(
  "name", ["gradient_norm", pytest.param("simulate_function", marks=pytest.mark.slow)]
)
def test_a_function_is_fitted_by_an_own_loss(name, my_module, tmp_path):
  absolute = f"{my_module(LOSSES)}:absolute"
  main(experiment(name), [name, *tiny_flags(name), f"--loss={absolute}", f"--workdir={tmp_path}"])
  words = words_of(tmp_path)
  assert absolute in words
  assert "MSE" not in words
  assert not numbers_of_reports(tmp_path)


def test_the_experiments_that_take_a_loss_are_all_tested():
  having = {n for n in NAMES if hasattr(experiment(n).config(), "loss")}
  assert having == {*LOSS_FLAGS, "gradient_norm", "simulate_function"}


def test_a_resumed_run_notices_that_your_code_has_changed(my_module):
  name = my_module(LOSSES)
  settings = [3, ("x", f"{name}:brier"), "a/b:c.npz"]
  first = circumstances.own_sha256(settings)
  assert len(first) == 64
  assert circumstances.own_sha256([3, "digits", "nowhere:f"]) == ""
  my_module(LOSSES + "# changed\n")
  assert circumstances.own_sha256(settings) != first
