"""Suites of single operators: gradients and kinds of convolutions, random arrays."""

from __future__ import annotations

import argparse
import functools
import math
import time
import typing

import flax.linen as nn
import jax

from benchmarks.cases import Row
from benchmarks.machine import describe_jax, seconds_in_turn, spread
from blindsr_jax.inference.model import Model
from blindsr_jax.networks import build, init_variables
from blindsr_jax.networks.layers import ConvTranspose
from blindsr_jax.ops.convolution import convolve
from blindsr_jax.ops.draws import normal, uniform

ABOUT_GRADIENT = (
    "The gradient of a 3x3 convolution with respect to its kernel, float32: XLA's own, and by gathered patches "
    "(`ops.convolution`)."
)
# Batch, side, channels, features: DANv1 in both orders and at two sizes, `dan_lite`, DSSR at LR and at HR size.
GRADIENTS = (
    (4, 32, 64, 74),
    (4, 32, 74, 64),
    (8, 64, 64, 74),
    (8, 64, 74, 64),
    (16, 32, 48, 58),
    (4, 32, 128, 128),
    (4, 128, 128, 128),
)
ABOUT_TRANSPOSED = (
    "The transposed convolution of DSSR x4, 4 of 32x32x128, size 4, stride 4, float32: by a dilated input "
    "(`flax.linen.ConvTranspose`) and by an ordinary convolution for each phase (`networks.layers.ConvTranspose`)."
)
ABOUT_KERNEL_ESTIMATION = (
    "KernelNet at full size on one LR image, float32, beside plain convolutions of 128 to 128 channels on a map "
    "of that size. Weights are random: times do not depend on them."
)
ABOUT_DRAWS = (
    "Random arrays of 8 of 128x128x3, float32, in four axes (`jax.random`) and as a matrix (`ops.draws`), and how long "
    "XLA takes to compile them, each once. The numbers are the same."
)
WINDOW = 192  # side of the most textured window, to which KernelNet can be restricted
# (kernel size, channels in, channels out) of the gradient module's convolutions, which are nearly all of the work.
_KERNELNET = ((9, 2, 128), (1, 128, 128), (3, 128, 128), (5, 128, 128), (1, 128, 128), (3, 128, 2))
_AROUND, _LAYOUT = ((1, 1), (1, 1)), ("NHWC", "HWIO", "NHWC")
Run = typing.Callable[[], typing.Any]


def convolution_gradient(options: argparse.Namespace) -> Row:
    """Times of both gradients and of the forward pass, at every size of ``GRADIENTS``."""
    rows = [row for case in GRADIENTS for row in _gradient_rows(*case, options.repeats)]
    return {"sides": {"here": describe_jax()}, "tables": {"Times": rows}}


def transposed_convolution(options: argparse.Namespace) -> Row:
    """Times of both forms, for the forward pass and the gradient."""
    x = jax.random.normal(jax.random.key(0), (4, 32, 32, 128))
    layers = {
        "dilated input": nn.ConvTranspose(128, (4, 4), strides=(4, 4), padding=[(3, 3), (3, 3)]),
        "phases": ConvTranspose(128, 4, 0, 4),
    }
    variables = jax.jit(layers["phases"].init)(jax.random.key(1, impl="rbg"), x)
    runs = {}
    for name, layer in layers.items():
        gradient = jax.jit(jax.grad(lambda v, x, layer=layer: (layer.apply(v, x) ** 2).sum(), (0, 1)))
        for kind, function in (("forward", jax.jit(layer.apply)), ("gradient", gradient)):
            runs[f"{name}, {kind}"] = functools.partial(function, variables, x)
    return {"sides": {"here": describe_jax()}, "tables": {"Times": _timed(runs, {}, options.repeats)}}


def kernel_estimation(options: argparse.Namespace) -> Row:
    """Times and rates of KernelNet on the whole image and on its most textured window, and of plain convolutions."""
    network = build("kernelnet", scale=options.scale)
    model = Model(network, jax.jit(lambda key: init_variables(network, key))(jax.random.key(0, impl="rbg")))
    rows = []
    for side in options.sizes:
        lr = jax.random.uniform(jax.random.key(3), (1, side, side, 3))
        windowed, window = model.with_kernel_window(WINDOW), f"KernelNet, {WINDOW}x{WINDOW} of it"
        runs: dict[str, Run] = {"KernelNet": lambda lr=lr: model(lr).kernel}
        runs[window] = lambda lr=lr, windowed=windowed: windowed(lr).kernel
        work = {"KernelNet": kernelnet_flop(side), window: kernelnet_flop(WINDOW)}
        for size in (3, 5):
            name = f"convolution {size}x{size}"
            runs[name], work[name] = _convolution(side, size), 2.0 * (side * size * 128) ** 2
        rows += [{"input": f"1 of {side}x{side}"} | row for row in _timed(runs, work, options.repeats)]
    result = {"model": {"name": "kernelnet", "scale": options.scale}, "parameters": model.parameters}
    return result | {"sides": {"here": describe_jax()}, "tables": {"Times": rows}}


def draws(options: argparse.Namespace) -> Row:
    """Times to compile and to draw random arrays in both forms."""
    shape, key = (8, 128, 128, 3), jax.random.key(0)
    forms: dict[str, typing.Callable[[jax.Array], jax.Array]] = {
        "normal, four axes": lambda key: jax.random.normal(key, shape),
        "normal, a matrix": lambda key: normal(key, shape),
        "uniform, four axes": lambda key: jax.random.uniform(key, shape),
        "uniform, a matrix": lambda key: uniform(key, shape),
    }
    lowered = {name: jax.jit(form).lower(key) for name, form in forms.items()}
    jax.block_until_ready(jax.random.bits(key))  # the first program of a process takes longer
    runs, compile_s = {}, {}
    for name, program in lowered.items():
        begin = time.perf_counter()
        runs[name] = functools.partial(program.compile(), key)
        compile_s[name] = time.perf_counter() - begin
    rows = [row | {"compile_s": compile_s[row["program"]]} for row in _timed(runs, {}, options.repeats)]
    return {"sides": {"here": describe_jax()}, "tables": {"Times": rows}}


def kernelnet_flop(side: int) -> float:
    """FLOP of the full-size gradient module on side×side pixels: per pixel the sum of 2 k² · channels in · out."""
    return 2.0 * side**2 * sum(size**2 * into * out_of for size, into, out_of in _KERNELNET)


def _gradient_rows(batch: int, side: int, channels: int, features: int, repeats: int) -> list[Row]:
    keys = jax.random.split(jax.random.key(0), 3)
    x = jax.random.normal(keys[0], (batch, side, side, channels))
    kernel = jax.random.normal(keys[1], (3, 3, channels, features))
    g = jax.random.normal(keys[2], (batch, side, side, features))
    forward = jax.jit(_xla)
    runs: dict[str, Run] = {
        "forward": lambda: forward(x, kernel),
        "gradient, XLA's own": lambda: _gradient(_xla, x, kernel, g),
        "gradient, by patches": lambda: _gradient(_by_patches, x, kernel, g),
    }
    work = dict.fromkeys(runs, 2.0 * math.prod((9, channels, features, batch, side, side)))
    case = {"input": f"{batch} of {side}x{side}, {channels} to {features} channels"}
    return [case | row for row in _timed(runs, work, repeats)]


def _timed(runs: dict[str, Run], work: dict[str, float], repeats: int) -> list[Row]:
    """A row for each program, with its rate if its FLOP are known."""
    for run in runs.values():
        jax.block_until_ready(run())
    rows = []
    for name, seconds in seconds_in_turn(runs, repeats).items():
        row = {"program": name} | spread(seconds)
        rows.append(row | ({"gflop_per_second": work[name] / row["median_s"] / 1e9} if name in work else {}))
    return rows


def _convolution(side: int, size: int) -> Run:
    x = jax.random.normal(jax.random.key(1), (1, side, side, 128))
    weights = jax.random.normal(jax.random.key(2), (size, size, 128, 128))
    run = jax.jit(lambda x, w: jax.lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=_LAYOUT))
    return lambda: run(x, weights)


def _xla(x: jax.Array, kernel: jax.Array) -> jax.Array:
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), _AROUND, dimension_numbers=_LAYOUT)


def _by_patches(x: jax.Array, kernel: jax.Array) -> jax.Array:
    return convolve(x, kernel, _AROUND)


@functools.partial(jax.jit, static_argnums=0)
def _gradient(convolution: typing.Callable, x: jax.Array, kernel: jax.Array, g: jax.Array) -> jax.Array:
    return jax.vjp(lambda kernel: convolution(x, kernel), kernel)[1](g)[0]
