"""The package's side of a comparison: ``python -m benchmarks.jax_worker``, started by ``workers``."""

from __future__ import annotations

import dataclasses
import pathlib
import time
import typing

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks.machine import describe_jax
from benchmarks.serving import Prepared, handlers_of, serve
from benchmarks.torch_state import to_torch
from blindsr_jax.degradations import isotropic_gaussian
from blindsr_jax.degradations.pipeline import basis_for
from blindsr_jax.inference.all_cores import on_all_cores
from blindsr_jax.inference.programs import for_one_device
from blindsr_jax.losses import LOSSES
from blindsr_jax.networks import build, init_variables
from blindsr_jax.networks.chain import stack_chains
from blindsr_jax.networks.compute import Precision, with_compute
from blindsr_jax.networks.dan import DAN
from blindsr_jax.training.sharding import data_mesh, replicated, split
from blindsr_jax.training.step import Stage, gradient_of_loss
from blindsr_jax.types import Degraded
from blindsr_jax.weights.official import bundle_of_state

LEARNING_RATE, BETAS = 2e-4, (0.9, 0.99)
_ON_CORES, _DIRECT = "jit, each core a device", "jit, direct convolutions"
_ON_CPUS = {_ON_CORES, _DIRECT}
_FORMS = {
    "inference": ("jit", _ON_CORES, _DIRECT),
    "training": ("jit", "jit, blocks recomputed", "jit, blocks recomputed, image by image"),
}
# Precision of products on an accelerator, by JAX's names; CPUs compute all of them in float32. With ``bf16`` the
# network is in bfloat16 too, but for the last convolutions (``networks.compute``), as with ``config.precision``.
_PRECISIONS = {"float32": "highest", "tf32": "tensorfloat32", "bf16": "tensorfloat32"}


def draw(model: dict[str, typing.Any], batch: int, side: int, path: str) -> int:
    """Write random weights by the authors' names, images and kernels to an .npz; return the number of parameters."""
    network, scale = build(**model), model["scale"]
    basis = None
    if isinstance(network, DAN):
        size = network.kernel_size
        basis = basis_for(network.code_length, count=2000, kind="isotropic", size=size, sigma=(0.2, 4.0))
    variables = jax.jit(lambda key: init_variables(network, key, basis))(jax.random.key(0, impl="rbg"))
    state = {f"state/{name}": x for name, x in to_torch(model["name"], scale, variables).items()}
    rng = np.random.default_rng(1)
    images = {
        "lr": rng.random((batch, side, side, 3), np.float32),
        "hr": rng.random((batch, side * scale, side * scale, 3), np.float32),
        "kernel": np.tile(isotropic_gaussian(2.0, getattr(network, "kernel_size", 21)), (batch, 1, 1)),
    }
    np.savez(path, **state, **images)
    return sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))


class Ours:
    """Compiled inference and training steps of the package."""

    def describe(self) -> dict[str, typing.Any]:
        return describe_jax()

    def forms(self, kind: str, model: str) -> list[dict[str, str]]:
        """The forms. The first is the default.

        Inference on a CPU has two more; but the cores share no network that restores by an FFT of the whole image.
        Training has two more that save memory (the config's ``recompute``, ``accumulate``).
        """
        on_cpu = jax.default_backend() == "cpu"
        precisions = ("float32",) if on_cpu else tuple(_PRECISIONS)
        ways = [way for way in _FORMS[kind] if on_cpu or way not in _ON_CPUS]
        if build(model, scale=2).through_fft:
            ways = [way for way in ways if way != _ON_CORES]
        names = [(way, p) for way in ways for p in precisions]
        return [{"name": way if p == "float32" else f"{way}, {p}", "precision": p} for way, p in names]

    def prepare(self, kind: str, form: str, model: dict[str, typing.Any], arrays: pathlib.Path) -> Prepared:
        precision = next(f["precision"] for f in self.forms(kind, model["name"]) if f["name"] == form)
        given, network = jax.tree.map(jnp.asarray, _read(arrays)), build(**model)
        compute: Precision = "bfloat16" if precision == "bf16" else "float32"
        with jax.default_matmul_precision(_PRECISIONS[precision]):
            if kind == "inference":
                network, variables = on_all_cores(network, given[0]) if form == _ON_CORES else (network, given[0])
                network = with_compute(network if form == _DIRECT else for_one_device(network), precision=compute)
                return _inference(network, variables, given[1], _PRECISIONS[precision])
            stage = dataclasses.replace(_stage(network, form, len(given[1]["lr"])), precision=compute)
            return _training(network, *given, _PRECISIONS[precision], stage)

    def device_peak(self) -> int | None:
        statistics = jax.devices()[0].memory_stats() or {}
        return statistics.get("peak_bytes_in_use")


def _read(path: pathlib.Path) -> tuple[dict[str, typing.Any], dict[str, np.ndarray]]:
    """Read the variables of the network, converted as a checkpoint of the authors is, and the images and kernels."""
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    state = {name[6:]: arrays.pop(name) for name in list(arrays) if name.startswith("state/")}
    return bundle_of_state(path, state).variables, arrays


def _inference(network, variables, images, precision: str) -> Prepared:
    options = {"image_only": True} if network.unfolds else {}
    call = _Compiled(lambda v, lr: network.apply(v, lr, **options).sr, precision)
    arguments = (variables, images["lr"])
    return Prepared(
        run=lambda: jax.block_until_ready(call(*arguments)),
        outcome=lambda: {"sr": np.asarray(call(*arguments))},
        facts=lambda: call.facts,
    )


def _stage(network: typing.Any, form: str, batch: int) -> Stage:
    """The training stage of a form."""
    return Stage(
        until=1,
        scales=(network.scale,),
        degradation={},
        loss=LOSSES[network.supervision],
        supervise="all" if network.supervision == "detail" else "last",
        recompute="blocks" if "blocks recomputed" in form else "activations",
        accumulate=batch // data_mesh().size if "image by image" in form else 1,
    )


def _training(network, variables, images, precision: str, stage: Stage) -> Prepared:
    """Consecutive updates. Compared are the first loss and its changes after one and two updates."""
    optimizer, mesh = optax.adam(LEARNING_RATE, *BETAS), data_mesh()
    gradient = gradient_of_loss(network, mesh, stage)

    def step(params, opt_state, constants, hr, degraded):
        ((loss, _), grads), _ = gradient(params, constants, hr, degraded, None)
        updates, opt_state = optimizer.update(grads, opt_state, params)
        return optax.apply_updates(params, updates), opt_state, loss

    call = _Compiled(step, precision, donate=(0, 1))
    params = stack_chains(variables["params"])
    *state, constants = jax.device_put((params, optimizer.init(params), variables["constants"]), replicated(mesh))
    degraded = Degraded(lr=images["lr"], kernel=images["kernel"])
    rest = (constants, *jax.device_put((images["hr"], degraded), split(mesh)))

    def update() -> float:
        *state[:], loss = call(*state, *rest)
        jax.block_until_ready(state)
        return float(loss)

    def outcome() -> dict[str, np.ndarray]:
        first, *later = [update() for _ in range(3)]
        return {"loss": np.array([first]), "change": np.array(later) - first}

    return Prepared(run=update, outcome=outcome, facts=lambda: call.facts)


class _Compiled:
    """A function that is compiled at its first call. ``facts`` gives the time and memory of the compiled program."""

    def __init__(self, function: typing.Callable[..., typing.Any], precision: str, donate: tuple[int, ...] = ()):
        self._jitted, self._precision = jax.jit(function, donate_argnums=donate), precision
        self._executable = None
        self.facts: dict[str, typing.Any] = {}

    def __call__(self, *arguments: typing.Any) -> typing.Any:
        if self._executable is None:
            self._compile(arguments)
        return self._executable(*arguments)

    def _compile(self, arguments: tuple[typing.Any, ...]) -> None:
        start = time.perf_counter()
        with jax.default_matmul_precision(self._precision):
            lowered = self._jitted.lower(*arguments)
        middle = time.perf_counter()
        self._executable = lowered.compile()
        self.facts = {
            "trace_s": middle - start,
            "compile_s": time.perf_counter() - middle,
            "temporaries_mib": self._executable.memory_analysis().temp_size_in_bytes / 2**20,
        }


def main() -> None:
    serve(handlers_of(Ours()) | {"draw": draw})


if __name__ == "__main__":
    main()
