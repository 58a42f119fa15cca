"""``blindsr degrade``: LR files with a known blur."""

from __future__ import annotations

import argparse
import pathlib
import typing
import zlib

from blindsr_jax.cli.arguments import Choices, Commands, add_command, add_files, level, positive
from blindsr_jax.errors import DataError


def add(commands: Commands) -> None:
    """The subcommand's options."""
    command = add_command(commands, "degrade", run, "Make low-resolution files with a known blur, for experiments.")
    add_files(command)
    command.add_argument("--scale", type=positive, default=4, help="default: 4")
    command.add_argument(
        "--kernel",
        default="iso:2.4",
        help="iso:SIGMA, aniso:SIGMA_X,SIGMA_Y,DEGREES, or a .npy or .mat file; default: iso:2.4",
    )
    command.add_argument(
        "--noise", type=level, default=0.0, help="standard deviation of added noise on the 0-255 scale; default: 0"
    )
    command.add_argument(
        "--downsample",
        choices=Choices(_downsamplers),
        default="bicubic",
        metavar="HOW",
        help="%(choices)s; default: bicubic",
    )
    command.add_argument("--seed", type=int, default=0, help="of the noise; default: 0")


def _downsamplers() -> tuple[str, ...]:
    from blindsr_jax.degradations.steps import Downsampling

    return typing.get_args(Downsampling)


def run(arguments: argparse.Namespace) -> int:
    """``blindsr degrade``: LR files of known blur from HR images, the kernel beside them."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from blindsr_jax import degradations
    from blindsr_jax.cli.jobs import plan_outputs, run_jobs
    from blindsr_jax.cli.kernel_files import kernel_from_text, write_kernel
    from blindsr_jax.images.reading import ImageFile, read_rgb
    from blindsr_jax.images.writing import write_image
    from blindsr_jax.pictures import from_unit

    kernel = kernel_from_text(arguments.kernel)
    jobs = plan_outputs(arguments.inputs, arguments.output, "png")

    def one(source: pathlib.Path, target: pathlib.Path) -> None:
        hr = read_rgb(source)
        height, width = (side // arguments.scale * arguments.scale for side in hr.shape[:2])
        key = jax.random.fold_in(jax.random.key(arguments.seed), _number_of(source))
        try:
            degraded = degradations.degrade(
                key,
                jnp.asarray(hr[None, :height, :width], jnp.float32) / 255,
                scale=arguments.scale,
                kernel=jnp.asarray(kernel)[None],
                downsample=arguments.downsample,
                noise=(arguments.noise, arguments.noise),
            )
        except ValueError as error:
            raise DataError(f"{source}: {error}") from None
        write_image(target, ImageFile(from_unit(np.asarray(degraded.lr[0]), np.dtype(np.uint8))))
        write_kernel(target, kernel)

    return run_jobs(jobs, one, overwrite=arguments.overwrite, verb="degrading")


def _number_of(path: pathlib.Path) -> int:
    """A number that depends on the file's name alone, so that noise does not depend on the company it is in."""
    return zlib.crc32(path.name.encode())
