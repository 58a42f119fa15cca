"""``blindsr restore``: make pictures several times larger and sharp."""

from __future__ import annotations

import argparse
import contextlib
import itertools
import math
import pathlib
import sys
import time
import typing

from blindsr_jax.cli.arguments import (
    Commands,
    add_back_projection,
    add_command,
    add_files,
    add_model,
    named,
    open_model,
    positive,
)
from blindsr_jax.cli.output_options import add_output_options, check_outputs, max_pixels
from blindsr_jax.cli.phases import Phases
from blindsr_jax.cores import use_cores
from blindsr_jax.errors import BlindSRError, DataError, UsageError, printable

if typing.TYPE_CHECKING:
    import numpy as np

    from blindsr_jax.images.reading import ImageFile
    from blindsr_jax.inference.restore import RestoredBands
    from blindsr_jax.inference.restorer import Restorer
    from blindsr_jax.inference.shrinking import Shrink
    from blindsr_jax.inference.tile_policy import Tile

_TILE = (
    "restore in overlapping tiles of NxN pixels; 0: always whole; default: tiles of 512, or fewer pixels if memory is "
    "short, for pictures over a megapixel and for smaller ones that do not fit into memory"
)
_EXAMPLES = (
    "blindsr restore photo.jpg",
    "blindsr restore photo.jpg -o large.png --compare",
    "blindsr restore holiday/ -o holiday_x2/ --scale 2 --shrink auto",
    "blindsr restore old.jpg --same-size",
)
_MANY_PIXELS = 4 * 2**20  # LR pixels: some eighteen tiles, which save more seconds than the compiling costs
_SPREAD = "restore pictures whole, with their rows split among all devices; for DANs and DSSR"
_SHRINK = (
    "shrink a picture with more pixels than detail N times before it is restored, and enlarge the result again; auto: "
    "decide by its sharpness, noise and compression; default: 1, never"
)
_SAME_SIZE = "shrink the picture first, so that the result is as large as the picture itself"
_SAVE_KERNEL = "write the kernel beside each output (.npy, .png), and with KernelGAN a picture of it while it forms"
_AT_ONCE = "number of tiles in a batch; default: on a CPU 1 for each device, else enough for 2¹⁷ pixels"


def add(commands: Commands) -> None:
    """Add the subcommand and its options."""
    text = "Restore pictures: several times larger, and sharp."
    command = add_command(commands, "restore", run, text, examples=_EXAMPLES)
    add_files(command, default="photo_x4.jpg beside photo.jpg, and holiday_x4/ beside holiday/")
    add_model(command, required=False)
    sizes = command.add_argument_group("pictures with more pixels than detail")
    sizes.add_argument("--shrink", type=_shrink, metavar="auto|N", default=1, help=_SHRINK)
    sizes.add_argument("--same-size", action="store_true", help=_SAME_SIZE)
    blur = command.add_argument_group("blur")
    blur.add_argument("--kernel", type=pathlib.Path, help="the blur kernel, if it is known: .npy or .mat, [K, K]")
    blur.add_argument("--save-kernel", action="store_true", help=_SAVE_KERNEL)
    add_back_projection(blur)
    add_output_options(command)
    large = command.add_argument_group("large pictures")
    large.add_argument("--tile", type=_tile, metavar="N", default="auto", help=_TILE)
    large.add_argument("--tiles-at-once", type=positive, metavar="N", help=_AT_ONCE)
    large.add_argument("--spread", action="store_true", help=_SPREAD)
    command.add_argument("--timing", action="store_true", help="say where the time went, on stderr")


def run(arguments: argparse.Namespace) -> int:
    """``blindsr restore``: write each image s times larger, optionally with its kernel beside it."""
    from tqdm import tqdm

    from blindsr_jax.cli.jobs import plan_outputs, run_jobs
    from blindsr_jax.cli.kernel_files import FormingKernel
    from blindsr_jax.cli.progress import working
    from blindsr_jax.images.folders import list_images
    from blindsr_jax.images.formats import format_of
    from blindsr_jax.images.kernel_arrays import read_kernel
    from blindsr_jax.images.reading import read_image
    from blindsr_jax.images.writing import row_writer
    from blindsr_jax.inference.loading import name_in_reports
    from blindsr_jax.inference.restore import restore_bands, share_programs

    found = [list_images(given) for given in arguments.inputs]  # names what is missing before the model is opened
    if _worth_all_cores(arguments, list(itertools.chain(*found))):
        use_cores()  # before JAX is used
    kernel = read_kernel(arguments.kernel) if arguments.kernel else None
    model = _opened(arguments, kernel)
    phases = Phases()
    tag = "_restored" if arguments.same_size else f"_x{model.scale}"
    jobs = plan_outputs(arguments.inputs, arguments.output, arguments.format, tag=tag)
    check_outputs(arguments, [target for _, target in jobs])
    if model.takes_padding:
        due = [source for source, target in jobs if arguments.overwrite or not target.exists()]
        sizes = _sizes_to_restore(arguments, list(_sizes(arguments, due)), model.scale)
        model = share_programs(model, sizes, tile=arguments.tile, self_ensemble=arguments.self_ensemble)

    def one(source: pathlib.Path, target: pathlib.Path) -> str:
        start = time.monotonic()
        with phases.phase("reading"):
            file = read_image(source, page=arguments.page, max_pixels=max_pixels(arguments))
        size = "x".join(map(str, file.pixels.shape[1::-1]))
        with working(f"{source.name}, {size} pixels, by {arguments.model}", shown=len(jobs) == 1) as learned:
            with phases.phase("computing"):
                restored = restore_bands(
                    model.with_watch(FormingKernel(target, learned) if arguments.save_kernel else learned),
                    file.pixels,
                    kernel=kernel,
                    iterations=arguments.iterations,
                    self_ensemble=arguments.self_ensemble,
                    tile=arguments.tile,
                    tiles_at_once=arguments.tiles_at_once,
                    shrink=arguments.shrink,
                    same_size=arguments.same_size,
                    back_project=arguments.back_project,
                    image_only=len(jobs) > 1 and not arguments.save_kernel,  # the line about one picture has its blur
                    dtype=format_of(target).dtype(f"uint{arguments.depth}" if arguments.depth else file.pixels.dtype),
                )
            metadata = file.metadata.stripped() if arguments.strip_metadata else file.metadata
            bands = phases.each(restored.bands, "computing")
            with row_writer(target, restored.shape, restored.dtype, metadata, arguments.quality) as write:
                for rows in bands:
                    with phases.phase("writing"):
                        write(rows)
        if arguments.shrink == "auto" and restored.shrunk > 1:
            shrunk = f"shrunk {restored.shrunk} times before it was restored"
            tqdm.write(f"{printable(source)}: has more pixels than detail, {shrunk}")
        _write_companions(arguments, target, file, restored)
        of_lr = model.kernel_space == "lr"
        return _closing(name_in_reports(arguments.model), restored, time.monotonic() - start, of_lr)

    def companions(target: pathlib.Path) -> list[pathlib.Path]:
        return _companions(arguments, target)

    with phases.listening() if arguments.timing else contextlib.nullcontext():
        code = run_jobs(jobs, one, overwrite=arguments.overwrite, verb="restoring", companions=companions)
    if arguments.timing:
        print(phases.told(), file=sys.stderr)
    return code


def _closing(model: str, restored: RestoredBands, seconds: float, of_lr: bool) -> str:
    """Describe a result in a line: its size, the model, the time and the blur that was found.

    The blur is one of the restored picture, or, with ``of_lr``, of the given one.
    """
    from blindsr_jax.metrics import kernel_width

    height, width = restored.shape[:2]
    line = f"{width}x{height} pixels, by {model} in {seconds:.1f} s"
    if restored.kernel is None:
        return line
    shrunk = f", of the picture shrunk {restored.shrunk} times" if restored.shrunk > 1 else ""
    pixels = "pixels of the LR picture" if of_lr else "pixels"
    return f"{line}; blur: σ = {kernel_width(restored.kernel):.1f} {pixels}{shrunk}"


def _opened(arguments: argparse.Namespace, kernel: np.ndarray | None) -> Restorer:
    """Open the model with the options for all pictures. Raises DataError if it does not support them."""
    from blindsr_jax.inference.back_projection import check_back_projection

    model = open_model(arguments)
    if not model.restores:
        raise UsageError(
            f"{arguments.model} only estimates kernels: join it with a solver, --model {arguments.model}+SOLVER"
        )
    if not model.takes_kernel and kernel is not None:
        raise UsageError(f"{arguments.model} takes no blur kernel: leave --kernel out")
    if arguments.save_kernel and not (model.takes_kernel or model.estimates_kernel):
        raise UsageError(f"{arguments.model} works without a blur kernel: leave --save-kernel out")
    if kernel is None and model.needs_kernel:
        raise UsageError(f"{arguments.model} needs the blur kernel: --kernel k.npy, or --model ESTIMATOR+SOLVER")
    with named("--back-project"):
        check_back_projection(model, arguments.back_project)
    if not arguments.spread:
        return model
    if arguments.tile not in ("auto", 0):
        raise UsageError("--spread restores pictures whole: leave --tile out")
    with named("--spread"):
        return model.shard_rows()


def _worth_all_cores(arguments: argparse.Namespace, sources: list[pathlib.Path]) -> bool:
    """Whether the pictures that go into tiles are so large that a device for each core is worth compiling longer."""
    from blindsr_jax.inference.tile_policy import WHOLE

    if arguments.tile != "auto" or arguments.spread:
        return False
    shrunk = 4 if arguments.same_size else 1 if arguments.shrink == "auto" else arguments.shrink**2  # at least so much
    pixels = [math.prod(size) / shrunk for size in _sizes(arguments, sources)]
    return sum(count for count in pixels if count > WHOLE) > _MANY_PIXELS


def _sizes(arguments: argparse.Namespace, sources: list[pathlib.Path]) -> typing.Iterator[tuple[int, int]]:
    """Yield the sizes of the readable pictures; the others are reported when they are restored."""
    from blindsr_jax.images.reading import image_size

    for source in sources:
        with contextlib.suppress(DataError):
            yield image_size(source, page=arguments.page, max_pixels=max_pixels(arguments))


def _sizes_to_restore(arguments: argparse.Namespace, sizes: list[tuple[int, int]], scale: int) -> list[tuple[int, int]]:
    """The sizes of pictures after they may have been shrunk."""
    factors = (scale,) if arguments.same_size else (1, 2) if arguments.shrink == "auto" else (arguments.shrink,)
    return [(-(-height // n), -(-width // n)) for n in factors for height, width in sizes]


def _companions(arguments: argparse.Namespace, target: pathlib.Path) -> list[pathlib.Path]:
    """List the files that are written beside an output."""
    from blindsr_jax.cli.comparison import comparison_path
    from blindsr_jax.cli.kernel_files import kernel_paths

    paths = kernel_paths(target) if arguments.save_kernel else []
    return paths + ([comparison_path(target)] if arguments.compare else [])


def _write_companions(
    arguments: argparse.Namespace, target: pathlib.Path, file: ImageFile, restored: RestoredBands
) -> None:
    """Write the requested kernel and comparison beside an output; if one fails, remove all of its files."""
    from blindsr_jax.cli.comparison import write_comparison
    from blindsr_jax.cli.kernel_files import write_kernel

    try:
        if arguments.save_kernel and restored.kernel is not None:
            write_kernel(target, restored.kernel)
        if arguments.compare:
            write_comparison(target, file, restored.shape[0] // file.pixels.shape[0])
    except BlindSRError:
        for path in (target, *_companions(arguments, target)):
            path.unlink(missing_ok=True)
        raise


def _shrink(text: str | int) -> Shrink:
    """Parse ``--shrink``: ``auto`` or a whole number."""
    from blindsr_jax.inference.shrinking import LARGEST

    if text == "auto":
        return "auto"
    if not str(text).isdigit() or not 1 <= int(text) <= LARGEST:
        raise argparse.ArgumentTypeError(f"must be auto or a whole number from 1 to {LARGEST}, got {text!r}")
    return int(text)


def _tile(text: str) -> Tile:
    """Parse ``--tile``: ``auto``, 0, or a number of pixels that leaves room for the overlap."""
    from blindsr_jax.inference.tile_policy import SMALLEST

    if text == "auto":  # argparse also parses the default
        return "auto"
    if not text.isdigit() or 0 < int(text) < SMALLEST:
        raise argparse.ArgumentTypeError(f"must be 0 or a whole number of at least {SMALLEST}, got {text!r}")
    return int(text)
