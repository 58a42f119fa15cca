"""``blindsr degrade``: make LR files with a known blur."""

from __future__ import annotations

import argparse
import pathlib
import typing
import zlib

from blindsr_jax.cli.arguments import Choices, Commands, add_command, add_files, level, positive
from blindsr_jax.errors import DataError, UsageError

if typing.TYPE_CHECKING:
    from blindsr_jax.degradations.steps import Steps
    from blindsr_jax.types import Degraded


def add(commands: Commands) -> None:
    """Add the subcommand and its options."""
    command = add_command(commands, "degrade", run, "Make low-resolution files with a known blur, for experiments.")
    add_files(command)
    command.add_argument("--scale", type=positive, default=4, help="default: 4")
    command.add_argument(
        "--kernel", help="iso:SIGMA, aniso:SIGMA_X,SIGMA_Y,DEGREES, or a .npy or .mat file; default: iso:2.4"
    )
    command.add_argument("--noise", type=level, help="standard deviation of added noise on the 0-255 scale; default: 0")
    command.add_argument(
        "--downsample", choices=Choices(_downsamplers), metavar="HOW", help="%(choices)s; default: bicubic"
    )
    command.add_argument(
        "--steps",
        help="instead of these three: a degradation by name, such as photo or real_esrgan, or its steps, such as "
        "'blur(motion), downsample(), jpeg((40, 90))'; see docs/degradations.md",
    )
    command.add_argument("--seed", type=int, default=0, help="seed of all random draws; default: 0")


def _downsamplers() -> tuple[str, ...]:
    from blindsr_jax.degradations.size_steps import Downsampling

    return typing.get_args(Downsampling)


def run(arguments: argparse.Namespace) -> int:
    """``blindsr degrade``: write LR files of HR images, each with its kernel beside it."""
    import functools

    import jax
    import jax.numpy as jnp
    import numpy as np

    from blindsr_jax.cli.jobs import plan_outputs, run_jobs
    from blindsr_jax.cli.kernel_files import kernel_from_text, write_kernel
    from blindsr_jax.degradations.notation import text_of_steps
    from blindsr_jax.degradations.pipeline import degrade_by
    from blindsr_jax.images.reading import ImageFile, read_picture
    from blindsr_jax.images.writing import write_image
    from blindsr_jax.pictures import from_unit

    kernel = None if arguments.steps else jnp.asarray(kernel_from_text(arguments.kernel or "iso:2.4"))[None]
    steps = _steps_of(arguments)
    degrade: typing.Callable[..., Degraded] = functools.partial(degrade_by, steps, scale=arguments.scale)
    if arguments.steps:
        print(f"steps: {text_of_steps(steps)}")
        degrade = jax.jit(degrade)  # faster for the many operations of such a degradation
    jobs = plan_outputs(arguments.inputs, arguments.output, "png")

    def one(source: pathlib.Path, target: pathlib.Path) -> None:
        hr, metadata = read_picture(source)
        height, width = (side // arguments.scale * arguments.scale for side in hr.shape[:2])
        key = jax.random.fold_in(jax.random.key(arguments.seed), _number_of(source))
        try:
            degraded = degrade(key, jnp.asarray(hr[None, :height, :width], jnp.float32) / 255, kernel=kernel)
        except ValueError as error:
            raise DataError(f"{source}: {error}") from None
        write_image(target, ImageFile(from_unit(np.asarray(degraded.lr[0]), np.dtype(np.uint8)), metadata))
        write_kernel(target, np.asarray(degraded.kernel[0]))

    return run_jobs(jobs, one, overwrite=arguments.overwrite, verb="degrading")


def _steps_of(arguments: argparse.Namespace) -> Steps:
    from blindsr_jax.degradations.notation import steps_from_text
    from blindsr_jax.degradations.orders import classic

    if not arguments.steps:
        noise = arguments.noise or 0.0
        return classic(arguments.scale, downsample=arguments.downsample or "bicubic", noise=(noise, noise))
    given = [name for name in ("kernel", "noise", "downsample") if getattr(arguments, name) is not None]
    if given:
        raise UsageError(f"--steps says all that is done to the images: leave out --{', --'.join(given)}")
    try:
        return steps_from_text(arguments.steps, arguments.scale)
    except ValueError as error:
        raise UsageError(f"--steps: {error}") from None


def _number_of(path: pathlib.Path) -> int:
    """A number from the file's name alone, so that a file's noise does not depend on the other inputs."""
    return zlib.crc32(path.name.encode())
