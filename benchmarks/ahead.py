"""Compile training and restoring for TPUs or GPUs on a machine without one, and say what the compiler says:

    python -m benchmarks.ahead --config dan_x4 --topology v5e:2x4 --patches 8
    python -m benchmarks.ahead --config dan_x4 --gpu h100.txtpb --topology 1x8x1 --patches 8

TPUs need the extra ``aot`` (libtpu), which works on any Linux machine, in an environment of its own: with libtpu
installed, JAX looks for a TPU in every program. GPUs need ``jax[cuda13]``, also in its own, and XLA's description of
the GPU, as in ``xla/backends/gpu/target_config/specs`` of its sources. All figures are estimates of a compiler. Nothing
is run.
"""

from __future__ import annotations

import argparse
import ast
import dataclasses
import functools
import json
import os
import pathlib
import sys
import time
import typing

import jax
import numpy as np
from jax.experimental import topologies
from jax.sharding import AxisType, Mesh

from benchmarks.accelerators import TPU_PEAKS
from benchmarks.cases import Row
from benchmarks.configs import config_named
from benchmarks.flops import work_of
from benchmarks.hlo_cycles import OUTSIDE, cycles_by_part, hiding_of, part_of_network
from benchmarks.hlo_kernels import kernels_of
from benchmarks.partitioned import collectives_of, flop_of_one_device, inputs_of
from blindsr_jax import config as config_lib
from blindsr_jax.errors import BlindSRError, ConfigError
from blindsr_jax.files import write_text
from blindsr_jax.inference.programs import apply, for_one_device
from blindsr_jax.networks.compute import with_compute
from blindsr_jax.training.setup import abstract_state, optimizer_of, stages_of
from blindsr_jax.training.sharding import replicated
from blindsr_jax.training.step import make_train_step

# The compiler is asked for a machine that this is not.
_ENVIRONMENT = {
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_ACCELERATOR_TYPE": "v5litepod-8",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
}
ABOUT = "Estimates of a compiler, not measurements. Nothing was run."


def main(argv: list[str] | None = None) -> int:
    """Compile one program and print its figures; 1 if it cannot be compiled."""
    options = parser().parse_args(argv)
    try:
        found = compiled(options)
    except BlindSRError as error:
        print(f"ahead: {error}", file=sys.stderr)
        return error.exit_code
    print(table(found))
    if options.output:
        write_text(options.output, json.dumps(found, indent=1) + "\n")
    return 0


def parser() -> argparse.ArgumentParser:
    """The parser of all options."""
    command = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command.add_argument("--config", required=True, help="name of a config of this project, or the path of one")
    command.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="settings, as model.features=8")
    command.add_argument("--topology", default="v5e:2x4", help="such as v5e:1x1, v5p:2x2x1, v6e:16x16")
    command.add_argument("--gpu", type=pathlib.Path, help="XLA's description of a GPU (.txtpb); topologies: 1x8x1")
    command.add_argument("--patches", type=int, default=8, help="patches on each chip; default: 8")
    command.add_argument("--side", type=int, help="side of the LR patches, or of the picture; default: the config's")
    command.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    command.add_argument("--restore", action="store_true", help="restore a picture on one chip instead of training")
    command.add_argument("--clock", type=float, default=1.5, help="GHz, for milliseconds from cycles; default: 1.5")
    command.add_argument("-o", "--output", type=pathlib.Path, help="also write the figures there (.json)")
    command.add_argument("--hlo", type=pathlib.Path, help="also write the text of the compiled program there")
    return command


def compiled(options: argparse.Namespace) -> Row:
    """Compile what the options ask for and return its figures.

    Raises:
      ConfigError: the config, a setting or the topology is unusable.
    """
    mesh = mesh_of(options.topology, options.gpu)
    config = _config(options, mesh.size)
    start = time.monotonic()
    lowered, params, flop = (_restoring if options.restore else _training)(config, mesh)
    traced = time.monotonic()
    program = lowered.compile()
    done, hlo, memory = time.monotonic(), program.as_text(), program.memory_analysis()
    if options.hlo:
        write_text(options.hlo, hlo)
    cycles, unknown = cycles_by_part(hlo, functools.partial(part_of_network, parameters=params))
    if options.restore:
        cycles = {"the rest" if part == OUTSIDE else part: count for part, count in cycles.items()}
    total = sum(cycles.values())  # 0 for GPUs, whose compiler estimates none
    seconds, peak = total / options.clock / 1e9, TPU_PEAKS.get(options.topology.partition(":")[0])
    return {
        "about": ABOUT,
        "config": options.config,
        "settings": options.set,
        "task": "restoring" if options.restore else "training",
        "topology": options.topology,
        "chips": mesh.size,
        "patches_a_chip": 1 if options.restore else options.patches,
        "side": config.data.patch,
        "precision": options.precision,
        "jax": jax.__version__,
        "trace_seconds": traced - start,
        "compile_seconds": done - traced,
        "peak_bytes": memory.peak_memory_in_bytes,
        "arguments_bytes": memory.argument_size_in_bytes,
        "temporaries_bytes": memory.temp_size_in_bytes,
        "kernels": kernels_of(hlo)[0] if options.gpu else None,
        "cycles": total,
        "milliseconds": 1e3 * seconds,
        "clock_ghz": options.clock,
        "flop_a_chip": flop,
        "share_of_peak": flop / seconds / peak if peak and total else None,
        "cycles_by_part": cycles,
        "loops": hlo.count(" while("),
        "loops_counted_once": unknown,
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(params)),
        "collectives": list(map(dataclasses.asdict, collectives_of(hlo))),
        "hiding": list(map(dataclasses.asdict, hiding_of(hlo))),
    }


def mesh_of(topology: str, gpu: pathlib.Path | None = None) -> Mesh:
    """Return the chips of a TPU topology that is not here, or the GPUs of one, on one axis ``data``.

    Args:
      topology: such as ``v5e:2x4``; with a GPU, such as ``1x8x1``.
      gpu: XLA's description of the GPU.

    Raises:
      ConfigError: libtpu or the CUDA plugin is not installed, or it knows no such topology or GPU.
    """
    jax.config.update("jax_platforms", "cpu")
    kind: dict[str, str] = {"platform": "tpu", "topology_name": topology}
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    try:
        if gpu:
            os.environ["CUDA_VISIBLE_DEVICES"] = ""
            kind = {"platform": "cuda", "topology": topology, "target_config": gpu.read_text("utf-8")}
        devices = topologies.get_topology_desc(**kind).devices
    except Exception as error:  # the plugins and the lack of them have errors of many kinds
        needed = "jax[cuda13]" if gpu else "libtpu, the extra [aot]"
        raise ConfigError(f"--topology {topology}: {str(error).splitlines()[0]} (needs {needed})") from None
    return Mesh(np.array(devices), ("data",), axis_types=(AxisType.Auto,))


def _config(options: argparse.Namespace, chips: int) -> typing.Any:
    config = config_named(options.config)
    config.update(data={"batch_size": options.patches * chips}, precision=options.precision)
    if options.side:
        config.data.patch = options.side
    try:
        config.update_from_flattened_dict({name: _value(text) for name, _, text in _parts(options.set)})
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"--set: {error}") from None
    config_lib.validate(config)
    return config


def _parts(settings: list[str]) -> list[tuple[str, str, str]]:
    return [setting.partition("=") for setting in settings]


def _value(text: str) -> typing.Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _training(config: typing.Any, mesh: Mesh) -> tuple[typing.Any, typing.Any, float]:
    """Lower the last stage's update, and return the parameters and a chip's FLOP too."""
    stage = stages_of(config)[-1]
    module, optimizer = config_lib.network_of(config), optimizer_of(config)
    # The chips hold no arrays, so a pool of kernels is a shape here.
    step = make_train_step(module, optimizer, mesh, dataclasses.replace(stage, pool=None), seed=config.seed)
    pool = stage.pool
    if pool is not None:
        pool = jax.ShapeDtypeStruct(pool.shape, pool.dtype, sharding=replicated(mesh))
    state = abstract_state(config, mesh)
    flop = flop_of_one_device(config, mesh, state)
    return step.func.lower(pool, state, *inputs_of(config, mesh)), state.params, flop


def _restoring(config: typing.Any, mesh: Mesh) -> tuple[typing.Any, typing.Any, float]:
    """Lower the restoration of one picture on the first chip."""
    one = Mesh(mesh.devices[:1], ("data",), axis_types=(AxisType.Auto,))
    module = with_compute(config_lib.network_of(config), precision=config.precision)
    if not module.blind:
        raise ConfigError("--restore compiles networks that take images alone; leave it out for solvers")
    state = abstract_state(config, one)
    variables = {"params": state.params, "constants": state.constants}
    lr = jax.ShapeDtypeStruct((1, config.data.patch, config.data.patch, 3), "float32", sharding=replicated(one))
    lean = module.unfolds and module.estimates_kernel
    suited = for_one_device(module, one.devices.item().platform)
    lowered = apply.lower(suited, variables, lr, {}, iterations=None, trace=False, image_only=lean)
    work = work_of(lambda variables, lr: module.apply(variables, lr, image_only=lean), variables, lr)
    return lowered, state.params, sum(part.flop for part in work.values())


def table(found: Row) -> str:
    """Return the figures of a program as text."""
    sent = [f"{c['kind']} of {c['arrays']} arrays, {c['bytes'] / 1e6:.1f} MB" for c in found["collectives"]]
    total = found["cycles"]
    hidden = [_hidden(h, known=bool(total)) if h["asynchronous"] else "nothing: synchronous" for h in found["hiding"]]
    share = found["share_of_peak"]
    lines = [
        f"{found['task']} by {found['config']} on {found['topology']}, {found['patches_a_chip']} of "
        f"{found['side']}x{found['side']} a chip, {found['precision']}. {found['about']}",
        f"peak memory a chip  {found['peak_bytes'] / 1e9:.2f} GB",
        _speed(found),
        f"share of the peak   {'unknown' if share is None else f'{share:.1%}'}, {found['flop_a_chip'] / 1e9:.0f} GFLOP",
        f"exchanges           {'; '.join(sent) or 'none'}",
        f"they overlap with   {'; '.join(hidden) or 'nothing'}",
        f"compile time        {found['compile_seconds']:.0f} s",
    ]
    for part, cycles in found["cycles_by_part"].items():
        lines.append(f"  {cycles / total:6.1%}  {cycles / 1e6:9.2f} M  {part}")
    return "\n".join(lines)


def _speed(found: Row) -> str:
    if found["kernels"]:
        return f"kernels started     {sum(found['kernels'].values())}"
    return (
        f"cycles              {found['cycles'] / 1e6:.1f} M, {found['milliseconds']:.1f} ms at {found['clock_ghz']} GHz"
    )


def _hidden(exchange: Row, known: bool) -> str:
    return f"{exchange['hidden_cycles'] / 1e6:.2f} M cycles" if known else "what is between its start and its end"


if __name__ == "__main__":
    sys.exit(main())
