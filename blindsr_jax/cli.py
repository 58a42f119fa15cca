"""The ``blindsr`` command: restore pictures, score models, make LR files, turn a run into a bundle.

Exit codes: 0 all done; 1 some inputs failed (each named on stderr, the others written); 2 wrong usage.
"""

from __future__ import annotations

import argparse
import pathlib
import sys
import typing

from blindsr_jax.errors import BlindSRError, DataError

if typing.TYPE_CHECKING:
    from blindsr_jax.weights.bundle import Bundle


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
    from blindsr_jax.inference import image_io, kernel_files
    from blindsr_jax.inference.jobs import plan_outputs, run_jobs
    from blindsr_jax.inference.model import load
    from blindsr_jax.inference.restore import restore_image

    jobs = plan_outputs(arguments.inputs, arguments.output)
    kernel = kernel_files.read_kernel(arguments.kernel) if arguments.kernel else None
    model = load(arguments.model)

    def one(source: pathlib.Path, target: pathlib.Path) -> None:
        file = image_io.read_image(source)
        restored = restore_image(model, file.pixels, kernel=kernel, iterations=arguments.iterations)
        image_io.write_image(target, image_io.ImageFile(restored.image, file.icc_profile))
        if arguments.save_kernel and restored.kernel is not None:
            kernel_files.write_kernel(target, restored.kernel)

    return run_jobs(jobs, one, overwrite=arguments.overwrite, verb="restoring")


def degrade(arguments: argparse.Namespace) -> int:
    """``blindsr degrade``: LR files of known blur from HR images, the kernel beside them."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from blindsr_jax import degradations
    from blindsr_jax.data.images import read_rgb
    from blindsr_jax.inference.image_io import ImageFile, write_image
    from blindsr_jax.inference.jobs import plan_outputs, run_jobs
    from blindsr_jax.inference.kernel_files import kernel_from_text, write_kernel
    from blindsr_jax.inference.restore import from_unit

    kernel = kernel_from_text(arguments.kernel)
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
        write_kernel(target, kernel)

    return run_jobs(jobs, one, overwrite=arguments.overwrite, verb="degrading")


def evaluate(arguments: argparse.Namespace) -> int:
    """``blindsr evaluate``: a protocol on folders of HR images; a report for each, with bicubic beside it."""
    from tqdm import tqdm

    from blindsr_jax.data.sources import open_source
    from blindsr_jax.evaluation.protocols import PROTOCOLS
    from blindsr_jax.evaluation.report import beside_published, headline, summarise, write_report
    from blindsr_jax.evaluation.run import evaluate as run_protocol
    from blindsr_jax.inference.model import load

    model = load(arguments.model)
    if arguments.scale not in (None, model.scale):
        raise DataError(f"--scale {arguments.scale}: {arguments.model} works at scale {model.scale}")
    protocol = PROTOCOLS[arguments.protocol](model.scale)
    names = [folder.resolve().name for folder in arguments.data]
    if len(set(names)) < len(names):
        raise DataError(f"two folders of the same name ({', '.join(names)}): evaluate them into different places")
    failed = False
    for name, folder in zip(names, arguments.data):
        failures: list[str] = []
        try:
            source = open_source("folder", str(folder), smallest=16 * model.scale)
            rows = run_protocol(
                model,
                source,
                protocol,
                iterations=arguments.iterations,
                failures=failures,
                progress=lambda pairs, total, name=name: tqdm(pairs, name, total, unit="image"),
            )
        except DataError as error:
            print(f"blindsr: {error}", file=sys.stderr)
            failed = True
            continue
        facts = {"model": pathlib.Path(arguments.model).name, "parameters": model.parameters, "data": name}
        facts["unreadable"] = len(failures) + len(source.left_out)
        failed |= facts["unreadable"] > 0
        summary = summarise(rows, protocol=protocol.name, scale=protocol.scale, **facts)
        target = arguments.output / name if len(names) > 1 else arguments.output
        write_report(target, rows, summary)
        print(f"{name}, {headline(summary)}; see {target / 'report.md'}")
        print("\n".join(beside_published(rows, summary)), end="")
    return 1 if failed else 0


def convert(arguments: argparse.Namespace) -> int:
    """``blindsr convert``: a training run's best checkpoint, or an official checkpoint, into one bundle file."""
    from blindsr_jax.weights.bundle import save_bundle

    if arguments.output.suffix != ".safetensors":
        raise DataError(f"{arguments.output}: a bundle's name ends in .safetensors")
    save_bundle(arguments.output, _bundle_from(arguments.source))
    print(f"wrote {arguments.output}")
    return 0


def _bundle_from(source: pathlib.Path) -> Bundle:
    if source.suffix in (".pth", ".pt"):
        from blindsr_jax.weights.official import load_official

        return load_official(source)
    from blindsr_jax import config as config_lib
    from blindsr_jax.training.results import best_state, bundle_of
    from blindsr_jax.training.run_log import setup_logging
    from blindsr_jax.training.setup import recorded_config

    setup_logging()
    config = config_lib.ConfigDict(recorded_config(source))
    return bundle_of(config, best_state(config, source))


def list_models(arguments: argparse.Namespace) -> int:
    """``blindsr models``: the packaged weights."""
    from blindsr_jax.weights.zoo import models

    for name, line in models().items():
        print(f"{name}: {line}")
    if not models():
        print("no packaged weights in this version; train some, then 'blindsr convert RUN -o model.safetensors'")
    return 0


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
    command.add_argument(
        "--model", required=True, help="packaged name (see 'blindsr models'), .safetensors bundle or official .pth file"
    )
    command.add_argument("--kernel", type=pathlib.Path, help="the blur kernel if you know it: .npy, [K, K], sum 1")
    command.add_argument("--iterations", type=_positive, help="unfolded steps; default: as in training")
    command.add_argument("--save-kernel", action="store_true", help="write the kernel as .npy and .png beside each")

    command = files("degrade", degrade, "Make low-resolution files with a known blur, for experiments.")
    command.add_argument("--scale", type=_positive, default=4)
    command.add_argument("--kernel", default="iso:2.4", help="iso:SIGMA, aniso:SIGMA_X,SIGMA_Y,DEGREES or a .npy file")
    command.add_argument("--noise", type=_level, default=0.0, help="standard deviation of added noise, 0-255 scale")
    command.add_argument("--downsample", choices=["bicubic", "s_fold"], default="bicubic")
    command.add_argument("--seed", type=int, default=0, help="of the noise")

    text = "Score a model on folders of high-resolution images."
    command = commands.add_parser("evaluate", help=text, description=text)
    command.add_argument("--model", required=True, help="packaged name, .safetensors bundle or official .pth file")
    command.add_argument(
        "--protocol", choices=["gaussian8", "gaussian_width"], default="gaussian8", help="how LR images are made"
    )
    command.add_argument("--scale", type=_positive, help="to check against the model's")
    command.add_argument("--data", nargs="+", type=pathlib.Path, required=True, help="folders of HR images")
    command.add_argument("--iterations", type=_positive, help="unfolded steps; default: as in training")
    command.add_argument("-o", "--output", type=pathlib.Path, required=True, help="folder for the reports")
    command.set_defaults(run=evaluate)

    text = "Turn a training run, or an official .pth file, into one .safetensors file."
    command = commands.add_parser("convert", help=text, description=text)
    command.add_argument("source", type=pathlib.Path, metavar="RUN", help="workdir of a run, or a .pth file")
    command.add_argument("-o", "--output", type=pathlib.Path, required=True, help="bundle to write (.safetensors)")
    command.set_defaults(run=convert)

    text = "List the packaged models."
    command = commands.add_parser("models", help=text, description=text)
    command.set_defaults(run=list_models)
    return parser


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, got {text!r}")
    return int(text)


def _level(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0 <= value <= 255:
        raise argparse.ArgumentTypeError(f"must be a number from 0 to 255, got {text!r}")
    return value


if __name__ == "__main__":
    sys.exit(main())
