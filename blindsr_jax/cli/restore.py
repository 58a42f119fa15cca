"""``blindsr restore``: pictures, several times larger and sharp."""

from __future__ import annotations

import argparse
import pathlib

from blindsr_jax.cli.arguments import Commands, add_command, add_files, add_model, open_model
from blindsr_jax.errors import DataError

# Pictures of more LR pixels are restored in tiles of this side, unless --tile says otherwise.
_LARGE, _SIDE = 2**20, 512
_TILE = f"restore in overlapping parts of NxN pixels; 0: always whole; default: {_SIDE} for pictures over a megapixel"


def add(commands: Commands) -> None:
    """The subcommand's options."""
    command = add_command(commands, "restore", run, "Restore pictures: several times larger, and sharp.")
    add_files(command)
    add_model(command)
    command.add_argument("--kernel", type=pathlib.Path, help="the blur kernel if you know it: .npy or .mat, [K, K]")
    command.add_argument("--tile", type=_tile, metavar="N", help=_TILE)
    command.add_argument("--save-kernel", action="store_true", help="write the kernel as .npy and .png beside each")


def run(arguments: argparse.Namespace) -> int:
    """``blindsr restore``: each image s times larger, the kernel beside it if asked."""
    from blindsr_jax.data.kernel_arrays import read_kernel
    from blindsr_jax.inference import image_io, kernel_files
    from blindsr_jax.inference.jobs import plan_outputs, run_jobs
    from blindsr_jax.inference.restore import restore_image

    jobs = plan_outputs(arguments.inputs, arguments.output)
    kernel = read_kernel(arguments.kernel) if arguments.kernel else None
    model = open_model(arguments)
    if not model.restores:
        raise DataError(
            f"{arguments.model} only estimates kernels: join it with a solver, --model {arguments.model}+SOLVER"
        )
    if not model.takes_kernel and (kernel is not None or arguments.save_kernel):
        raise DataError(f"{arguments.model} works without a blur kernel: leave --kernel and --save-kernel out")
    if kernel is None and not model.estimates_kernel and model.takes_kernel:
        raise DataError(f"{arguments.model} has to be told the blur: --kernel k.npy, or --model ESTIMATOR+SOLVER")

    def one(source: pathlib.Path, target: pathlib.Path) -> None:
        file = image_io.read_image(source)
        restored = restore_image(
            model,
            file.pixels,
            kernel=kernel,
            iterations=arguments.iterations,
            self_ensemble=arguments.self_ensemble,
            tile=_tile_for(file.pixels.shape, arguments.tile),
        )
        image_io.write_image(target, image_io.ImageFile(restored.image, file.icc_profile))
        if arguments.save_kernel and restored.kernel is not None:
            kernel_files.write_kernel(target, restored.kernel)

    return run_jobs(jobs, one, overwrite=arguments.overwrite, verb="restoring")


def _tile_for(shape: tuple[int, ...], asked: int | None) -> int:
    return (_SIDE if shape[0] * shape[1] > _LARGE else 0) if asked is None else asked


def _tile(text: str) -> int:
    """0, or a number of pixels that leaves room for the overlap."""
    from blindsr_jax.inference.tiling import SMALLEST

    if not text.isdigit() or 0 < int(text) < SMALLEST:
        raise argparse.ArgumentTypeError(f"must be 0 or a whole number of at least {SMALLEST}, got {text!r}")
    return int(text)
