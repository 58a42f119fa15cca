"""Write an exported file and its description."""

from __future__ import annotations

import dataclasses
import pathlib
import typing

import jax
import numpy as np

from blindsr_jax.errors import UsageError
from blindsr_jax.export import onnx_files, stablehlo
from blindsr_jax.export.program import Layout, program_of
from blindsr_jax.export.sidecar import Description, sidecar_path
from blindsr_jax.files import atomic_path, write_text
from blindsr_jax.networks.network import Network

LAYOUTS: dict[str, Layout] = {".stablehlo": "NHWC", ".onnx": "NCHW"}  # by the end of the file's name


def write_exported(
    path: pathlib.Path,
    module: Network,
    variables: dict[str, typing.Any],
    *,
    name: str,
    license: str,
    kernel: bool = False,
    iterations: int | None = None,
) -> Description:
    """Export a network to a file for images of every size, and describe it in ``PATH.json``.

    Args:
      path: ends in ``.stablehlo`` or ``.onnx``.
      module, variables, kernel, iterations: see ``program.program_of``.
      name, license: for the description.

    Returns:
      The description.

    Raises:
      UsageError: the path has another ending.
      DataError: the network cannot be exported, or the file not be written.
    """
    from blindsr_jax import __version__

    if path.suffix not in LAYOUTS:
        raise UsageError(f"{path}: an exported file's name ends in {' or '.join(LAYOUTS)}")
    program = program_of(module, variables, kernel=kernel, iterations=iterations)
    description = Description(
        model=name,
        network=program.network,
        scale=module.scale,
        layout=LAYOUTS[path.suffix],
        outputs=program.outputs,
        least_side=program.least_side,
        iterations=(iterations or module.iterations) if module.unfolds else None,
        parameters=sum(np.size(x) for x in jax.tree.leaves(variables["params"])),
        license=license,
        version=__version__,
    )
    texts = {key: str(value) for key, value in dataclasses.asdict(description).items()}
    contents = stablehlo.serialized(program) if path.suffix == ".stablehlo" else onnx_files.serialized(program, texts)
    with atomic_path(path) as temporary:
        temporary.write_bytes(contents)
        write_text(sidecar_path(path), description.as_json())  # before the file is there: none is without
    return description
