"""The ``blindsr`` command: restore pictures, make LR files, turn a run into a bundle.

Exit codes: 0 all done; 1 some inputs failed (each named on stderr, the others written); 2 wrong usage.
"""

from __future__ import annotations

import argparse
import pathlib
import sys
import typing

from blindsr_jax.errors import BlindSRError, DataError


def main(argv: list[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    arguments = _parser().parse_args(argv)
    try:
        return arguments.run(arguments)
    except BlindSRError as error:
        print(f"blindsr: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("blindsr: interrupted; finished files are complete", file=sys.stderr)
        return 130


def restore(arguments: argparse.Namespace) -> int:
    """``blindsr restore``: each image s times larger, the kernel beside it if asked."""
    import numpy as np

    from blindsr_jax.inference import image_io
    from blindsr_jax.inference.model import load
    from blindsr_jax.inference.restore import restore_image

    jobs = plan_outputs(arguments.inputs, arguments.output)
    kernel = _read_kernel(arguments.kernel) if arguments.kernel else None
    model = load(arguments.model)

    def one(source: pathlib.Path, target: pathlib.Path) -> None:
        file = image_io.read_image(source)
        restored = restore_image(model, file.pixels, kernel=kernel, iterations=arguments.iterations)
        image_io.write_image(target, image_io.ImageFile(restored.image, file.icc_profile))
        if arguments.save_kernel and restored.kernel is not None:
            _write_kernel(target, np.asarray(restored.kernel))

    return _for_each(jobs, one, overwrite=arguments.overwrite, verb="restoring")


def degrade(arguments: argparse.Namespace) -> int:
    """``blindsr degrade``: LR files of known blur from HR images, the kernel beside them."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from blindsr_jax import degradations
    from blindsr_jax.data.images import read_rgb
    from blindsr_jax.inference.image_io import ImageFile, write_image
    from blindsr_jax.inference.restore import from_unit

    kernel = _kernel_from_text(arguments.kernel)
    jobs = plan_outputs(arguments.inputs, arguments.output, suffix=".png")

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
        _write_kernel(target, kernel)

    return _for_each(jobs, one, overwrite=arguments.overwrite, verb="degrading")


def convert(arguments: argparse.Namespace) -> int:
    """``blindsr convert``: a training run's best checkpoint into one bundle file."""
    from blindsr_jax import config as config_lib
    from blindsr_jax.training.results import best_state, bundle_of
    from blindsr_jax.training.run_log import setup_logging
    from blindsr_jax.training.setup import recorded_config
    from blindsr_jax.weights.bundle import save_bundle

    setup_logging()
    if arguments.output.suffix != ".safetensors":
        raise DataError(f"{arguments.output}: a bundle's name ends in .safetensors")
    config = config_lib.ConfigDict(recorded_config(arguments.run_dir))
    save_bundle(arguments.output, bundle_of(config, best_state(config, arguments.run_dir)))
    print(f"wrote {arguments.output}")
    return 0


def list_models(arguments: argparse.Namespace) -> int:
    """``blindsr models``: the packaged weights."""
    from blindsr_jax.weights.zoo import models

    for name, line in models().items():
        print(f"{name}: {line}")
    if not models():
        print("no packaged weights in this version; train some, then 'blindsr convert RUN -o model.safetensors'")
    return 0


def plan_outputs(
    inputs: typing.Sequence[pathlib.Path], output: pathlib.Path, suffix: str | None = None
) -> list[tuple[pathlib.Path, pathlib.Path]]:
    """Which file is written for which input.

    One file to one file name; anything else into a folder, where folders keep their tree.

    Args:
      inputs: files and folders.
      output: a file name with an image extension, or a folder.
      suffix: extension of outputs in a folder; by default the input's.

    Returns:
      (source, target) pairs.

    Raises:
      DataError: an input is missing, two inputs would become one output, or an output would replace an input.
    """
    from blindsr_jax.data.images import EXTENSIONS, list_images

    to_file = output.suffix.lower() in EXTENSIONS and not output.is_dir()
    if to_file:
        if len(inputs) != 1 or inputs[0].is_dir():
            raise DataError(f"{output} is one file, but there are several inputs: give a folder after -o")
        pairs = [(list_images(inputs[0])[0], output)]
    else:
        pairs = []
        for given in inputs:
            for source in list_images(given):
                relative = source.relative_to(given) if given.is_dir() else pathlib.Path(source.name)
                pairs.append((source, output / (relative.with_suffix(suffix) if suffix else relative)))
    sources = {source.resolve() for source, _ in pairs}
    seen: dict[pathlib.Path, pathlib.Path] = {}
    for source, target in pairs:
        if target.resolve() in sources:
            raise DataError(f"{target}: this output would replace an input; choose another place after -o")
        if target in seen:
            raise DataError(f"{source} and {seen[target]} would both be written to {target}; restore them separately")
        seen[target] = source
    return pairs


def _for_each(
    jobs: list[tuple[pathlib.Path, pathlib.Path]],
    action: typing.Callable[[pathlib.Path, pathlib.Path], None],
    *,
    overwrite: bool,
    verb: str,
) -> int:
    """Runs an action per file with a progress bar; a bad file is named and the others go on."""
    from tqdm import tqdm

    failed = skipped = 0
    with tqdm(jobs, verb, unit="image", disable=len(jobs) == 1) as bar:
        for source, target in bar:
            if target.exists() and not overwrite:
                skipped += 1
                tqdm.write(f"{target}: exists, skipped (--overwrite replaces it)", file=sys.stderr)
                continue
            try:
                action(source, target)
            except BlindSRError as error:
                failed += 1
                message = str(error)
                tqdm.write(f"blindsr: {message if str(source) in message else f'{source}: {message}'}", file=sys.stderr)
    done = len(jobs) - failed - skipped
    print(
        f"{done} of {len(jobs)} written"
        + (f", {skipped} skipped" if skipped else "")
        + (f", {failed} failed" if failed else "")
    )
    return 1 if failed else 0


def _read_kernel(path: pathlib.Path) -> typing.Any:
    import numpy as np

    try:
        return np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file") from None
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path}: not a .npy file with a kernel ({error})") from None


def _write_kernel(image_path: pathlib.Path, kernel: typing.Any) -> None:
    """``photo_kernel.npy`` and ``photo_kernel.png`` beside ``photo.png``."""
    import numpy as np

    from blindsr_jax.files import atomic_path
    from blindsr_jax.inference.pictures import kernel_picture

    with atomic_path(image_path.with_name(f"{image_path.stem}_kernel.npy")) as temporary:
        np.save(temporary, kernel)
    with atomic_path(image_path.with_name(f"{image_path.stem}_kernel.png")) as temporary:
        kernel_picture(kernel).save(temporary)


def _kernel_from_text(text: str) -> typing.Any:
    """``iso:2.4``, ``aniso:SX,SY,DEGREES`` or a .npy file, as a float32 [K, K]."""
    import numpy as np

    from blindsr_jax import degradations
    from blindsr_jax.inference.model import fit_kernel

    kind, _, numbers = text.partition(":")
    try:
        values = [float(number) for number in numbers.split(",")] if kind in ("iso", "aniso") else []
        if kind == "iso" and len(values) == 1 and values[0] > 0:
            return np.asarray(degradations.isotropic_gaussian(values[0], 21))
        if kind == "aniso" and len(values) == 3 and min(values[:2]) > 0:
            return np.asarray(degradations.anisotropic_gaussian(values[0], values[1], np.deg2rad(values[2]), 31))
    except ValueError:
        values = [0.0]
    if values:
        raise DataError(f"--kernel {text}: expected iso:SIGMA, aniso:SIGMA_X,SIGMA_Y,DEGREES or a .npy file")
    kernel = _read_kernel(pathlib.Path(text))
    return fit_kernel(kernel, kernel.shape[-1] if kernel.ndim else 1)[0]


def _number_of(path: pathlib.Path) -> int:
    """A number that depends on the file's name alone, so that noise does not depend on the company it is in."""
    import zlib

    return zlib.crc32(path.name.encode())


def _parser() -> argparse.ArgumentParser:
    from blindsr_jax import __version__

    parser = argparse.ArgumentParser("blindsr", description="Blind super-resolution: enlarge pictures of unknown blur.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def files(name: str, run: typing.Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("inputs", nargs="+", type=pathlib.Path, metavar="IN", help="image files or folders")
        command.add_argument("-o", "--output", type=pathlib.Path, required=True, help="image file or folder")
        command.add_argument("--overwrite", action="store_true", help="replace outputs that exist")
        command.set_defaults(run=run)
        return command

    command = files("restore", restore, "Restore pictures: several times larger, and sharp.")
    command.add_argument("--model", required=True, help="packaged name (see 'blindsr models') or .safetensors file")
    command.add_argument("--kernel", type=pathlib.Path, help="the blur kernel if you know it: .npy, [K, K], sum 1")
    command.add_argument("--iterations", type=_positive, help="unfolded steps; default: as in training")
    command.add_argument("--save-kernel", action="store_true", help="write the kernel as .npy and .png beside each")

    command = files("degrade", degrade, "Make low-resolution files with a known blur, for experiments.")
    command.add_argument("--scale", type=_positive, default=4)
    command.add_argument("--kernel", default="iso:2.4", help="iso:SIGMA, aniso:SIGMA_X,SIGMA_Y,DEGREES or a .npy file")
    command.add_argument("--noise", type=_level, default=0.0, help="standard deviation of added noise, 0-255 scale")
    command.add_argument("--downsample", choices=["bicubic", "s_fold"], default="bicubic")
    command.add_argument("--seed", type=int, default=0, help="of the noise")

    text = "Turn a training run into one .safetensors file."
    command = commands.add_parser("convert", help=text, description=text)
    command.add_argument("run_dir", type=pathlib.Path, metavar="RUN", help="workdir of the run")
    command.add_argument("-o", "--output", type=pathlib.Path, required=True, help="bundle to write (.safetensors)")
    command.set_defaults(run=convert)

    text = "List the packaged models."
    command = commands.add_parser("models", help=text, description=text)
    command.set_defaults(run=list_models)
    return parser


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {value}")
    return value


def _level(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 255:
        raise argparse.ArgumentTypeError(f"must be 0 to 255, got {value}")
    return value


if __name__ == "__main__":
    sys.exit(main())
