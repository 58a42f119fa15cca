"""Worker that compiles a training update for all its devices and finds their exchanges in the HLO text:

    JAX_NUM_CPU_DEVICES=256 python -m benchmarks.partitioned

It runs no program and lowers shapes only, so the batch of 256 devices needs no memory.
"""

from __future__ import annotations

import dataclasses
import math
import re
import typing

import jax
from jax.sharding import Mesh
from ml_collections import ConfigDict

from benchmarks.cases import Row
from benchmarks.flops import work_of
from benchmarks.serving import serve
from blindsr_jax import config as config_lib
from blindsr_jax.training.interrupt import SIGNALS
from blindsr_jax.training.setup import abstract_state, optimizer_of, stages_of
from blindsr_jax.training.sharding import data_mesh, split
from blindsr_jax.training.step import gradient_of_loss, make_train_step
from blindsr_jax.types import Degraded

_KINDS = ("all-reduce", "all-gather", "all-to-all", "reduce-scatter", "collective-permute", "collective-broadcast")
# An asynchronous exchange is two instructions; the shape of the second, -done, is the result alone.
_EXCHANGE = re.compile(rf'= ([^"]*?) (?:ragged-)?({"|".join(_KINDS)})(?:-done)?\(')
_ARRAY = re.compile(r"\b(pred|[a-z]+(\d+)\w*)\[([\d,]*)\]")
_COMPUTATION = re.compile(r"^(?:ENTRY )?%?([\w.\-]+) .*{$")
_CALLED = re.compile(r"%([\w.\-]+)")
_LOOP = re.compile(r"\bbody=%?([\w.\-]+)")


def compiled(model: Row, share: int, side: int) -> Row:
    """The FLOP and memory of an update on each device, and its exchanges with the others.

    Args:
      model: name, scale and sizes of a network.
      share: number of patches per device.
      side: side of the LR patches.
    """
    mesh = data_mesh()
    config = _config_of(model, share * mesh.size, side)
    network, optimizer = config_lib.network_of(config), optimizer_of(config)
    step = make_train_step(network, optimizer, mesh, *stages_of(config), seed=config.seed)
    state, (hr, asked) = abstract_state(config, mesh), inputs_of(config, mesh)
    program = step.func.lower(*step.args, state, hr, asked).compile()
    memory = program.memory_analysis()
    return {
        "devices": mesh.size,
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(state.params)),
        "traced_flop": flop_of_one_device(config, mesh, state),
        "compiled_flop": program.cost_analysis()["flops"],
        "arguments_bytes": memory.argument_size_in_bytes,
        "temporaries_bytes": memory.temp_size_in_bytes,
        "collectives": list(map(dataclasses.asdict, collectives_of(program.as_text()))),
    }


def _config_of(model: Row, batch: int, side: int) -> ConfigDict:
    config = config_lib.default(model["name"], scale=model["scale"])
    config.model.update({name: value for name, value in model.items() if name != "name"})
    config.data.update(batch_size=batch, patch=side)
    config_lib.validate(config)
    return config


def inputs_of(config: ConfigDict, mesh: Mesh) -> tuple[jax.ShapeDtypeStruct, jax.ShapeDtypeStruct]:
    """The shapes of a batch of HR patches, and of the stop requests that go with it."""
    patch = config.data.patch * config.model.scale
    hr = jax.ShapeDtypeStruct((config.data.batch_size, patch, patch, 3), "uint8", sharding=split(mesh))
    return hr, jax.ShapeDtypeStruct((mesh.size, len(SIGNALS)), "float32", sharding=split(mesh))


def flop_of_one_device(config: ConfigDict, mesh: Mesh, state: typing.Any) -> float:
    """FLOP of the last stage's loss and its gradient, traced for one device's share of the batch. FFTs do not count."""
    batch, side, size = config.data.batch_size, config.data.patch, config.degradation.kernel_size
    shapes = [(batch, side, side, 3), (batch, size, size), (batch,)]
    degraded = Degraded(*(jax.ShapeDtypeStruct(shape, "float32") for shape in shapes))
    hr = jax.ShapeDtypeStruct((batch, *2 * (side * config.model.scale,), 3), "float32")
    gradient = gradient_of_loss(config_lib.network_of(config), mesh, stages_of(config)[-1])
    work = work_of(lambda *given: gradient(*given, None), state.params, state.constants, hr, degraded)
    return sum(part.flop for part in work.values())


@dataclasses.dataclass(frozen=True)
class Collective:
    """An exchange between devices.

    Attributes:
      kind: HLO opcode.
      arrays: number of arrays exchanged at once.
      bytes: bytes of the results on each device.
      repeated: whether it is inside a loop and so runs several times.
    """

    kind: str
    arrays: int
    bytes: int
    repeated: bool


def collectives_of(hlo: str) -> list[Collective]:
    """All exchanges of a program, in the order of its HLO text (``compiled.as_text()``)."""
    parts = _computations(hlo)
    inside = _repeated(parts)
    return [
        Collective(match.group(2), *_measure(match.group(1)), name in inside)
        for name, lines in parts.items()
        for match in map(_EXCHANGE.search, lines)
        if match
    ]


def _computations(hlo: str) -> dict[str, list[str]]:
    """The lines of each computation by its name."""
    parts, name = {"": []}, ""
    for line in hlo.splitlines():
        head = _COMPUTATION.match(line)
        if head:
            name = head.group(1)
            parts[name] = []
        else:
            parts[name].append(line)
    return parts


def _repeated(parts: dict[str, list[str]]) -> set[str]:
    """The names of all computations that a loop runs, directly or through others."""
    found: set[str] = set()
    ahead = [name for lines in parts.values() for line in lines for name in _LOOP.findall(line)]
    while ahead:
        name = ahead.pop()
        if name in parts and name not in found:
            found.add(name)
            ahead += [called for line in parts[name] for called in _CALLED.findall(line)]
    return found


def _measure(shape: str) -> tuple[int, int]:
    """The number of arrays in a result, and their bytes."""
    arrays = _ARRAY.findall(shape)
    sizes = [math.prod(int(side) for side in sides.split(",") if side) for _, _, sides in arrays]
    bits = [int(digits) if digits else 8 for _, digits, _ in arrays]  # a bool takes a byte
    return len(arrays), sum(size * width for size, width in zip(sizes, bits)) // 8


if __name__ == "__main__":
    serve({"compiled": compiled})
