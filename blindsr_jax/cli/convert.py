"""``blindsr convert``: turn a training run or an official checkpoint into a bundle."""

from __future__ import annotations

import argparse
import pathlib
import typing

from blindsr_jax.cli.arguments import Commands, add_command
from blindsr_jax.errors import DataError, UsageError, printable
from blindsr_jax.lazy import how_to_install

if typing.TYPE_CHECKING:
    from blindsr_jax.weights.bundle import Bundle


def add(commands: Commands) -> None:
    """Add the subcommand and its options."""
    text = "Turn a training run, or an official .pth file, into one .safetensors file."
    command = add_command(commands, "convert", run, text)
    command.add_argument("source", type=pathlib.Path, metavar="RUN", help="workdir of a run, or a .pth file")
    command.add_argument("-o", "--output", type=pathlib.Path, required=True, help="bundle to write (.safetensors)")
    ikc = command.add_argument_group("IKC", "RUN is SFTMD.pth; its other two files, and the basis of its kernel codes:")
    ikc.add_argument("--predictor", type=pathlib.Path, metavar="P.pth", help="weights of the Predictor")
    ikc.add_argument("--corrector", type=pathlib.Path, metavar="C.pth", help="weights of the Corrector")
    text = "the basis that the three were trained with; ikc computes nearly that of IKC's authors"
    ikc.add_argument("--pca", metavar="pca_matrix.pth", help=text)
    command.add_argument("--overwrite", action="store_true", help="replace a bundle that exists")


def run(arguments: argparse.Namespace) -> int:
    """``blindsr convert``: write a training run's best checkpoint, or an official checkpoint, as a bundle."""
    from blindsr_jax.weights.bundle import save_bundle

    if arguments.output.suffix != ".safetensors":
        raise UsageError(f"{arguments.output}: a bundle's name ends in .safetensors")
    if arguments.output.exists() and not arguments.overwrite:
        raise UsageError(f"{arguments.output}: exists (--overwrite replaces it)")
    save_bundle(arguments.output, _bundle_from(arguments))
    print(printable(f"wrote {arguments.output}"))
    return 0


def _bundle_from(arguments: argparse.Namespace) -> Bundle:
    source = arguments.source
    ikc = {name: getattr(arguments, name) for name in ("predictor", "corrector", "pca")}
    if any(ikc.values()):
        missing = [f"--{name}" for name, value in ikc.items() if not value]
        if missing or source.suffix not in (".pth", ".pt"):
            raise UsageError(f"{source}: an IKC is SFTMD.pth, --predictor, --corrector and --pca, all four")
        from blindsr_jax.weights.official_ikc import load_official_ikc

        return load_official_ikc(source, **ikc)
    if source.suffix in (".pth", ".pt"):
        from blindsr_jax.weights.official import load_official

        return load_official(source)
    if not source.is_dir():
        raise UsageError(f"{source}: expected the workdir of a training run, or an official .pth file")
    try:
        from blindsr_jax import config as config_lib
    except ModuleNotFoundError as error:
        raise DataError(f"a training run is read with {error.name}: {how_to_install('train')}") from None
    from blindsr_jax.training.results import best_state, bundle_of
    from blindsr_jax.training.run_log import setup_logging
    from blindsr_jax.training.workdir import recorded_config

    setup_logging()
    config = config_lib.ConfigDict(recorded_config(source))
    return bundle_of(config, best_state(config, source))
