"""The ``blindsr`` command: restore pictures, score models, make LR files, turn a run into a bundle.

Exit codes: 0 all done; 1 some inputs failed (each named on stderr, the others written); 2 wrong usage.
"""

from __future__ import annotations

import argparse
import dataclasses
import logging
import pathlib
import sys
import typing

from blindsr_jax.errors import BlindSRError, DataError

if typing.TYPE_CHECKING:
    from blindsr_jax.evaluation.protocols import Protocol
    from blindsr_jax.evaluation.run import Methods
    from blindsr_jax.inference.model import Model
    from blindsr_jax.weights.bundle import Bundle


_SELF_ENSEMBLE = "average over the image's eight flips and turns: slightly better, eight times slower"


def main(argv: list[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    arguments = _parser().parse_args(argv)
    try:
        return arguments.run(arguments)
    except BlindSRError as error:
        print(f"blindsr: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("blindsr: interrupted; what is finished is complete, the same command goes on", file=sys.stderr)
        return 130


def restore(arguments: argparse.Namespace) -> int:
    """``blindsr restore``: each image s times larger, the kernel beside it if asked."""
    from blindsr_jax.data.kernel_arrays import read_kernel
    from blindsr_jax.inference import image_io, kernel_files
    from blindsr_jax.inference.jobs import plan_outputs, run_jobs
    from blindsr_jax.inference.model import load
    from blindsr_jax.inference.restore import restore_image

    jobs = plan_outputs(arguments.inputs, arguments.output)
    kernel = read_kernel(arguments.kernel) if arguments.kernel else None
    model = load(arguments.model)
    if not model.takes_kernel and (kernel is not None or arguments.save_kernel):
        raise DataError(f"{arguments.model} works without a blur kernel: leave --kernel and --save-kernel out")

    def one(source: pathlib.Path, target: pathlib.Path) -> None:
        file = image_io.read_image(source)
        restored = restore_image(
            model,
            file.pixels,
            kernel=kernel,
            iterations=arguments.iterations,
            self_ensemble=arguments.self_ensemble,
        )
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
    """``blindsr evaluate``: a protocol on test sets; a report for each, beside bicubic and the papers."""
    from blindsr_jax.evaluation.run import Methods
    from blindsr_jax.inference.model import load

    logging.basicConfig(format="blindsr: %(message)s")
    model = load(arguments.model)
    if arguments.scale not in (None, model.scale):
        raise DataError(f"--scale {arguments.scale}: {arguments.model} works at scale {model.scale}")
    methods = Methods(tuple(arguments.kernel), arguments.iterations, arguments.sweep, arguments.self_ensemble)
    methods.check(model)
    protocol = _protocol_of(arguments, model.scale)
    names = [folder.resolve().name for folder in arguments.data]
    if len(set(names)) < len(names):
        raise DataError(f"two folders of the same name ({', '.join(names)}): evaluate them into different places")
    complete = True
    for name, folder in zip(names, arguments.data):
        target = arguments.output / name if len(names) > 1 else arguments.output
        try:
            complete &= _evaluate_folder(arguments, model, protocol, methods, folder, target)
        except DataError as error:
            if len(names) == 1:
                raise
            print(f"blindsr: {error}", file=sys.stderr)
            complete = False
    return 0 if complete else 1


def _protocol_of(arguments: argparse.Namespace, scale: int) -> Protocol:
    from blindsr_jax.data.kernel_arrays import read_kernels
    from blindsr_jax.evaluation.protocols import PROTOCOLS, s_fold_circular

    if arguments.protocol != "s_fold_circular":
        if arguments.kernels or arguments.flip_kernels:
            raise DataError(f"--kernels: protocol {arguments.protocol} has its own; s_fold_circular takes them")
        return PROTOCOLS[arguments.protocol](scale)
    if not arguments.kernels:
        raise DataError("protocol s_fold_circular wants kernels: --kernels FILE.npy or FILE.mat")
    kernels = {}
    for path in arguments.kernels:
        members = read_kernels(path)
        for i, kernel in enumerate(members, 1):
            label = f"{path.stem} {i}" if len(members) > 1 else path.stem
            kernels[label] = kernel[::-1, ::-1] if arguments.flip_kernels else kernel
    return s_fold_circular(scale, kernels)


def _evaluate_folder(
    arguments: argparse.Namespace,
    model: Model,
    protocol: Protocol,
    methods: Methods,
    folder: pathlib.Path,
    target: pathlib.Path,
) -> bool:
    """One report; whether all files could be used."""
    from blindsr_jax.evaluation.journal import Journal
    from blindsr_jax.evaluation.report import beside_published, headline, method_table, summarise, write_report
    from blindsr_jax.evaluation.run import evaluate as run_protocol
    from blindsr_jax.evaluation.trials import open_tests

    name = folder.resolve().name
    tests = open_tests(protocol, folder)
    question = {
        "weights": model.fingerprint,
        "protocol": dataclasses.asdict(protocol),
        "methods": dataclasses.asdict(methods),
        "data": name,
    }
    journal = Journal(target, question, overwrite=arguments.overwrite)
    if len(journal):
        print(f"{target}: going on after {len(journal)} of {len(tests.names)} images (--overwrite starts anew)")
    failures: list[str] = []
    rows = run_protocol(model, tests, methods, failures=failures, journal=journal, bar=name)
    unusable = len(failures) + len(tests.left_out)
    label = pathlib.Path(arguments.model).name + ("+ (self-ensemble)" if methods.self_ensemble else "")
    facts = {"model": label, "parameters": model.parameters, "data": name, "unreadable": unusable}
    summary = summarise(rows, protocol=protocol.name, scale=protocol.scale, **facts)
    write_report(target, rows, summary)
    print(f"{name}, {headline(summary)}; see {target / 'report.md'}")
    tables = [method_table(rows) if "methods" in summary else [], beside_published(rows, summary)]
    for table in filter(None, tables):
        print("\n" + "\n".join(table).strip())
    return unusable == 0


def convert(arguments: argparse.Namespace) -> int:
    """``blindsr convert``: a training run's best checkpoint, or an official checkpoint, into one bundle file."""
    from blindsr_jax.weights.bundle import save_bundle

    if arguments.output.suffix != ".safetensors":
        raise DataError(f"{arguments.output}: a bundle's name ends in .safetensors")
    if arguments.output.exists() and not arguments.overwrite:
        raise DataError(f"{arguments.output}: exists (--overwrite replaces it)")
    save_bundle(arguments.output, _bundle_from(arguments.source))
    print(f"wrote {arguments.output}")
    return 0


def _bundle_from(source: pathlib.Path) -> Bundle:
    if source.suffix in (".pth", ".pt"):
        from blindsr_jax.weights.official import load_official

        return load_official(source)
    if not source.is_dir():
        raise DataError(f"{source}: expected the workdir of a training run, or an official .pth file")
    from blindsr_jax import config as config_lib
    from blindsr_jax.training.results import best_state, bundle_of
    from blindsr_jax.training.run_log import setup_logging
    from blindsr_jax.training.setup import recorded_config

    setup_logging()
    config = config_lib.ConfigDict(recorded_config(source))
    return bundle_of(config, best_state(config, source))


def build_kernels(arguments: argparse.Namespace) -> int:
    """``blindsr kernels build``: a pool to train KernelNet on, and one to test it on."""
    from blindsr_jax.inference.pool_files import write_pool

    sizes = {name: getattr(arguments, name) for name in ("scale", "count", "size", "seed")}
    sizes["irregular"] = not arguments.gaussians
    print("\n".join(write_pool(arguments.output, arguments.test, overwrite=arguments.overwrite, **sizes)))
    return 0


def show_kernels(arguments: argparse.Namespace) -> int:
    """``blindsr kernels show``: a contact sheet of a pool."""
    from blindsr_jax.inference.pool_files import draw_pool

    print(draw_pool(arguments.pool, arguments.output, count=arguments.count, size=arguments.size))
    return 0


def summarise_kernels(arguments: argparse.Namespace) -> int:
    """``blindsr kernels summarise``: what a pool holds, and how well one fixed Gaussian does on it."""
    from blindsr_jax.inference.pool_files import summarise_pool

    print("\n".join(summarise_pool(arguments.pool, arguments.train, size=arguments.size)))
    return 0


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
        "--model",
        required=True,
        help="packaged name (see 'blindsr models'), .safetensors bundle, workdir of a run, or official .pth file",
    )
    command.add_argument("--kernel", type=pathlib.Path, help="the blur kernel if you know it: .npy or .mat, [K, K]")
    command.add_argument("--iterations", type=_positive, help="unfolded steps; default: as in training")
    command.add_argument("--self-ensemble", action="store_true", help=_SELF_ENSEMBLE)
    command.add_argument("--save-kernel", action="store_true", help="write the kernel as .npy and .png beside each")

    command = files("degrade", degrade, "Make low-resolution files with a known blur, for experiments.")
    command.add_argument("--scale", type=_positive, default=4, help="default: 4")
    command.add_argument(
        "--kernel",
        default="iso:2.4",
        help="iso:SIGMA, aniso:SIGMA_X,SIGMA_Y,DEGREES, or a .npy or .mat file; default: iso:2.4",
    )
    command.add_argument(
        "--noise", type=_level, default=0.0, help="standard deviation of added noise on the 0-255 scale; default: 0"
    )
    command.add_argument("--downsample", choices=["bicubic", "s_fold"], default="bicubic", help="default: bicubic")
    command.add_argument("--seed", type=int, default=0, help="of the noise; default: 0")

    text = "Score a model on folders of high-resolution images."
    command = commands.add_parser("evaluate", help=text, description=text)
    command.add_argument("--model", required=True, help="packaged name, .safetensors bundle or official .pth file")
    command.add_argument(
        "--protocol",
        choices=["gaussian8", "gaussian_width", "div2krk", "s_fold_circular"],
        default="gaussian8",
        help="where LR images come from; default: gaussian8",
    )
    command.add_argument("--scale", type=_positive, help="to check against the model's")
    command.add_argument(
        "--data", nargs="+", type=pathlib.Path, required=True, help="folders of HR images; of DIV2KRK for div2krk"
    )
    command.add_argument(
        "--kernel",
        nargs="+",
        choices=["estimated", "true", "none"],
        default=["estimated"],
        help="what the image is restored with: the model's estimate, the true kernel, none (Dirac); several to compare",
    )
    command.add_argument("--iterations", type=_positive, help="unfolded steps; default: as in training")
    command.add_argument("--sweep", type=_positive, default=0, metavar="T", help="also score 1, 2 ... T unfolded steps")
    command.add_argument("--self-ensemble", action="store_true", help=_SELF_ENSEMBLE)
    command.add_argument(
        "--kernels", nargs="+", type=pathlib.Path, default=[], help="s_fold_circular: its blurs, .npy or .mat files"
    )
    command.add_argument(
        "--flip-kernels", action="store_true", help="these are convolution kernels, as USRNet's are: flip both axes"
    )
    command.add_argument("-o", "--output", type=pathlib.Path, required=True, help="folder for the reports")
    command.add_argument("--overwrite", action="store_true", help="start anew instead of going on, or replace a report")
    command.set_defaults(run=evaluate)

    text = "Turn a training run, or an official .pth file, into one .safetensors file."
    command = commands.add_parser("convert", help=text, description=text)
    command.add_argument("source", type=pathlib.Path, metavar="RUN", help="workdir of a run, or a .pth file")
    command.add_argument("-o", "--output", type=pathlib.Path, required=True, help="bundle to write (.safetensors)")
    command.add_argument("--overwrite", action="store_true", help="replace a bundle that exists")
    command.set_defaults(run=convert)

    _add_kernels(commands)

    text = "List the packaged models."
    command = commands.add_parser("models", help=text, description=text)
    command.set_defaults(run=list_models)
    return parser


def _add_kernels(commands: argparse._SubParsersAction) -> None:
    text = "Make, draw and describe pools of blur kernels, which KernelNet is trained on."
    actions = commands.add_parser("kernels", help=text, description=text).add_subparsers(
        required=True, metavar="ACTION"
    )

    def action(name: str, run: typing.Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        command = actions.add_parser(name, help=text, description=text)
        command.set_defaults(run=run)
        return command

    command = action("build", build_kernels, "Draw Gaussians and irregular kernels in KernelNet's ranges of width.")
    command.add_argument("-o", "--output", type=pathlib.Path, required=True, help="pool to write (.npy)")
    command.add_argument("--test", type=pathlib.Path, help="hold out every fifth kernel, and write those here (.npy)")
    command.add_argument("--scale", type=int, choices=[2, 3, 4], default=4)
    command.add_argument("--count", type=_positive, default=1716, help="kernels in all; default: 1716")
    command.add_argument("--size", type=_positive, help="side in HR pixels, odd; default: 17, 23, 31 for x2, x3, x4")
    command.add_argument("--gaussians", action="store_true", help="no irregular kernels")
    command.add_argument("--seed", type=int, default=0)
    command.add_argument("--overwrite", action="store_true", help="replace files that exist")

    def pool(command: argparse.ArgumentParser) -> None:
        command.add_argument("pool", type=pathlib.Path, metavar="POOL", help=".npy or .mat file of kernels")
        command.add_argument("--size", type=_positive, help="side to crop or pad to, odd, for files of mixed sizes")

    command = action("show", show_kernels, "Draw the kernels of a pool, side by side.")
    pool(command)
    command.add_argument("-o", "--output", type=pathlib.Path, required=True, help="picture to write (.png)")
    command.add_argument("--count", type=_positive, default=100, help="the first so many; default: 100")

    command = action("summarise", summarise_kernels, "Count and measure the kernels of a pool.")
    pool(command)
    command.add_argument("--train", type=pathlib.Path, help="pool that the fixed Gaussian is fitted to; default: POOL")


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
