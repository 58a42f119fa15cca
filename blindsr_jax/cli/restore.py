"""``blindsr restore``: pictures, several times larger and sharp."""

from __future__ import annotations

import argparse
import contextlib
import pathlib
import typing

from blindsr_jax.cli.arguments import Commands, add_command, add_files, add_model, open_model, positive
from blindsr_jax.cli.output_options import add_output_options, check_outputs
from blindsr_jax.errors import BlindSRError, DataError

if typing.TYPE_CHECKING:
    import numpy as np

    from blindsr_jax.inference.image_io import ImageFile
    from blindsr_jax.inference.model import Model
    from blindsr_jax.inference.restore import Restoration
    from blindsr_jax.inference.solver import Pipeline

# Pictures of more LR pixels are restored in tiles, unless --tile says otherwise.
_LARGE = 2**20
_TILE = (
    "restore in overlapping parts of NxN pixels; 0: always whole; default: 512, or as many as fit into memory, for "
    "pictures over a megapixel, and for smaller ones that do not fit whole"
)
_SPREAD = "restore pictures whole, their rows spread over all devices; for DANs and DSSR"
_AT_ONCE = "tiles in one batch; default: 1 on a CPU, which gains nothing from more, else those of a megapixel"


def add(commands: Commands) -> None:
    """The subcommand's options."""
    command = add_command(commands, "restore", run, "Restore pictures: several times larger, and sharp.")
    add_files(command)
    add_model(command, required=False)
    command.add_argument("--kernel", type=pathlib.Path, help="the blur kernel if you know it: .npy or .mat, [K, K]")
    command.add_argument("--tile", type=_tile, metavar="N", help=_TILE)
    command.add_argument("--spread", action="store_true", help=_SPREAD)
    command.add_argument("--tiles-at-once", type=positive, metavar="N", help=_AT_ONCE)
    command.add_argument("--save-kernel", action="store_true", help="write the kernel as .npy and .png beside each")
    add_output_options(command)


def run(arguments: argparse.Namespace) -> int:
    """``blindsr restore``: each image s times larger, the kernel beside it if asked."""
    from blindsr_jax.data.kernel_arrays import read_kernel
    from blindsr_jax.inference import image_io
    from blindsr_jax.inference.formats import format_of
    from blindsr_jax.inference.image_rows import row_writer
    from blindsr_jax.inference.jobs import plan_outputs, run_jobs
    from blindsr_jax.inference.restore import restore_bands

    jobs = plan_outputs(arguments.inputs, arguments.output, arguments.format)
    check_outputs(arguments, [target for _, target in jobs])
    kernel = read_kernel(arguments.kernel) if arguments.kernel else None
    model = open_model(arguments)
    _check(arguments, model, kernel)
    due = [source for source, target in jobs if arguments.overwrite or not target.exists()]
    model, common = _prepared(arguments, model, due)

    def one(source: pathlib.Path, target: pathlib.Path) -> None:
        file = image_io.read_image(source, **_reading(arguments))
        tile = _tile_for(file.pixels.shape, arguments)
        dtype = format_of(target).dtype(f"uint{arguments.depth}" if arguments.depth else file.pixels.dtype)
        options = {"kernel": kernel, "tile": tile or arguments.tile, "bounded": arguments.tile is None, "dtype": dtype}
        restored = restore_bands(model, file.pixels, **options, **_batch(arguments, tile), **common)
        metadata = file.metadata.stripped() if arguments.strip_metadata else file.metadata
        with row_writer(target, restored.shape, restored.dtype, metadata, arguments.quality) as write:
            for rows in restored.bands:
                write(rows)
        _write_companions(arguments, target, file, restored)

    def companions(target: pathlib.Path) -> list[pathlib.Path]:
        return _companions(arguments, target)

    return run_jobs(jobs, one, overwrite=arguments.overwrite, verb="restoring", companions=companions)


def _reading(arguments: argparse.Namespace) -> dict[str, typing.Any]:
    limit = {} if arguments.max_pixels is None else {"max_pixels": arguments.max_pixels}
    return {"page": arguments.page, **limit}


def _companions(arguments: argparse.Namespace, target: pathlib.Path) -> list[pathlib.Path]:
    """Files that are written beside an output."""
    from blindsr_jax.inference.comparison import comparison_path
    from blindsr_jax.inference.kernel_files import kernel_paths

    paths = kernel_paths(target) if arguments.save_kernel else []
    return paths + ([comparison_path(target)] if arguments.compare else [])


def _write_companions(
    arguments: argparse.Namespace, target: pathlib.Path, file: ImageFile, restored: Restoration
) -> None:
    """Kernel and comparison beside an output, if asked for; if one of them fails none of the files stays."""
    from blindsr_jax.inference import comparison, kernel_files

    try:
        if arguments.save_kernel and restored.kernel is not None:
            kernel_files.write_kernel(target, restored.kernel)
        if arguments.compare:
            comparison.write_comparison(target, file, restored.shape[0] // file.pixels.shape[0])
    except BlindSRError:
        for path in (target, *_companions(arguments, target)):
            path.unlink(missing_ok=True)
        raise


def _check(arguments: argparse.Namespace, model: Model | Pipeline, kernel: np.ndarray | None) -> None:
    """Raises DataError if the model cannot do what is asked."""
    if not model.restores:
        raise DataError(
            f"{arguments.model} only estimates kernels: join it with a solver, --model {arguments.model}+SOLVER"
        )
    if not model.takes_kernel and (kernel is not None or arguments.save_kernel):
        raise DataError(f"{arguments.model} works without a blur kernel: leave --kernel and --save-kernel out")
    if kernel is None and not model.estimates_kernel and model.takes_kernel:
        raise DataError(f"{arguments.model} has to be told the blur: --kernel k.npy, or --model ESTIMATOR+SOLVER")


def _prepared(
    arguments: argparse.Namespace, model: Model | Pipeline, sources: list[pathlib.Path]
) -> tuple[Model | Pipeline, dict[str, typing.Any]]:
    """The model on canvases for these pictures, where it takes any, and what all of them are restored with.

    Tiles need a kernel; so that their programs serve whole pictures as well, those are not restored without one then.
    """
    from blindsr_jax.inference import canvases

    options = {"iterations": arguments.iterations, "self_ensemble": arguments.self_ensemble}
    if arguments.spread:
        return _spread(arguments, model), options | {"image_only": not arguments.save_kernel}
    if not model.takes_canvas:
        return model, options
    sizes = list(_sizes(sources, _reading(arguments)))
    tiles = [_tile_for(size, arguments) for size in sizes]
    whole = not any(tile and max(size) > tile for size, tile in zip(sizes, tiles))
    model = model.on_canvases(canvases.plan(sizes, tiles, turned=arguments.self_ensemble))
    return model, options | {"image_only": whole and not arguments.save_kernel}


def _sizes(sources: list[pathlib.Path], options: dict[str, typing.Any]) -> typing.Iterator[tuple[int, int]]:
    """Of the pictures that can be read; the others are named when it is their turn."""
    from blindsr_jax.data.images import image_size

    for source in sources:
        with contextlib.suppress(DataError):
            yield image_size(source, **options)


def _batch(arguments: argparse.Namespace, tile: int) -> dict[str, int]:
    from blindsr_jax.inference.tiling import usual_batch

    return {"tiles_at_once": arguments.tiles_at_once or usual_batch(tile)} if tile else {}


def _spread(arguments: argparse.Namespace, model: Model | Pipeline) -> Model:
    if arguments.tile:
        raise DataError("--spread restores pictures whole: leave --tile out")
    if not model.takes_canvas:
        raise DataError(f"--spread: {arguments.model} sees the whole picture through an FFT; DANs and DSSR do not")
    return model.spread()


def _tile_for(shape: tuple[int, ...], arguments: argparse.Namespace) -> int:
    """Side of a picture's tiles; 0 for none."""
    from blindsr_jax.inference.restore import SIDE

    if arguments.tile is not None or arguments.spread:
        return arguments.tile or 0
    return SIDE if shape[0] * shape[1] > _LARGE else 0


def _tile(text: str) -> int:
    """0, or a number of pixels that leaves room for the overlap."""
    from blindsr_jax.inference.tiling import SMALLEST

    if not text.isdigit() or 0 < int(text) < SMALLEST:
        raise argparse.ArgumentTypeError(f"must be 0 or a whole number of at least {SMALLEST}, got {text!r}")
    return int(text)
