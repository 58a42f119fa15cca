"""Arguments that several subcommands share."""

from __future__ import annotations

import argparse
import contextlib
import pathlib
import typing

from blindsr_jax.errors import DataError, UsageError

if typing.TYPE_CHECKING:
    from blindsr_jax.inference.restorer import Restorer

Commands = typing.Any  # argparse does not name what add_subparsers returns
_SELF_ENSEMBLE = "average over the image's eight flips and turns: slightly better, eight times slower"
_BACK_PROJECT = (
    "correct the result N times by what its blurred and downsampled copy lacks: for pictures without noise whose blur "
    "the model finds or is given; default: 0"
)
_KERNEL_WINDOW = "KernelNet: use only the most textured NxN pixels; faster, and enough for large pictures"
_SECONDS = "ZSSR: learn from a picture for at most so long; default: as long as its steps take"
_PRECISION = "DANs and DSSR compute in %(choices)s; bfloat16 is for GPUs and TPUs, CPUs gain little; default: float32"
_MODEL = (
    "packaged name (see 'blindsr models'), .safetensors bundle, workdir of a run, or official .pth file; "
    "ESTIMATOR+SOLVER joins two; NAME:OPTION=VALUE,... sets options of kernelgan-x2, kernelgan-x4 and zssr"
)


class Choices:
    """The allowed values of an option, looked up only when they are needed, so that other commands start fast.

    Give the option a ``metavar``, and use ``%(choices)s`` in its help.

    Args:
      values: function that returns the values.
    """

    def __init__(self, values: typing.Callable[[], typing.Iterable[typing.Any]]):
        self._values = values

    def __iter__(self) -> typing.Iterator[typing.Any]:
        return iter(self._values())

    def __contains__(self, value: object) -> bool:
        return value in tuple(self._values())


def _precisions() -> tuple[str, ...]:
    from blindsr_jax.networks.compute import Precision

    return typing.get_args(Precision)


def add_command(
    commands: Commands,
    name: str,
    run: typing.Callable[[argparse.Namespace], int],
    text: str,
    *,
    examples: typing.Sequence[str] = (),
    in_main_thread: bool = False,
) -> argparse.ArgumentParser:
    """Add a subcommand that runs a function, with its help text and examples.

    Commands with signal handlers of their own run in the main thread: see ``interruptible``.
    """
    command = commands.add_parser(name, help=text, description=text, examples=examples)
    command.set_defaults(run=run, in_main_thread=in_main_thread)
    return command


def add_files(command: argparse.ArgumentParser, *, default: str = "") -> None:
    """Add the arguments for input and output image files; ``default`` says where outputs go without ``-o``."""
    group = command.add_argument_group("files")
    group.add_argument("inputs", nargs="+", type=pathlib.Path, metavar="IN", help="image files or folders")
    text = f"image file or folder; default: {default}" if default else "image file or folder"
    group.add_argument("-o", "--output", type=pathlib.Path, metavar="OUT", required=not default, help=text)
    group.add_argument("--overwrite", action="store_true", help="replace outputs that exist")


def add_model(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    """Add the arguments for the model; if it is not required, ``open_model`` has a default."""
    command = parser.add_argument_group("model")
    default = "" if required else "; default: the packaged one for photographs at --scale, which is 4 if not given"
    command.add_argument("--model", required=required, help=_MODEL + default)
    scale = "scale of solvers for several; other models must match it"
    command.add_argument("--scale", type=positive, help=scale if required else f"2, 3 or 4 times larger; {scale}")
    command.add_argument("--iterations", type=positive, help="unfolded steps; default: as in training")
    command.add_argument("--sigma", type=level, default=0.0, help="solvers: noise level on the 0-255 scale; default: 0")
    command.add_argument("--kernel-window", type=positive, metavar="N", help=_KERNEL_WINDOW)
    command.add_argument("--seconds", type=positive, metavar="N", help=_SECONDS)
    command.add_argument("--self-ensemble", action="store_true", help=_SELF_ENSEMBLE)
    command.add_argument(
        "--precision", choices=Choices(_precisions), default="float32", metavar="TYPE", help=_PRECISION
    )


def add_back_projection(parser: argparse._ActionsContainer) -> None:
    """Add the option for back-projection."""
    parser.add_argument("--back-project", type=natural, default=0, metavar="N", help=_BACK_PROJECT)


def open_model(arguments: argparse.Namespace) -> Restorer:
    """Open the model of a command line, ready to restore at one scale.

    Raises:
      DataError: the model does not support the scale, or the scale is missing; or the model does not support a noise
        level, a kernel window or the precision.
    """
    from blindsr_jax.inference.loading import load
    from blindsr_jax.weights.zoo import default_model

    name = arguments.model = arguments.model or default_model(arguments.scale)
    loaded = load(name)
    with named(f"--precision: {name}"):
        loaded = loaded.in_precision(arguments.precision)
    if arguments.kernel_window:
        with named(f"--kernel-window: {name}"):
            loaded = loaded.with_kernel_window(arguments.kernel_window)
    if arguments.scale is None and len(loaded.scales) > 1:
        raise UsageError(f"{name} restores at several scales: say which with --scale")
    scale = arguments.scale or loaded.scales[0]
    if scale not in loaded.scales:
        known = ", ".join(map(str, loaded.scales))
        raise UsageError(f"--scale {scale}: {name} works at scale {known}")
    model = loaded.at_scale(scale)
    if arguments.seconds:
        with named(f"--seconds: {name}"):
            model = model.with_seconds(float(arguments.seconds))
    if model.takes_sigma:
        return model.with_sigma(arguments.sigma / 255)
    if arguments.sigma:
        raise UsageError(f"--sigma: {name} takes no noise level; USRNet and DPIR do")
    return model


def open_beside(names: list[str], scale: int, sigma: float) -> dict[str, Restorer]:
    """Open the models to compare with another one, by their names in a report.

    Args:
      names: names or files as ``load`` takes them.
      scale: scale of models that support several.
      sigma: noise level on the 0–255 scale, for models that take one.

    Raises:
      DataError: two models would have the same name in the report; or as ``load``.
    """
    from blindsr_jax.inference.loading import load, name_in_reports

    models: dict[str, Restorer] = {}
    for name in names:
        loaded, label = load(name), name_in_reports(name)
        if label in models:
            raise UsageError(f"--beside: two models are called {label}: rename a file, or leave one out")
        model = loaded.at_scale(scale if len(loaded.scales) > 1 else loaded.scales[0])
        models[label] = model.with_sigma(sigma / 255) if model.takes_sigma else model
    return models


@contextlib.contextmanager
def named(option: str) -> typing.Iterator[None]:
    """Put the option in front of the message of a DataError in this block."""
    try:
        yield
    except DataError as error:
        raise UsageError(f"{option}: {error}") from None


def positive(text: str) -> int:
    """Parse a whole number of at least 1."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, got {text!r}")
    return int(text)


def natural(text: str) -> int:
    """Parse a whole number of at least 0."""
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"must be 0 or a whole number, got {text!r}")
    return int(text)


def level(text: str) -> float:
    """Parse a number on the 0–255 scale."""
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0 <= value <= 255:
        raise argparse.ArgumentTypeError(f"must be a number from 0 to 255, got {text!r}")
    return value
