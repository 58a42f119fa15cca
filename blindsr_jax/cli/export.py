"""``blindsr export``: write a model as a file that runs without this package."""

from __future__ import annotations

import argparse
import pathlib
import typing

from blindsr_jax.cli.arguments import Commands, add_command, positive
from blindsr_jax.errors import UsageError, printable

if typing.TYPE_CHECKING:
    from blindsr_jax.networks.network import Network

_TEXT = "Write a model as StableHLO, which JAX runs anywhere, or as ONNX: one file for pictures of every size."
_MODEL = "packaged name, .safetensors bundle, workdir of a run, or official .pth file"


def add(commands: Commands) -> None:
    """Add the subcommand and its options."""
    examples = ["blindsr export dan-lite-x4 -o dan.onnx", "blindsr export runs/dan_x4 -o dan.stablehlo"]
    command = add_command(commands, "export", run, _TEXT, examples=examples)
    command.add_argument("model", metavar="MODEL", help=_MODEL)
    output = "file to write: .stablehlo or .onnx; its limits are written beside it, as .json"
    command.add_argument("-o", "--output", type=pathlib.Path, required=True, help=output)
    command.add_argument("--kernel", action="store_true", help="also return the estimated kernel")
    command.add_argument("--iterations", type=positive, help="unfolded steps; default: as in training")
    command.add_argument("--overwrite", action="store_true", help="replace a file that exists")


def run(arguments: argparse.Namespace) -> int:
    """``blindsr export``: write the file and its description."""
    from blindsr_jax.export.sidecar import sidecar_path
    from blindsr_jax.export.writing import LAYOUTS, write_exported
    from blindsr_jax.inference.loading import load, name_in_reports
    from blindsr_jax.inference.model import Model
    from blindsr_jax.weights.zoo import models

    output = arguments.output
    if output.suffix not in LAYOUTS:
        raise UsageError(f"{output}: an exported file's name ends in {' or '.join(LAYOUTS)}")
    for path in (output, sidecar_path(output)):
        if path.exists() and not arguments.overwrite:
            raise UsageError(f"{path}: exists (--overwrite replaces it)")
    model = load(arguments.model)
    if not isinstance(model, Model):
        raise UsageError(f"{arguments.model}: only networks that take images alone are exported: DANs, DSSR, KernelNet")
    described = write_exported(
        output,
        typing.cast("Network", model.module),
        model.variables,
        name=name_in_reports(arguments.model),
        license="Apache-2.0" if arguments.model in models() else "that of the weights",
        kernel=arguments.kernel,
        iterations=arguments.iterations,
    )
    print(printable(f"wrote {output}: {described.layout}, pictures from {described.least_side} pixels a side"))
    return 0
